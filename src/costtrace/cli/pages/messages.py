"""A message: whose it is, what happened when, what each step cost and how that was worked out, and the total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from costtrace.cli.page import NOTHING, Block, Cell, Column, Facts, Grid, Note, Section, Title
from costtrace.cli.pages.amounts import NOTHING_BOUGHT, actual_cell, coverage_cell, lined_up, pending_cell, signed
from costtrace.cli.pages.quotes import verdict, working
from costtrace.cli.pages.sms_legs import (
    entry_cost,
    entry_outcome,
    is_sms,
    leg_blocks,
    leg_cost,
    leg_name,
    leg_outcome,
    leg_record,
    leg_verdict,
    legs_of,
)
from costtrace.context import Context
from costtrace.entry import Entry, Kind, Standing
from costtrace.messages import Message, Totals, encode_message
from costtrace.money import Money
from costtrace.reports import Turn
from costtrace.twilio.legs import Leg
from costtrace.usage import Usage

_LABELS = {"user_id": "user", "thread_id": "thread", "message_type": "type", "reply_to": "replies to"}
_SECOND_US = 1_000_000
_WITHOUT_MONEY: Mapping[str | None, Cell] = {
    Standing.UNPRICED: Cell("unpriced", "bad"),
    Standing.PENDING: Cell("pending", "warn"),
}
_STEPS = (
    Column("#", right=True),
    Column("time"),
    Column("what"),
    Column("status"),
    Column("in", right=True),
    Column("out", right=True),
    Column("took", right=True),
)


def message_page(message: Message, *, at: datetime | None = None) -> list[Block]:
    """All there is to know of one message, or was at that moment."""
    steps = _steps(message)
    return [
        Title(f"Message {message.uuid}{_as_known(at)}"),
        Facts([*_context(message.context), ("began", Cell(f"{message.started_at:%Y-%m-%d %H:%M:%S.%f} UTC"))]),
        Section("Timeline"),
        _timeline(message, steps),
        *_workings(steps, message.started_at),
        Section("Total"),
        Facts(list(total_facts(message.total, message.entries))),
    ]


def turn_page(turn: Turn, *, at: datetime | None = None) -> list[Block]:
    """A message, below what it answers, and what both cost together."""
    answered = turn.message.context.reply_to
    if turn.reply_to is not None:
        blocks = [*message_page(turn.reply_to, at=at), *message_page(turn.message, at=at)]
        entries = (*turn.reply_to.entries, *turn.message.entries)
    else:
        missing = f"Nothing was recorded under {answered}." if answered else "This message answers no other."
        blocks = [*message_page(turn.message, at=at), Section("What it answers"), Note(missing, "dim")]
        entries = turn.message.entries
    return [*blocks, Section("Total of the turn"), Facts(list(total_facts(turn.total, entries)))]


def message_record(message: Message) -> dict[str, Any]:
    """The message as JSON objects, with its SMS as they stand."""
    return {**encode_message(message), "sms": [leg_record(leg) for leg in legs_of(message)]}


def turn_record(turn: Turn) -> dict[str, Any]:
    """What is added to a message's JSON by what it answers."""
    return {**turn.to_dict(), "reply_to": turn.reply_to and message_record(turn.reply_to)}


def _as_known(at: datetime | None) -> str:
    return "" if at is None else f" as it was known at {at:%Y-%m-%d %H:%M:%S.%f} UTC"


def total_facts(total: Totals, entries: tuple[Entry, ...]) -> Iterator[tuple[str, Cell]]:
    """A total, and how complete it is."""
    actual = actual_cell(total)
    yield "actual", Cell(actual.text, actual.tone or "good")
    if total.estimated or total.pending:
        yield "pending", Cell(f"{pending_cell(total).text}, not in the actual amount", "warn")
    unpriced = [entry for entry in _last_words(entries) if is_unpriced(entry)] if total.unpriced > 0 else []
    for reason in dict.fromkeys(_reason(entry) for entry in unpriced):
        yield "unpriced", Cell(reason, "bad")
    complete = "" if total.complete else ": the actual amount is not the whole cost"
    if any(total.coverage.values()):
        yield "coverage", Cell(coverage_cell(total).text + complete, "" if total.complete else "warn")
    yield "tokens", Cell(f"{total.input_tokens} in, {total.output_tokens} out")


def what(entry: Entry) -> str:
    """The kind of an entry, who served it, and what had been asked for where that differs."""
    known = " ".join(word for word in (entry.kind, entry.provider, entry.model) if word)
    asked = entry.requested_model
    return f"{known} (asked for {asked})" if asked and asked != entry.model else known


def moment_of(entry: Entry) -> datetime:
    """When it happened; of what takes the place of an earlier entry, when it was learned."""
    return entry.occurred_at if entry.replaces is None else entry.recorded_at


def briefly(entry: Entry) -> str:
    """The kind of an entry and who served it, where what had been asked for stands elsewhere."""
    return f"{entry.kind} {entry.model or entry.provider or ''}".rstrip()


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


def _last_words(entries: Iterable[Entry]) -> list[Entry]:
    """The entries but for those whose place a later one took, be it an original or the later one of two."""
    last: dict[str, Entry] = {}
    for entry in sorted(entries, key=_when_recorded):
        last[entry.details.get("corrects", entry.entry_id)] = entry
    return [entry for entry in last.values() if last.get(entry.entry_id, entry) is entry]


def _when_recorded(entry: Entry) -> tuple[datetime, str]:
    return entry.recorded_at, entry.entry_id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """An entry as the page numbers it."""

    number: int
    entry: Entry
    corrects: int | None = None
    """The number of the step that it corrects."""
    believed: Entry | None = None
    """What was said last of the same thing before."""
    usage: Usage | None
    """What was used, by the entry itself or the one it corrects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _LegStep:
    """An SMS as the page numbers it: many entries, and one thing that costs."""

    number: int
    leg: Leg
    made_by: tuple[int, ...]
    """The numbers of the model calls that wrote it."""


_AnyStep = _Step | _LegStep


def _steps(message: Message) -> list[_AnyStep]:
    """What happened in the order of time; each entry followed by its corrections in the order they were made."""
    entries = [entry for entry in message.entries if not is_sms(entry)]
    corrections = _corrections(entries)
    attached = {entry.entry_id for found in corrections.values() for entry in found}
    things: list[Entry | Leg] = [*(entry for entry in entries if entry.entry_id not in attached), *legs_of(message)]
    steps: list[_AnyStep] = []
    for thing in sorted(things, key=_began):
        first = len(steps) + 1
        if isinstance(thing, Leg):
            steps.append(_LegStep(number=first, leg=thing, made_by=_makers(thing, steps)))
            continue
        steps.append(_Step(number=first, entry=thing, usage=thing.usage))
        believed = thing
        for correction in corrections.get(thing.entry_id, ()):
            number = len(steps) + 1
            steps.append(_Step(number=number, entry=correction, corrects=first, believed=believed, usage=thing.usage))
            believed = correction
    return steps


def _corrections(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The corrections of each of the entries, by its id."""
    ids = {entry.entry_id for entry in entries}
    corrections: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=_when_recorded):
        if entry.kind == Kind.CORRECTION and entry.details.get("corrects") in ids:
            corrections.setdefault(entry.details["corrects"], []).append(entry)
    return corrections


def _began(thing: Entry | Leg) -> datetime:
    return thing.started_at if isinstance(thing, Leg) else thing.occurred_at


def _makers(leg: Leg, steps: Iterable[_AnyStep]) -> tuple[int, ...]:
    links = leg.details.get("links", ())
    return tuple(step.number for step in steps if isinstance(step, _Step) and step.entry.source_id in links)


def _context(context: Context) -> Iterator[tuple[str, Cell]]:
    for name, value in context.to_dict().items():
        if name == "tags":
            yield "tags", Cell(", ".join(f"{key}={tag}" for key, tag in value.items()))
        else:
            yield _LABELS.get(name, name), Cell(value)


def _timeline(message: Message, steps: Sequence[_AnyStep]) -> Grid:
    head, costs = _costs(steps)
    rows = [(*_row(step, message.started_at), cost) for step, cost in zip(steps, costs, strict=True)]
    return Grid((*_STEPS, Column(head, right=True, whole=True)), rows)


def _costs(steps: Sequence[_AnyStep]) -> tuple[str, list[Cell]]:
    """The cost of each step, lined up below a head that names the currency where there is only one."""
    known = [money for step in steps if (money := _money(step)) is not None]
    if any(money.currency != "USD" for money in known):
        return "cost", [_cost(step) for step in steps]
    lined = iter(lined_up([money.amount for money in known]))
    return "cost USD", [_cost(step) if _money(step) is None else _lined(step, next(lined)) for step in steps]


def _money(step: _AnyStep) -> Money | None:
    return step.leg.price if isinstance(step, _LegStep) else step.entry.cost


def _cost(step: _AnyStep) -> Cell:
    return leg_cost(step.leg) if isinstance(step, _LegStep) else cost_cell(step.entry)


def _lined(step: _AnyStep, text: str) -> Cell:
    is_more = isinstance(step, _Step) and step.entry.kind == Kind.CORRECTION and not text.startswith("-")
    return Cell(f"+{text}" if is_more and text.strip("0.") else text)


def _row(step: _AnyStep, began: datetime) -> tuple[Cell, ...]:
    number = Cell(str(step.number), "dim")
    if isinstance(step, _LegStep):
        leg = step.leg
        when, said = Cell(_clock(leg.started_at, began)), Cell(leg_name(leg))
        return (number, when, said, leg_outcome(leg), NOTHING, NOTHING, NOTHING)
    entry = step.entry
    if step.corrects is not None:
        when, said = Cell(_clock(entry.recorded_at, began)), Cell(f"correction of {step.corrects}")
        return (number, when, said, Cell(_word(entry)), NOTHING, NOTHING, NOTHING)
    usage = entry.usage
    return (
        number,
        Cell(_clock(entry.occurred_at, began)),
        Cell(briefly(entry)),
        outcome(entry),
        Cell(str(usage.input_tokens)) if usage else NOTHING,
        Cell(str(usage.output_tokens)) if usage else NOTHING,
        Cell(_took(entry.duration_us)) if entry.duration_us is not None else NOTHING,
    )


def _word(entry: Entry) -> str:
    return (entry.cost_status or entry.status).replace("_", " ")


def _took(microseconds: int) -> str:
    if microseconds < _SECOND_US:
        return f"{microseconds / 1_000:.0f} ms"
    return f"{microseconds / _SECOND_US:.2f} s"


def _clock(moment: datetime, began: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.date() == began.date() else f"{moment:%Y-%m-%d %H:%M:%S}"


def _workings(steps: Sequence[_AnyStep], began: datetime) -> Iterator[Block]:
    explained: dict[str, int] = {}
    for step in steps:
        if isinstance(step, _LegStep):
            yield from _leg_working(step, began)
        else:
            yield from _entry_working(step, explained)


def _leg_working(step: _LegStep, began: datetime) -> Iterator[Block]:
    leg, cell = step.leg, leg_verdict(step.leg)
    name = f"{leg_name(leg)} {leg.sid}" if leg.sid else leg_name(leg)
    yield Section(f"{step.number}  {name}: {cell.text}", cell.tone)
    yield from leg_blocks(leg, partial(_clock, began=began), made_by=step.made_by)


def _entry_working(step: _Step, explained: dict[str, int]) -> Iterator[Block]:
    """The working of one entry; `explained` are the price lists that were named already, and by which step."""
    entry, quote = step.entry, step.entry.quote
    name = what(entry) if step.corrects is None else f"correction of {step.corrects}"
    cell = Cell(_unquoted(entry), "dim") if quote is None else verdict(quote)
    yield Section(f"{step.number}  {name}: {cell.text}", cell.tone)
    if step.believed is not None:
        yield Facts(list(_correction(entry, step.believed)))
    if quote is not None:
        first = explained.setdefault(quote.basis.json_text, step.number) if quote.basis else step.number
        yield from working(quote, step.usage, rates_as_for=first if first != step.number else None)


def _correction(entry: Entry, believed: Entry) -> Iterator[tuple[str, Cell]]:
    yield "believed", Cell(_unquoted(believed) if believed.quote is None else verdict(believed.quote).text)
    yield "because", Cell(str(entry.details.get("reason", "no reason was recorded")))
    parts = [signed(entry.cost)] if entry.cost is not None else []
    if entry.estimate is not None:
        parts.append(f"pending {signed(entry.estimate)}")
    yield "difference", Cell(", ".join(parts) or "none", "strong")
    yield "corrected", Cell(f"{entry.recorded_at:%Y-%m-%d %H:%M:%S.%f} UTC")


def _unquoted(entry: Entry) -> str:
    if entry.cost is not None:
        return f"{entry.cost}, as the seller named it"
    if entry.estimate is not None:
        return f"pending {entry.estimate}"
    return NOTHING_BOUGHT.text


def _reason(entry: Entry) -> str:
    return entry.reason or entry.cost_status or "no reason was recorded"
