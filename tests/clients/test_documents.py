"""No snippet that nobody runs."""

from __future__ import annotations

import pytest

from tests.clients.readme import HERE, blocks, settings
from tests.support.service import ROOT

LABELS = [block.partition("\n")[0].partition("# ")[2] for block in blocks("python") if HERE in block]


def test_the_documents_have_snippets() -> None:
    assert len(LABELS) == len(set(LABELS)) > 5


@pytest.mark.parametrize("label", LABELS)
def test_a_snippet_is_run_by_a_test_or_a_script(label: str) -> None:
    folders = (ROOT / "tests" / "clients", ROOT / "tests" / "heavy")
    texts = [path.read_text("utf-8") for folder in folders for path in folder.glob("*.py")]
    assert any(f'snippet("{label}", ' in text for text in texts)


def test_freqtrades_settings_name_the_service() -> None:
    assert "127.0.0.1:1234" in settings(1234)["exchange"]["ccxt_async_config"]["urls"]["api"]["fapiPublic"]
