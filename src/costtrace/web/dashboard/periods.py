"""Costs over time: what models, SMS and tools cost in each day, hour or month, gaps included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from costtrace.ledger.localtime import LocalTime
from costtrace.messages import Totals
from costtrace.money import amount_text
from costtrace.reports import Report
from costtrace.times import to_micros
from costtrace.view.amounts import actual_column, lined_up, pending_column
from costtrace.view.blocks import NOTHING, Cell
from costtrace.web.dashboard.figures import Share, coverage_shares

_SOURCES: Final = {"llm": "LLM", "embedding": "LLM", "sms": "SMS", "tool": "tools"}
_OTHERS: Final = "corrections and others"
SOURCES: Final = ("LLM", "SMS", "tools", _OTHERS)
"""What costs are split into."""
COLOURS: Final = {"LLM": "--llm", "SMS": "--sms", "tools": "--tools", _OTHERS: "--others"}
_FALLBACKS: Final = {"--llm": "#4a5fd0", "--sms": "#0d8577", "--tools": "#8a5cc2", "--others": "#7a828c"}
"""Where no style sheet says otherwise, as in a file that was saved."""
_MOST_DAYS: Final = 93
"""More bars than that are hard to tell apart; months are shown then."""
_MOST_MONTHS: Final = 120
_HOUR: Final = timedelta(hours=1)
_MOST_HOURS: Final = 24 * 5
_NOTHING: Final = Totals()


@dataclass(slots=True)
class _Stretch:
    by_source: dict[str, Totals] = field(default_factory=dict)

    @property
    def total(self) -> Totals:
        total = Totals()
        for part in self.by_source.values():
            total = total.plus(part)
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodRow:
    """One day, hour or month."""

    name: str
    parts: Sequence[Cell]
    """By source, in the order of `Periods.sources`."""
    actual: Cell
    pending: Cell
    coverage: Sequence[Share]


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """Costs over time."""

    word: str
    """``hour``, ``day`` or ``month``."""
    sources: Sequence[str]
    """Those of `SOURCES` that cost anything."""
    actual_head: str
    pending_head: str
    has_pending: bool
    rows: Sequence[PeriodRow]
    """The latest first, without those in which nothing was bought."""
    bars: Sequence[dict[str, Any]]
    """Of a chart, in US dollars, oldest first."""
    names: Sequence[str]
    """Every stretch in turn, also those in which nothing was bought."""
    other_currencies: Sequence[str]
    """Not in the chart."""


def periods(report: Report, word: str, zone: ZoneInfo, now: datetime) -> Periods:
    """The costs of a report by ``(word, "kind")``, word being ``hour`` or ``day``, over time."""
    found: dict[str, _Stretch] = {}
    for row in report.rows:
        name, kind = row.key[0] or "", row.key[1] or ""
        source = _SOURCES.get(kind, _OTHERS)
        parts = found.setdefault(name, _Stretch()).by_source
        parts[source] = parts.get(source, _NOTHING).plus(row.total)
    known = sorted(found, key=_moment if word == "hour" else None)
    if word == "hour":
        return _laid_out(word, found, list(_hours(report, zone, now, known)) if known else [])
    ends = _ends(report, zone, now, known)
    if ends is None:
        return _laid_out(word, found, known)
    first, last = ends
    if (last - first).days < _MOST_DAYS:
        return _laid_out(word, found, _days(first, last))
    return _laid_out("month", _months(found), _names_of_months(first, last, known))


def chart(costs: Periods, width: int) -> dict[str, Any]:
    """The costs as a Vega-Lite chart so many pixels wide: bars of US dollars, stacked by source."""
    slices = {"hour": (11, 16), "day": (5, 10), "month": (0, 7)}[costs.word]
    muted, line = "var(--muted, #59626d)", "var(--line, #dfe3e8)"
    colours = [f"var({COLOURS[source]}, {_FALLBACKS[COLOURS[source]]})" for source in costs.sources]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "description": f"Cost in US dollars by {costs.word}",
        "width": width,
        "height": 220,
        "autosize": {"type": "fit", "contains": "padding"},
        "background": None,
        "padding": 2,
        "data": {"values": list(costs.bars)},
        "mark": {"type": "bar", "cornerRadius": 1},
        "encoding": {
            "x": {
                "field": "period",
                "type": "ordinal",
                "scale": {"domain": list(costs.names), "paddingInner": 0.25, "paddingOuter": 0.1},
                "axis": {
                    "title": None,
                    "labelAngle": 0,
                    "labelOverlap": "greedy",
                    "labelSeparation": 12,
                    "labelExpr": f"slice(datum.value, {slices[0]}, {slices[1]})",
                },
            },
            "y": {
                "field": "usd",
                "type": "quantitative",
                "stack": "zero",
                "axis": {
                    "title": "USD",
                    "tickCount": 4,
                    "titleAngle": 0,
                    "titleAlign": "left",
                    "titleY": -8,
                    "titleX": -30,
                },
            },
            "color": {
                "field": "source",
                "type": "nominal",
                "scale": {"domain": list(costs.sources), "range": colours},
                "legend": None,
            },
            "order": {"field": "order", "type": "quantitative"},
            "description": {"field": "said", "type": "nominal"},
        },
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": {
                "labelColor": muted,
                "titleColor": muted,
                "gridColor": line,
                "domainColor": line,
                "ticks": False,
                "labelPadding": 6,
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
            },
            "axisX": {"grid": False},
            "axisY": {"domain": False},
        },
    }


def _ends(report: Report, zone: ZoneInfo, now: datetime, known: Sequence[str]) -> tuple[date, date] | None:
    """The first and the last day of the time; None where nothing is known, or days that no calendar here has."""
    try:
        first, last = date.fromisoformat(known[0]), date.fromisoformat(known[-1])
    except (IndexError, ValueError):
        return None
    if report.selection.since is not None:
        first = min(first, report.selection.since.astimezone(zone).date())
        last = max(last, (report.selection.until or now).astimezone(zone).date())
    return first, last


def _days(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def _names_of_months(first: date, last: date, known: Sequence[str]) -> list[str]:
    """Every month from the first day to the last; where they are too many, those from the first known one on."""
    start, end = (12 * day.year + day.month - 1 for day in (first, last))
    if end - start >= _MOST_MONTHS:
        begun = date.fromisoformat(known[0])
        start = 12 * begun.year + begun.month - 1
    if end - start >= _MOST_MONTHS:
        return list(dict.fromkeys(name[:7] for name in known))
    return [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(start, end + 1)]


def _hours(report: Report, zone: ZoneInfo, now: datetime, known: Sequence[str]) -> Iterator[str]:
    local = LocalTime(zone)
    start, end = report.selection.since, report.selection.until or now
    hours = 0 if start is None else int((end - start) / _HOUR) + 1
    if start is None or hours > _MOST_HOURS:
        yield from known
        return
    moments = (start.astimezone(UTC) + _HOUR * number for number in range(hours))
    every = [local.label("hour", to_micros(moment)) for moment in moments]
    yield from sorted({*every, *known}, key=_moment)


def _moment(hour: str) -> tuple[bool, datetime]:
    """When that hour began; what says nothing of it comes first."""
    try:
        return True, datetime.fromisoformat(hour)
    except ValueError:
        return False, datetime.min.replace(tzinfo=UTC)


def _months(found: dict[str, _Stretch]) -> dict[str, _Stretch]:
    months: dict[str, _Stretch] = {}
    for name, stretch in found.items():
        parts = months.setdefault(name[:7], _Stretch()).by_source
        for source, total in stretch.by_source.items():
            parts[source] = parts.get(source, _NOTHING).plus(total)
    return months


def _laid_out(word: str, found: dict[str, _Stretch], names: Sequence[str]) -> Periods:
    present = [source for source in SOURCES if any(source in stretch.by_source for stretch in found.values())]
    shown = [name for name in reversed(names) if name in found]
    totals = [found[name].total for name in shown]
    actual_head, actual = actual_column(totals)
    pending_head, pending = pending_column(totals)
    columns = [_column([found[name].by_source.get(source, _NOTHING) for name in shown]) for source in present]
    rows = [
        PeriodRow(
            name=name,
            parts=[column[number] for column in columns],
            actual=actual[number],
            pending=pending[number],
            coverage=coverage_shares(totals[number]),
        )
        for number, name in enumerate(shown)
    ]
    return Periods(
        word=word,
        sources=present,
        actual_head=actual_head,
        pending_head=pending_head,
        has_pending=any(total.estimated > 0 or total.pending for total in totals),
        rows=rows,
        bars=[bar for name in names if name in found for bar in _bars(name, found[name])],
        names=names,
        other_currencies=sorted({currency for total in totals for currency in total.known} - {"USD"}),
    )


def _column(totals: Sequence[Totals]) -> list[Cell]:
    """Amounts lined up; where there is none, nothing rather than a reason that the total beside it gives."""
    if any(total.known.keys() - {"USD"} for total in totals):
        return [Cell(str(total.known)) if total.known else NOTHING for total in totals]
    lined = iter(lined_up([total.known.usd for total in totals if total.known]))
    return [Cell(next(lined)) if total.known else NOTHING for total in totals]


def _bars(name: str, stretch: _Stretch) -> Iterator[dict[str, Any]]:
    for order, source in enumerate(SOURCES):
        amount = stretch.by_source.get(source, _NOTHING).known.usd
        if amount != Decimal(0):
            said = f"{name}, {source}: {amount_text(amount)} USD"
            yield {"period": name, "source": source, "usd": float(amount), "order": order, "said": said}
