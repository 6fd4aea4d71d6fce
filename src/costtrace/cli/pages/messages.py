"""A message: whose it is, what happened when, what each step cost and how that was worked out, and the total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from costtrace.cli.page import NOTHING, Block, Cell, Column, Facts, Grid, Note, Section, Title
from costtrace.cli.pages.amounts import NOTHING_BOUGHT, actual_cell, coverage_cell, lined_up, pending_cell
from costtrace.cli.pages.quotes import verdict, working
from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.messages import Message, Totals
from costtrace.reports import Turn

_LABELS = {"user_id": "user", "thread_id": "thread", "message_type": "type", "reply_to": "replies to"}
_SECOND_US = 1_000_000
_STEPS = (
    Column("#", right=True),
    Column("time"),
    Column("what"),
    Column("status"),
    Column("in", right=True),
    Column("out", right=True),
    Column("took", right=True),
)


def message_page(message: Message) -> list[Block]:
    """All there is to know of one message."""
    return [
        Title(f"Message {message.uuid}"),
        Facts([*_context(message.context), ("began", Cell(f"{message.started_at:%Y-%m-%d %H:%M:%S.%f} UTC"))]),
        Section("Timeline"),
        _timeline(message),
        *_workings(message),
        Section("Total"),
        Facts(list(total_facts(message.total, message.entries))),
    ]


def turn_page(turn: Turn) -> list[Block]:
    """A message, below what it answers, and what both cost together."""
    answered = turn.message.context.reply_to
    if turn.reply_to is not None:
        blocks = [*message_page(turn.reply_to), *message_page(turn.message)]
        entries = (*turn.reply_to.entries, *turn.message.entries)
    else:
        missing = f"Nothing was recorded under {answered}." if answered else "This message answers no other."
        blocks = [*message_page(turn.message), Section("What it answers"), Note(missing, "dim")]
        entries = turn.message.entries
    return [*blocks, Section("Total of the turn"), Facts(list(total_facts(turn.total, entries)))]


def total_facts(total: Totals, entries: tuple[Entry, ...]) -> Iterator[tuple[str, Cell]]:
    """A total, and how complete it is."""
    actual = actual_cell(total)
    yield "actual", Cell(actual.text, actual.tone or "good")
    if total.estimated:
        yield "pending", Cell(f"{pending_cell(total).text}, not in the actual amount", "warn")
    for reason in dict.fromkeys(_reason(entry) for entry in entries if is_unpriced(entry)):
        yield "unpriced", Cell(reason, "bad")
    complete = "" if total.complete else ": the actual amount is not the whole cost"
    if total.entries:
        yield "coverage", Cell(coverage_cell(total).text + complete, "" if total.complete else "warn")
    yield "tokens", Cell(f"{total.input_tokens} in, {total.output_tokens} out")


def what(entry: Entry) -> str:
    """The kind of an entry, who served it, and what had been asked for where that differs."""
    known = " ".join(word for word in (entry.kind, entry.provider, entry.model) if word)
    asked = entry.requested_model
    return f"{known} (asked for {asked})" if asked and asked != entry.model else known


def briefly(entry: Entry) -> str:
    """The kind of an entry and who served it, where what had been asked for stands elsewhere."""
    return f"{entry.kind} {entry.model or entry.provider or ''}".rstrip()


def outcome(entry: Entry) -> Cell:
    """How it ended."""
    if entry.error:
        return Cell(f"{entry.status}: {entry.error}", "bad")
    return Cell(entry.status, "" if entry.status == "completed" else "warn")


def cost_cell(entry: Entry) -> Cell:
    """The cost in a word or a number; the reason stands elsewhere."""
    if entry.cost is not None:
        return Cell(str(entry.cost))
    if entry.estimate is not None:
        return Cell(f"pending {entry.estimate}", "warn")
    return Cell("unpriced", "bad") if is_unpriced(entry) else NOTHING_BOUGHT


def is_unpriced(entry: Entry) -> bool:
    """Whether it cost something that nobody could name."""
    return entry.quote is not None and entry.cost is None and entry.estimate is None


def _context(context: Context) -> Iterator[tuple[str, Cell]]:
    for name, value in context.to_dict().items():
        if name == "tags":
            yield "tags", Cell(", ".join(f"{key}={tag}" for key, tag in value.items()))
        else:
            yield _LABELS.get(name, name), Cell(value)


def _timeline(message: Message) -> Grid:
    head, costs = _costs(message.entries)
    steps = [_step(number, entry, message) for number, entry in enumerate(message.entries, 1)]
    rows = [(*step, cost) for step, cost in zip(steps, costs, strict=True)]
    return Grid((*_STEPS, Column(head, right=True, whole=True)), rows)


def _costs(entries: Sequence[Entry]) -> tuple[str, list[Cell]]:
    """The cost of each entry, lined up below a head that names the currency where there is only one."""
    known = [entry.cost for entry in entries if entry.cost is not None]
    if any(money.currency != "USD" for money in known):
        return "cost", [cost_cell(entry) for entry in entries]
    lined = iter(lined_up([money.amount for money in known]))
    return "cost USD", [cost_cell(entry) if entry.cost is None else Cell(next(lined)) for entry in entries]


def _step(number: int, entry: Entry, message: Message) -> tuple[Cell, ...]:
    usage = entry.usage
    return (
        Cell(str(number), "dim"),
        Cell(_clock(entry.occurred_at, message.started_at)),
        Cell(briefly(entry)),
        outcome(entry),
        Cell(str(usage.input_tokens)) if usage else NOTHING,
        Cell(str(usage.output_tokens)) if usage else NOTHING,
        Cell(_took(entry.duration_us)) if entry.duration_us is not None else NOTHING,
    )


def _took(microseconds: int) -> str:
    if microseconds < _SECOND_US:
        return f"{microseconds / 1_000:.0f} ms"
    return f"{microseconds / _SECOND_US:.2f} s"


def _clock(moment: datetime, began: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.date() == began.date() else f"{moment:%Y-%m-%d %H:%M:%S}"


def _workings(message: Message) -> Iterator[Block]:
    explained: dict[str, int] = {}
    for number, entry in enumerate(message.entries, 1):
        quote = entry.quote
        if quote is None:
            yield Section(f"{number}  {what(entry)}: {_unquoted(entry)}", "dim")
            continue
        cell = verdict(quote)
        yield Section(f"{number}  {what(entry)}: {cell.text}", cell.tone)
        first = explained.setdefault(quote.basis.json_text, number) if quote.basis else number
        yield from working(quote, entry.usage, rates_as_for=first if first != number else None)


def _unquoted(entry: Entry) -> str:
    if entry.cost is not None:
        return f"{entry.cost}, as the seller named it"
    if entry.estimate is not None:
        return f"pending {entry.estimate}"
    return NOTHING_BOUGHT.text


def _reason(entry: Entry) -> str:
    return entry.reason or entry.cost_status or "no reason was recorded"
