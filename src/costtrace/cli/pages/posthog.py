"""PostHog's reports and checks as pages, and as rows for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from costtrace.cli.page import NOTHING, Block, Cell, Column, Grid, Note, Title, Tone
from costtrace.money import amount_text
from costtrace.posthog_reports.answers import Answer, Value
from costtrace.posthog_reports.apply import Applied, Outcome
from costtrace.posthog_reports.definitions import MAX_ROWS, STILL_OPEN, Kind
from costtrace.posthog_reports.verify import Verified
from costtrace.view.amounts import lined_up

_HEADS: Final = {
    "cost_native": "cost",
    "cost_usd": "in USD",
    "message_uuid": "message",
    "sms_in_usd": "SMS in",
    "sms_out_usd": "SMS out",
    "total_usd": "total",
    "user_id": "user",
}
_NAMED: Final = 3
"""So many entries are named where there is no room for all; --json has them."""
_MINUTES: Final = len("2026-01-20T09:30")


def answer_page(answer: Answer) -> list[Block]:
    """The rows of a report in US dollars, amounts lined up, and whether that is all.

    Ids to look further with are left out: lines have to fit a terminal, and no amount may be cut.
    """
    title = Title(f"{answer.report.title}, US dollars, from {answer.since:%Y-%m-%d %H:%M} UTC")
    if not answer.rows:
        return [title, Note("PostHog has no events of that time.", "dim")]
    measures = [*_measures(answer), *_open_column(answer)]
    rows = list(zip(*(cells for _, cells in measures), strict=True))
    page: list[Block] = [title, Grid([column for column, _ in measures], rows)]
    if answer.is_cut:
        page.append(Note(f"PostHog gives {MAX_ROWS} rows and no more; ask for a shorter time.", "bad"))
    return page


def csv_rows(answer: Answer) -> Iterator[list[str]]:
    """A head, then the rows; what is not known is empty, never zero."""
    yield [column.name for column in answer.report.columns]
    for row in answer.rows:
        yield ["" if value is None else _text(value) for value in row]


def applied_page(applied: Sequence[Applied]) -> list[Block]:
    """What was done to each, and where it is."""
    tones: dict[Outcome, Tone] = {Outcome.CREATED: "good", Outcome.UPDATED: "good", Outcome.UNCHANGED: "dim"}
    rows = [[Cell(one.name), Cell(one.outcome, tones[one.outcome]), Cell(one.address)] for one in applied]
    return [Title("Reports in PostHog"), Grid([Column("report", whole=True), Column("was"), Column("address")], rows)]


def verified_page(found: Verified, *, requeued: bool) -> list[Block]:
    """Both sides of the day, and what was missing."""
    title = Title(f"PostHog beside the ledger, {found.day} UTC")
    if not found.comparisons:
        return [title, Note("Neither has events of that day.", "dim")]
    names = [Cell(one.event) for one in found.comparisons]
    counts = [
        (Cell(str(one.ledger.events)), Cell(str(one.posthog.events), "" if one.is_same else "warn"))
        for one in found.comparisons
    ]
    sums = _cells([amount for one in found.comparisons for amount in (one.ledger.usd, one.posthog.usd)])
    missing = [Cell(str(len(one.missing)), "bad") if one.missing else NOTHING for one in found.comparisons]
    heads = ["ledger events", "posthog events", "ledger USD", "posthog USD", "missing"]
    columns = [Column("event"), *(Column(head, right=True) for head in heads)]
    rows = list(zip(names, *zip(*counts, strict=True), sums[::2], sums[1::2], missing, strict=True))
    return [title, Grid(columns, rows), *_differences(found), *_verdict(found, requeued=requeued)]


def _measures(answer: Answer) -> Iterator[tuple[Column, list[Cell]]]:
    """The columns before the last one; an amount that no row has is left out."""
    for place, column in enumerate(answer.report.columns):
        values = [row[place] for row in answer.rows]
        if column in STILL_OPEN or column.kind is Kind.REFERENCE or (column.is_money and set(values) == {None}):
            continue
        whole = column.kind not in {Kind.TEXT, Kind.MOMENT}
        head = _HEADS.get(column.name, column.name.removesuffix("_cost_usd").replace("_", " "))
        yield Column(head, right=not column.is_text, whole=whole), _cells(values, is_moment=column.kind is Kind.MOMENT)


def _open_column(answer: Answer) -> Iterator[tuple[Column, list[Cell]]]:
    """What no amount of the row holds, in words; no column where there is none of it."""
    places = [(answer.report.columns.index(column), column.name.replace("_", " ")) for column in STILL_OPEN]
    texts = [", ".join(f"{row[place]} {word}" for place, word in places if row[place]) for row in answer.rows]
    if any(texts):
        yield Column("not in it"), [Cell(text, "warn") if text else NOTHING for text in texts]


def _differences(found: Verified) -> Iterator[Note]:
    """The entries whose events say something else in PostHog; the first few of each name."""
    for one in found.comparisons:
        if one.differing:
            named = ", ".join(one.differing[:_NAMED]) + (", ..." if len(one.differing) > _NAMED else "")
            yield Note(f"{len(one.differing)} {one.event} have another amount in PostHog: {named}", "bad")


def _verdict(found: Verified, *, requeued: bool) -> Iterator[Note]:
    if found.missing:
        yield _missing(found, requeued=requeued)
    elif not found.differing:
        same = all(one.is_same for one in found.comparisons)
        beside = "to the last digit." if same else "and events that are not of it."
        yield Note(f"PostHog has everything{'' if same else ' of this ledger'}, {beside}", "good")


def _missing(found: Verified, *, requeued: bool) -> Note:
    if not requeued:
        return Note(f"{found.missing} events are missing; without --no-requeue they are delivered again.", "bad")
    waiting = found.missing - found.requeued
    parts = [f"{found.missing} events are missing"]
    if found.requeued:
        parts.append(f"{found.requeued} are delivered again")
    if waiting:
        parts.append(f"{waiting} are still to be delivered")
    return Note("; ".join(parts) + ".", "bad")


def _cells(values: Sequence[Value], *, is_moment: bool = False) -> list[Cell]:
    lined = iter(lined_up([value for value in values if isinstance(value, Decimal)]))
    return [NOTHING if value is None else Cell(_shown(value, lined, is_moment=is_moment)) for value in values]


def _shown(value: str | int | Decimal, lined: Iterator[str], *, is_moment: bool) -> str:
    if isinstance(value, Decimal):
        return next(lined)
    return str(value)[:_MINUTES].replace("T", " ") if is_moment else str(value)


def _text(value: str | int | Decimal) -> str:
    return amount_text(value) if isinstance(value, Decimal) else str(value)
