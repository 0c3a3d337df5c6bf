"""The benchmarks' command line, and one figure on a small scale."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import klines
from benchmarks.catalog import GROUPS, chosen, figure_names
from benchmarks.harness import Figure
from benchmarks.results import RESULTS, with_part
from benchmarks.table import json_of, markdown_table, rows_of, text_table

ROOT = Path(__file__).parent.parent
PROMISED = {
    *("events_per_cpu_second", "cpu_percent", "memory_mb", "push_p99_ms", "archive_bars_per_second"),
    *("backfill_bars_per_minute", "bytes_per_bar", "klines_per_cpu_second", "disk_gb_per_day", "restart_seconds"),
}


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_run_without_names_yields_what_is_promised_and_no_other_figure() -> None:
    names = figure_names(chosen([]))
    assert len(names) == len(PROMISED)
    assert set(names) == PROMISED


def test_the_list_names_every_figure_and_group() -> None:
    listed = benchmarks("--list")
    assert listed.returncode == 0
    assert set(listed.stdout.replace(",", " ").split()) == PROMISED | set(GROUPS)


def test_an_unknown_name_is_told_in_one_line() -> None:
    refused = benchmarks("cpu")
    assert refused.returncode != 0
    assert refused.stderr.count("\n") == 1
    assert "cpu_percent" in refused.stderr


def test_figures_and_groups_can_be_chosen_by_name() -> None:
    assert chosen(["restart_seconds", "klines", "klines_per_cpu_second"]) == ["klines", "service"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU seconds of other processes are read from /proc")
def test_a_small_figure_is_measured_beside_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SYMBOLS": 2, "AGE_DAYS": 3, "DAYS": 2, "ROUNDS": 1, "REQUESTS": 20}.items():
        monkeypatch.setattr(klines, name, value)
    (figure,) = klines.measure()
    described = json.loads(json.dumps(json_of([figure])))
    assert set(described) == {"klines_per_cpu_second"}
    assert set(described["klines_per_cpu_second"]) == {"value", "unit", "floor", "goal", "ok"}
    assert figure.value > 0
    assert figure.floor is not None
    assert figure.floor > 0


def test_a_figure_is_shown_with_its_ratio_and_whether_its_goal_is_met() -> None:
    rows = rows_of([Figure("memory_mb", 151.0, "MB", None, 150.0, at_most=True), Figure("other", 2_000.0, "/s", 500.0)])
    assert rows[0][-3:-1] == ("≤ 150.0", "NO")
    assert rows[1][3:] == ("500.0", "4.00", "", "", "")
    assert len(text_table(rows).splitlines()) == 3
    assert len(markdown_table(rows).splitlines()) == 4


def test_a_part_of_the_results_takes_the_place_of_its_former_self_and_leaves_the_others() -> None:
    first = with_part(with_part("", "Figures", "one\n\n| a |"), "A long run", "two")
    again = with_part(first, "Figures", "three")
    assert first.endswith("## Figures\n\none\n\n| a |\n\n## A long run\n\ntwo\n")
    assert again == first.replace("one\n\n| a |", "three")


def test_the_kept_results_are_in_parts_that_can_be_replaced() -> None:
    document = RESULTS.read_text(encoding="utf-8")
    assert with_part(document, "Another", "text") == document + "\n## Another\n\ntext\n"
