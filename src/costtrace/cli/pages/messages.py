"""A message: whose it is, what happened when, what each step cost and how that was worked out, and the total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from costtrace.cli.page import NOTHING, Block, Cell, Column, Facts, Grid, Note, Section, Title
from costtrace.entry import Kind
from costtrace.messages import Message, encode_message
from costtrace.money import Money
from costtrace.reports import Turn
from costtrace.view.amounts import lined_up
from costtrace.view.entries import briefly, correction_facts, outcome, took, unquoted, what, word
from costtrace.view.items import EntryItem, Item, LegItem, item_cost, items_of
from costtrace.view.quotes import verdict, working
from costtrace.view.sms import leg_blocks, leg_name, leg_outcome, leg_record, leg_verdict, legs_of
from costtrace.view.totals import context_facts, total_facts

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
    steps = items_of(message)
    return [
        Title(f"Message {message.uuid}{_as_known(at)}"),
        Facts([*context_facts(message.context), ("began", Cell(f"{message.started_at:%Y-%m-%d %H:%M:%S.%f} UTC"))]),
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


def _timeline(message: Message, steps: Sequence[Item]) -> Grid:
    head, costs = _costs(steps)
    rows = [(*_row(step, message.started_at), cost) for step, cost in zip(steps, costs, strict=True)]
    return Grid((*_STEPS, Column(head, right=True, whole=True)), rows)


def _costs(steps: Sequence[Item]) -> tuple[str, list[Cell]]:
    """The cost of each step, lined up below a head that names the currency where there is only one."""
    known = [money for step in steps if (money := _money(step)) is not None]
    if any(money.currency != "USD" for money in known):
        return "cost", [item_cost(step) for step in steps]
    lined = iter(lined_up([money.amount for money in known]))
    return "cost USD", [item_cost(step) if _money(step) is None else _lined(step, next(lined)) for step in steps]


def _money(step: Item) -> Money | None:
    return step.leg.price if isinstance(step, LegItem) else step.entry.cost


def _lined(step: Item, text: str) -> Cell:
    is_more = isinstance(step, EntryItem) and step.entry.kind == Kind.CORRECTION and not text.startswith("-")
    return Cell(f"+{text}" if is_more and text.strip("0.") else text)


def _row(step: Item, began: datetime) -> tuple[Cell, ...]:
    number = Cell(str(step.number), "dim")
    if isinstance(step, LegItem):
        leg = step.leg
        when, said = Cell(_clock(leg.started_at, began)), Cell(leg_name(leg))
        return (number, when, said, leg_outcome(leg), NOTHING, NOTHING, NOTHING)
    entry = step.entry
    if step.corrects is not None:
        when, said = Cell(_clock(entry.recorded_at, began)), Cell(f"correction of {step.corrects}")
        return (number, when, said, Cell(word(entry)), NOTHING, NOTHING, NOTHING)
    usage = entry.usage
    return (
        number,
        Cell(_clock(entry.occurred_at, began)),
        Cell(briefly(entry)),
        outcome(entry),
        Cell(str(usage.input_tokens)) if usage else NOTHING,
        Cell(str(usage.output_tokens)) if usage else NOTHING,
        Cell(took(entry.duration_us)) if entry.duration_us is not None else NOTHING,
    )


def _clock(moment: datetime, began: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.date() == began.date() else f"{moment:%Y-%m-%d %H:%M:%S}"


def _workings(steps: Sequence[Item], began: datetime) -> Iterator[Block]:
    explained: dict[str, int] = {}
    for step in steps:
        if isinstance(step, LegItem):
            yield from _leg_working(step, began)
        elif step.entry.kind != Kind.TOOL_RUN:  # nothing to work out
            yield from _entry_working(step, explained)


def _leg_working(step: LegItem, began: datetime) -> Iterator[Block]:
    leg, cell = step.leg, leg_verdict(step.leg)
    name = f"{leg_name(leg)} {leg.sid}" if leg.sid else leg_name(leg)
    yield Section(f"{step.number}  {name}: {cell.text}", cell.tone)
    yield from leg_blocks(leg, partial(_clock, began=began), made_by=step.made_by)


def _entry_working(step: EntryItem, explained: dict[str, int]) -> Iterator[Block]:
    """The working of one entry; `explained` are the price lists that were named already, and by which step."""
    entry, quote = step.entry, step.entry.quote
    name = what(entry) if step.corrects is None else f"correction of {step.corrects}"
    cell = Cell(unquoted(entry), "dim") if quote is None else verdict(quote)
    yield Section(f"{step.number}  {name}: {cell.text}", cell.tone)
    if step.believed is not None:
        yield Facts(list(correction_facts(entry, step.believed)))
    if quote is not None:
        first = explained.setdefault(quote.basis.json_text, step.number) if quote.basis else step.number
        yield from working(quote, step.usage, rates_as_for=first if first != step.number else None)
