"""A message: whose it is, what happened when, what each step cost and how that was worked out, and the total."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from costtrace.cli.page import NOTHING, Block, Cell, Column, Facts, Grid, Note, Section, Title
from costtrace.cli.pages.amounts import NOTHING_BOUGHT, actual_cell, coverage_cell, lined_up, pending_cell
from costtrace.cli.pages.quotes import verdict, working
from costtrace.context import Context
from costtrace.entry import Entry, Kind, Standing
from costtrace.messages import Message, Totals
from costtrace.money import Money
from costtrace.reports import Turn
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
    steps = _steps(message.entries)
    return [
        Title(f"Message {message.uuid}{_as_known(at)}"),
        Facts([*_context(message.context), ("began", Cell(f"{message.started_at:%Y-%m-%d %H:%M:%S.%f} UTC"))]),
        Section("Timeline"),
        _timeline(message, steps),
        *_workings(steps),
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


def briefly(entry: Entry) -> str:
    """The kind of an entry and who served it, where what had been asked for stands elsewhere."""
    return f"{entry.kind} {entry.model or entry.provider or ''}".rstrip()


def outcome(entry: Entry) -> Cell:
    """How it ended."""
    if entry.error:
        return Cell(f"{entry.status}: {entry.error}", "bad")
    return Cell(entry.status, "" if entry.status == "completed" else "warn")


def cost_cell(entry: Entry) -> Cell:
    """The cost in a word or a number, that of a correction as a signed difference; the reason stands elsewhere."""
    is_correction = entry.kind == Kind.CORRECTION
    if entry.cost is not None:
        return Cell(_signed(entry.cost) if is_correction else str(entry.cost))
    if entry.estimate is not None:
        is_difference = is_correction or entry.replaces == Standing.PENDING
        return Cell(f"pending {_signed(entry.estimate) if is_difference else entry.estimate}", "warn")
    if entry.standing in (Standing.SETTLED, Standing.CALCULATED) and entry.replaces is not None:
        return Cell("no difference", "dim")
    return _WITHOUT_MONEY.get(entry.standing, NOTHING_BOUGHT)


def is_unpriced(entry: Entry) -> bool:
    """Whether it cost something that nobody could name."""
    return entry.standing is Standing.UNPRICED


def _signed(money: Money) -> str:
    return f"+{money}" if money.amount > 0 else str(money)


def _last_words(entries: Iterable[Entry]) -> list[Entry]:
    """The entries but for those whose place a later one took."""
    last: dict[str, Entry] = {}
    for entry in sorted(entries, key=_when_recorded):
        last[entry.details.get("corrects", entry.entry_id)] = entry
    return list(last.values())


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


def _steps(entries: Sequence[Entry]) -> list[_Step]:
    """The entries in the order of time, each followed by its corrections in the order they were made."""
    ids = {entry.entry_id for entry in entries}
    corrections: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=_when_recorded):
        if entry.kind == Kind.CORRECTION and entry.details.get("corrects") in ids:
            corrections.setdefault(entry.details["corrects"], []).append(entry)
    attached = {entry.entry_id for found in corrections.values() for entry in found}
    steps: list[_Step] = []
    for entry in entries:
        if entry.entry_id in attached:
            continue
        steps.append(_Step(number=len(steps) + 1, entry=entry, usage=entry.usage))
        first, believed = len(steps), entry
        for correction in corrections.get(entry.entry_id, ()):
            number = len(steps) + 1
            steps.append(_Step(number=number, entry=correction, corrects=first, believed=believed, usage=entry.usage))
            believed = correction
    return steps


def _context(context: Context) -> Iterator[tuple[str, Cell]]:
    for name, value in context.to_dict().items():
        if name == "tags":
            yield "tags", Cell(", ".join(f"{key}={tag}" for key, tag in value.items()))
        else:
            yield _LABELS.get(name, name), Cell(value)


def _timeline(message: Message, steps: Sequence[_Step]) -> Grid:
    head, costs = _costs([step.entry for step in steps])
    rows = [(*_row(step, message.started_at), cost) for step, cost in zip(steps, costs, strict=True)]
    return Grid((*_STEPS, Column(head, right=True, whole=True)), rows)


def _costs(entries: Sequence[Entry]) -> tuple[str, list[Cell]]:
    """The cost of each entry, lined up below a head that names the currency where there is only one."""
    known = [entry.cost for entry in entries if entry.cost is not None]
    if any(money.currency != "USD" for money in known):
        return "cost", [cost_cell(entry) for entry in entries]
    lined = iter(lined_up([money.amount for money in known]))
    return "cost USD", [cost_cell(entry) if entry.cost is None else _lined(entry, next(lined)) for entry in entries]


def _lined(entry: Entry, text: str) -> Cell:
    is_more = entry.kind == Kind.CORRECTION and entry.cost is not None and entry.cost.amount > 0
    return Cell(f"+{text}" if is_more else text)


def _row(step: _Step, began: datetime) -> tuple[Cell, ...]:
    entry, number = step.entry, Cell(str(step.number), "dim")
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


def _workings(steps: Sequence[_Step]) -> Iterator[Block]:
    explained: dict[str, int] = {}
    for step in steps:
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
    parts = [_signed(entry.cost)] if entry.cost is not None else []
    if entry.estimate is not None:
        parts.append(f"pending {_signed(entry.estimate)}")
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
