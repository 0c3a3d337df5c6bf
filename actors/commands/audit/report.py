"""What an audit found: counts for a table, findings for the lines below it, all of it as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from actors.commands.audit.findings import Finding, Kind, evidence
from bars import ContractKey, Interval, Span
from bars.comparison import Verdict
from bars.times import time_text

LINES_MAX = 100
SYMBOLS_MAX = 5


@dataclass(slots=True)
class SeriesReport:
    """The counts of one contract and interval."""

    contract: ContractKey
    interval: Interval
    span: Span
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            (
                *("compared", "equal", "different", "missing_here", "missing_there"),
                *("sums", "inconsistent", "contradictions", "disputed", "not_compared", "mended"),
            ),
            0,
        )
    )
    findings: list[Finding] = field(default_factory=list)

    def unanswered(self, span: Span, error: str, *, is_fault: bool) -> None:
        """The exchange gave no bars for a span that was asked for."""
        bars = self.interval.count(*span)
        self.counts["not_compared"] += bars
        self._add(Kind.NOT_COMPARED, span, error, bars=bars, is_fault=is_fault)

    def paused(self, pause: Span) -> None:
        """The exchange paused: whole buckets of it have bars, all of them empty."""
        inside = pause.intersect(self.span)
        whole = Span(self.interval.ceil(inside.start_ms), self.interval.floor(inside.stop_ms))
        if not whole.is_empty:
            self._add(Kind.PAUSE, whole, "", bars=self.interval.count(*whole), is_fault=False)

    def take(self, found: Verdict, left: Verdict) -> None:
        """Add what was found for some span, and what of it is left after mending (the same without)."""
        for name in ("equal", "different", "missing_here", "missing_there", "inconsistent", "contradictions"):
            self.counts[name] += len(getattr(found, name))
        self.counts["disputed"] += len(found.disputed)
        self.counts["compared"] += found.compared
        self.counts["sums"] += found.sums
        remaining = {(kind, open_ms) for kind, open_ms, _ in evidence(left)}
        for kind, open_ms, detail in sorted(evidence(found), key=lambda one: (one[0].value, one[1])):
            mended = kind.is_fault and (kind, open_ms) not in remaining
            self.counts["mended"] += mended
            self._add(kind, self._bucket(open_ms), detail, mended=mended, is_fault=kind.is_fault and not mended)
        for span in found.falsely_empty:
            self._add(Kind.FALSELY_EMPTY, span, "", bars=self.interval.count(*span), is_fault=False)

    def _bucket(self, open_ms: int) -> Span:
        return Span(open_ms, self.interval.next_open(open_ms))

    def _add(self, kind: Kind, span: Span, detail: str, *, bars: int = 1, mended: bool = False, is_fault: bool) -> None:
        last = self.findings[-1] if self.findings else None
        if last and (last.kind, last.mended, last.span.stop_ms) == (kind, mended, span.start_ms):
            last.span = Span(last.span.start_ms, span.stop_ms)
            last.bars += bars
            return
        self.findings.append(Finding(self.contract, self.interval, kind, span, bars, detail, is_fault, mended))


@dataclass(slots=True)
class AuditReport:
    """All series, in the order in which they were added."""

    repaired: bool
    _series: dict[tuple[ContractKey, Interval], SeriesReport] = field(default_factory=dict)

    def add(self, series: SeriesReport) -> None:
        self._series[series.contract, series.interval] = series

    def series(self, contract: ContractKey, interval: Interval) -> SeriesReport:
        return self._series[contract, interval]

    def spans(self) -> list[Span]:
        return [series.span for series in self._series.values()]

    def paused(self, pause: Span) -> None:
        """Name a pause of the exchange in every series that has bars in it."""
        for series in self._series.values():
            series.paused(pause)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is missing or different, or all that was is mended."""
        return not any(finding.is_fault for finding in self._findings())

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and a row of texts for each contract and interval."""
        columns = ["compared", "equal", "different", "missing_here", "missing_there", "sums", "contradictions"]
        columns += ["mended"] if self.repaired else []
        headings = ["symbol", "interval", "from", "to", *(name.replace("_", " ") for name in columns)]
        rows = [
            [
                *(one.contract.symbol, one.interval.name, time_text(one.span.start_ms), time_text(one.span.stop_ms)),
                *(f"{one.counts[name]:,}" for name in columns),
            ]
            for one in self._series.values()
        ]
        return headings, rows

    def lines(self) -> list[str]:
        """What to say below the table: contradictions of the exchange, what was mended, what is wrong, the result."""
        findings = sorted(self._findings(), key=lambda one: one.mended)
        pauses = [one for one in findings if one.kind is Kind.PAUSE]
        faults = [one for one in findings if one.is_fault]
        others = [one for one in findings if not one.is_fault and one.kind is not Kind.PAUSE]
        parts = [list(_pause_lines(pauses)), [one.line() for one in others], [one.line() for one in faults]]
        return [*(line for part in parts for line in _few(part)), self._result()]

    def as_json(self) -> dict[str, Any]:
        return {
            "clean": self.is_clean,
            "series": [
                {
                    "symbol": one.contract.symbol,
                    "onboard_time": one.contract.onboard_ms,
                    "interval": one.interval.name,
                    "from": one.span.start_ms,
                    "to": one.span.stop_ms,
                    **one.counts,
                }
                for one in self._series.values()
            ],
            "findings": [finding.as_json() for finding in self._findings()],
        }

    def _findings(self) -> list[Finding]:
        return [finding for one in self._series.values() for finding in one.findings]

    def _result(self) -> str:
        compared = sum(one.counts["compared"] for one in self._series.values())
        wrong = {
            kind.value: sum(one.bars for one in self._findings() if one.is_fault and one.kind is kind) for kind in Kind
        }
        said = ", ".join(f"{count:,} {words}" for words, count in wrong.items() if count)
        mended = sum(one.counts["mended"] for one in self._series.values())
        return (
            f"audit: {compared:,} bars compared, "
            + (f"{mended:,} mended, " if self.repaired else "")
            + (said or "nothing missing or different")
        )


def audit_line(facts: Mapping[str, Any]) -> str:
    """One line of progress."""
    done, total = facts["bars_done"], facts["bars_total"]
    return f"audit: {done:,} of {total:,} bars fetched ({100 * done // max(total, 1)} %)" + _left(facts)


def _left(facts: Mapping[str, Any]) -> str:
    seconds = facts.get("seconds_left")
    return "" if seconds is None else f", about {seconds // 60:.0f} min {seconds % 60:.0f} s left"


def _pause_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Each pause once for every interval, whoever's bars it emptied."""
    symbols: dict[tuple[Interval, Span], list[str]] = {}
    for one in findings:
        symbols.setdefault((one.interval, one.span), []).append(one.contract.symbol)
    for (interval, span), emptied in sorted(symbols.items(), key=lambda item: (item[0][1], item[0][0].span_ms)):
        whose = ", ".join(emptied) if len(emptied) <= SYMBOLS_MAX else f"{len(emptied):,} symbols"
        between, count = f"{time_text(span.start_ms)} to {time_text(span.stop_ms)}", interval.count(*span)
        bars = f"{count:,} bar{'s' if count != 1 else ''}"
        yield f"{interval} {between}: {bars} {Kind.PAUSE.value}, of {whose}"


def _few(lines: list[str]) -> Iterator[str]:
    yield from lines[:LINES_MAX]
    if len(lines) > LINES_MAX:
        yield f"and {len(lines) - LINES_MAX:,} more, all in --json"
