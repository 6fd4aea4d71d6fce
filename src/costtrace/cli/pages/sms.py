"""A settlement and a reconciliation as pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from costtrace.cli.page import NOTHING, Block, Cell, Column, Facts, Grid, Note, Section, Title, Tone
from costtrace.cli.pages.repricing import signed

if TYPE_CHECKING:
    from costtrace.twilio.bill import BillLine
    from costtrace.twilio.reconciled import Reconciled
    from costtrace.twilio.settlement import Settled

_BILL: Final = (
    Column("day", whole=True),
    Column("category"),
    Column("messages", right=True),
    Column("recorded", right=True),
    Column("billed", right=True),
    Column("drift", right=True),
)
_FOUND: Final[Sequence[tuple[str, str, Tone]]] = (
    ("listed", "messages in Twilio's list", ""),
    ("statuses", "deliveries that were not known", "good"),
    ("priced", "prices that were not known", "good"),
    ("revised", "prices that had changed", "good"),
    ("found_inbound", "messages in that nobody had recorded", "good"),
    ("found_outbound", "messages out that nobody had recorded", "good"),
    ("identified", "sent with unknown outcome, now found", "good"),
    ("given_up", "sent with unknown outcome, in no list", "warn"),
    ("recent", "too young to be called lost", "dim"),
    ("unreadable", "with a price that cannot be read", "bad"),
    ("uncompared", "of a kind whose line on the bill is not known", "dim"),
)
_VERDICTS: Final = {
    "yes": Note(
        "The prices of messages hold the carriers' fees: they add up to the bill with its fees, exactly.", "good"
    ),
    "no": Note(
        "The prices of messages do not hold the carriers' fees: they add up to the bill without its fees, exactly."
        " The fees come on top.",
        "warn",
    ),
    "unknown": Note("Whether the prices of messages hold carriers' fees cannot be told from these days.", "dim"),
}


def settled_page(settled: Settled) -> list[Block]:
    """What one run asked for, and what came of it."""
    if not settled.looked_at:
        return [Title("Prices of messages"), Note("Nothing waits for a price.", "good")]
    rows = [("waiting for a price", Cell(str(settled.looked_at))), ("asked for now", Cell(str(settled.asked)))]
    rows += list(_ends(settled))
    if settled.next_due is not None:
        rows.append(("next question", Cell(f"{settled.next_due:%Y-%m-%d %H:%M:%S} UTC")))
    return [Title("Prices of messages"), Facts(rows), *(Note(problem, "bad") for problem in settled.problems)]


def _ends(settled: Settled) -> Iterator[tuple[str, Cell]]:
    if settled.priced:
        yield "priced", Cell(f"{settled.priced}, together {settled.amount}", "good")
    if settled.not_billable:
        yield "not billed", Cell(str(settled.not_billable))
    if settled.waiting:
        yield "no price yet", Cell(str(settled.waiting), "warn")
    if settled.unavailable:
        yield "given up", Cell(f"{settled.unavailable}, which stay unpriced", "bad")
    if settled.failed:
        yield "no answer", Cell(str(settled.failed), "bad")
    if settled.unidentified:
        yield "outcome unknown", Cell(f"{settled.unidentified}; `costtrace sms reconcile` looks for them", "warn")


def settled_line(settled: Settled) -> str:
    """The same on one line, for a list that never ends."""
    ends = [f"{label} {cell.text}" for label, cell in _ends(settled)]
    return f"asked {settled.asked}: {', '.join([*ends, *settled.problems])}"


def reconciled_page(found: Reconciled) -> list[Block]:
    """What the list had that the ledger lacked, and both beside the bill."""
    title = Title(f"Twilio's list, from {found.since:%Y-%m-%d} until {found.until:%Y-%m-%d %H:%M} UTC")
    counts = [(words, Cell(str(getattr(found, name)), tone)) for name, words, tone in _FOUND if getattr(found, name)]
    if not counts:
        return [title, Note("It holds no message.", "dim")]
    return [title, Facts(counts), Section("Beside Twilio's bill"), *_bill(found)]


def _bill(found: Reconciled) -> Iterator[Block]:
    if found.truncated:
        yield Note("The list was cut short, so it cannot be compared.", "warn")
        return
    if found.lines:
        yield Grid(_BILL, [_row(line) for line in found.lines])
    else:
        yield Note("The bill has no line for these days yet.", "dim")
    today = found.until.date()
    if any(line.day == today for line in found.lines):
        yield Note(f"{today} is not over; its lines still change.", "dim")
    yield _VERDICTS[found.fees_included.value]


def _row(line: BillLine) -> list[Cell]:
    recorded = str(line.recorded) if line.recorded else ""
    if line.unpriced:
        recorded = ", ".join(filter(None, [recorded, f"{line.unpriced} unpriced"]))
    return [
        Cell(line.day.isoformat()),
        Cell(line.category),
        Cell(str(line.messages)) if line.messages else NOTHING,
        Cell(recorded, "warn" if line.unpriced else "") if recorded else NOTHING,
        Cell(str(line.billed)) if line.billed else NOTHING,
        _drift(line),
    ]


def _drift(line: BillLine) -> Cell:
    if line.drift is None:
        return NOTHING
    return Cell(signed(line.drift), "bad") if line.drift else Cell("none", "good")
