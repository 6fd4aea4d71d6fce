"""One entry in words: what it is, how it ended, what it cost. Never a zero for the unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Final

from costtrace.entry import Entry, Kind, Standing
from costtrace.view.amounts import NOTHING_BOUGHT, signed
from costtrace.view.blocks import NOTHING, Cell
from costtrace.view.quotes import verdict
from costtrace.view.sms import entry_cost, entry_outcome, is_sms

_SECOND_US: Final = 1_000_000
_WITHOUT_MONEY: Final[Mapping[str | None, Cell]] = {
    Standing.UNPRICED: Cell("unpriced", "bad"),
    Standing.PENDING: Cell("pending", "warn"),
}


def what(entry: Entry) -> str:
    """The kind of an entry, who served it, and what had been asked for where that differs."""
    known = " ".join(word for word in (entry.kind, entry.provider, entry.model or tool_of(entry)) if word)
    asked = entry.requested_model
    return f"{known} (asked for {asked})" if asked and asked != entry.model else known


def moment_of(entry: Entry) -> datetime:
    """When it happened; of what takes the place of an earlier entry, when it was learned."""
    return entry.occurred_at if entry.replaces is None else entry.recorded_at


def briefly(entry: Entry) -> str:
    """The kind of an entry and who served it, where what had been asked for stands elsewhere."""
    return f"{entry.kind} {entry.model or tool_of(entry) or entry.provider or ''}".rstrip()


def tool_of(entry: Entry) -> str | None:
    """The tool that ran."""
    tool = entry.details.get("tool")
    return tool if isinstance(tool, str) and tool else None


def parent_run(entry: Entry) -> str | None:
    """The id of the run it happened within."""
    run = entry.details.get("parent_run_id")
    return run if isinstance(run, str) else None


def outcome(entry: Entry) -> Cell:
    """How it ended."""
    if is_sms(entry):
        return entry_outcome(entry)
    if entry.error:
        return Cell(f"{entry.status}: {entry.error}", "bad")
    return Cell(entry.status, "" if entry.status == "completed" else "warn")


def cost_cell(entry: Entry) -> Cell:
    """The cost in a word or a number, that of a correction as a signed difference; the reason stands elsewhere."""
    if is_sms(entry):
        return entry_cost(entry)
    if entry.kind == Kind.TOOL_RUN:
        return NOTHING
    is_correction = entry.kind == Kind.CORRECTION
    if entry.cost is not None:
        return Cell(signed(entry.cost) if is_correction else str(entry.cost))
    if entry.estimate is not None:
        is_difference = is_correction or entry.replaces == Standing.PENDING
        return Cell(f"pending {signed(entry.estimate) if is_difference else entry.estimate}", "warn")
    if entry.standing in (Standing.SETTLED, Standing.CALCULATED) and entry.replaces is not None:
        return Cell("no difference", "dim")
    return _WITHOUT_MONEY.get(entry.standing, NOTHING_BOUGHT)


def is_unpriced(entry: Entry) -> bool:
    """Whether it cost something that nobody could name."""
    return entry.standing is Standing.UNPRICED


def last_words(entries: Iterable[Entry]) -> list[Entry]:
    """The entries but for those whose place a later one took, be it an original or the later one of two."""
    last: dict[str, Entry] = {}
    for entry in sorted(entries, key=when_recorded):
        last[corrected(entry) or entry.entry_id] = entry
    return [entry for entry in last.values() if last.get(entry.entry_id, entry) is entry]


def corrected(entry: Entry) -> str | None:
    """The id of the entry whose place it takes."""
    found = entry.details.get("corrects")
    return found if isinstance(found, str) else None


def when_recorded(entry: Entry) -> tuple[datetime, str]:
    """What entries are sorted by, to have them as they were learned."""
    return entry.recorded_at, entry.entry_id


def word(entry: Entry) -> str:
    """How far a correction knows the cost now, in a word."""
    return (entry.cost_status or entry.status).replace("_", " ")


def took(microseconds: int) -> str:
    """A length of time, rounded for reading."""
    if microseconds < _SECOND_US:
        return f"{microseconds / 1_000:.0f} ms"
    return f"{microseconds / _SECOND_US:.2f} s"


def unquoted(entry: Entry) -> str:
    """The cost of an entry that has no quote."""
    if entry.cost is not None:
        return f"{entry.cost}, as the seller named it"
    if entry.estimate is not None:
        return f"pending {entry.estimate}"
    return NOTHING_BOUGHT.text


def reason_of(entry: Entry) -> str:
    """Why it has no price."""
    return entry.reason or entry.cost_status or "no reason was recorded"


def correction_facts(entry: Entry, believed: Entry) -> Iterator[tuple[str, Cell]]:
    """What a correction says: what was believed before, why it changed, and the difference."""
    yield "believed", Cell(unquoted(believed) if believed.quote is None else verdict(believed.quote).text)
    yield "because", Cell(str(entry.details.get("reason", "no reason was recorded")))
    parts = [signed(entry.cost)] if entry.cost is not None else []
    if entry.estimate is not None:
        parts.append(f"pending {signed(entry.estimate)}")
    yield "difference", Cell(", ".join(parts) or "none", "strong")
    yield "corrected", Cell(f"{entry.recorded_at:%Y-%m-%d %H:%M:%S.%f} UTC")
