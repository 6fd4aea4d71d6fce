"""Deliveries and their standing as pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from costtrace.cli.page import NOTHING, Block, Cell, Column, Grid, Note, Section, Title

if TYPE_CHECKING:
    from costtrace.ledger.letters import Reason
    from costtrace.outbox import Delivered, ExporterStatus

_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_DAY_S: Final = 86_400
_DELIVERED: Final = (
    Column("exporter", whole=True),
    Column("sent", right=True),
    Column("put off", right=True),
    Column("parked", right=True),
    Column("dead", right=True),
    Column("remark"),
)
_STANDING: Final = (
    Column("exporter", whole=True),
    Column("pending", right=True),
    Column("oldest", right=True),
    Column("sent", right=True),
    Column("parked", right=True),
    Column("dead", right=True),
    Column("standing"),
)
_REASONS: Final = (Column("entries", right=True), Column("state"), Column("reason"), Column("for example"))


def delivered_page(delivered: Sequence[Delivered]) -> list[Block]:
    """What one delivery came to."""
    rows = [
        [
            Cell(done.exporter),
            Cell(str(done.sent), "good" if done.sent else "dim"),
            *(_bad(count) for count in (done.put_off, done.parked, done.dead)),
            _remark(done),
        ]
        for done in delivered
    ]
    return [Title("Delivered"), Grid(_DELIVERED, rows)]


def _remark(done: Delivered) -> Cell:
    if done.stopped:
        return Cell(f"stopped: {done.problem}; change that, then `costtrace outbox resume {done.exporter}`", "bad")
    if done.elsewhere:
        return Cell("another process is delivering", "dim")
    if done.problem is not None:
        return Cell(f"tried again later: {done.problem}", "warn")
    return NOTHING


def standing_page(standing: Sequence[tuple[ExporterStatus, Sequence[Reason]]]) -> list[Block]:
    """How each exporter stands, and why what was not taken was not."""
    if not standing:
        note = "Nothing was delivered yet; `costtrace deliver` does, to where COSTTRACE_EXPORTERS says."
        return [Title("Outbox"), Note(note, "dim")]
    blocks: list[Block] = [Title("Outbox"), Grid(_STANDING, [_row(status) for status, _ in standing])]
    for status, reasons in standing:
        blocks += _why(status, reasons)
    return blocks


def _row(status: ExporterStatus) -> list[Cell]:
    return [
        Cell(status.exporter),
        Cell(str(status.pending), "warn" if status.pending else "good"),
        Cell(age(status.oldest_pending_s)) if status.pending else NOTHING,
        Cell(str(status.sent)),
        _bad(status.parked),
        _bad(status.dead),
        _state(status),
    ]


def _state(status: ExporterStatus) -> Cell:
    if status.stopped:
        return Cell(f"stopped: {status.problem}", "bad")
    if status.next_try is not None:
        return Cell(f"next try {status.next_try:%H:%M:%S} UTC: {status.problem}", "warn")
    if status.delivering:
        return Cell("delivering")
    return Cell("waits for the next delivery", "warn") if status.pending else Cell("everything delivered", "good")


def _why(status: ExporterStatus, reasons: Sequence[Reason]) -> Iterator[Block]:
    if reasons:
        yield Section(f"Not taken by {status.exporter}")
        rows = [
            [Cell(str(reason.count)), Cell(reason.state), Cell(reason.reason), Cell(reason.entry_id)]
            for reason in reasons
        ]
        yield Grid(_REASONS, rows)
    if status.parked or status.dead:
        which = " ".join(f"--{state}" for state in ("parked", "dead") if getattr(status, state))
        yield Note(f"`costtrace outbox replay {status.exporter} {which}` lets them be delivered again.", "dim")
    if status.stopped:
        yield Note(f"`costtrace outbox resume {status.exporter}` when what it says has been changed.", "dim")


def _bad(count: int) -> Cell:
    return Cell(str(count), "bad") if count else NOTHING


def age(seconds: float) -> str:
    """A span in its two largest units, for people: ``3 d 4 h``."""
    units = ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"), (1, "s"))
    left, words = int(seconds), list[str]()
    for size, unit in units:
        if left >= size or (unit == "s" and not words):
            words.append(f"{left // size} {unit}")
            left %= size
    return " ".join(words[:2])
