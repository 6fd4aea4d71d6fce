"""Message: the fold of all entries that carry one message_uuid. Order and repetition of the entries never matter."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from costtrace.context import Context
from costtrace.entry import Entry, Standing, encode_entry
from costtrace.errors import InvalidValue
from costtrace.money import EXACT, ZERO, Money, amount_text
from costtrace.times import moment_text

_NONE: Final[Mapping[str, Decimal]] = MappingProxyType({})


class Amounts(Mapping[str, Decimal]):
    """Exact sums by currency, such as ``{"USD": Decimal("0.003125")}``. Nothing is ever converted."""

    __slots__ = ("_by_currency",)

    def __init__(self, by_currency: Mapping[str, Decimal] | None = None) -> None:
        self._by_currency = dict(by_currency or _NONE)
        if len(self._by_currency) > 1:
            self._by_currency = dict(sorted(self._by_currency.items()))

    def __getitem__(self, currency: str) -> Decimal:
        return self._by_currency[currency]

    def __iter__(self) -> Any:
        return iter(self._by_currency)

    def __len__(self) -> int:
        return len(self._by_currency)

    def items(self) -> ItemsView[str, Decimal]:
        """By currency, sorted."""
        return self._by_currency.items()

    def __hash__(self) -> int:
        return hash(tuple(self._by_currency.items()))

    def __repr__(self) -> str:
        return f"Amounts({self})"

    def __str__(self) -> str:
        return " + ".join(f"{amount_text(a)} {c}" for c, a in self._by_currency.items()) or "0"

    @property
    def usd(self) -> Decimal:
        """The part in US dollars; zero where there is none."""
        return self._by_currency.get("USD", ZERO)

    def plus(self, other: Mapping[str, Decimal]) -> Amounts:
        """Both, currency by currency."""
        if not other:
            return self
        merged = dict(self._by_currency)
        for currency, amount in other.items():
            merged[currency] = EXACT.add(merged.get(currency, ZERO), amount)
        return Amounts(merged)

    def without_zeros(self) -> Amounts:
        """The currencies of which something is left."""
        if all(self._by_currency.values()):
            return self
        return Amounts({currency: amount for currency, amount in self._by_currency.items() if amount})

    def to_dict(self) -> dict[str, str]:
        """Money as text, by currency."""
        return {currency: amount_text(amount) for currency, amount in self._by_currency.items()}


_NOTHING = Amounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a set of entries costs, and how complete that answer is.

    An entry that takes the place of another adds its difference to the sums and moves one count from where the other
    stood. So the counts of a set that holds only the later one of two can be below zero.
    """

    actual: Amounts = _NOTHING
    """Money we know we owe."""
    pending: Amounts = _NOTHING
    """Money we expect to owe, or the part of it that could be priced; not in `actual`, and never a zero."""
    settled: int = 0
    """Entries whose cost the seller itself named, or that cost nothing."""
    calculated: int = 0
    """Entries whose cost follows exactly from usage and price list."""
    estimated: int = 0
    """Entries that have only an estimate, or whose seller will name the cost later."""
    unpriced: int = 0
    """Entries that cost something nobody could name; each says why."""
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def entries(self) -> int:
        """How many entries could cost something."""
        return self.settled + self.calculated + self.estimated + self.unpriced

    @property
    def complete(self) -> bool:
        """Whether `actual` is the whole cost."""
        return self.estimated <= 0 and self.unpriced <= 0

    @property
    def known(self) -> Amounts:
        """`actual`, without the zeros of money that was taken back: where no cost is known, or another currency is."""
        without = self.actual.without_zeros()
        return without if without or not self.settled + self.calculated else self.actual

    @property
    def coverage(self) -> dict[str, int]:
        """How many entries stand behind the total, by how well their cost is known."""
        return {
            "settled": self.settled,
            "calculated": self.calculated,
            "pending": self.estimated,
            "unpriced": self.unpriced,
        }

    def plus(self, other: Totals) -> Totals:
        """The totals of both sets of entries; the sets must not overlap."""
        return Totals(
            actual=self.actual.plus(other.actual),
            pending=self.pending.plus(other.pending).without_zeros(),
            settled=self.settled + other.settled,
            calculated=self.calculated + other.calculated,
            estimated=self.estimated + other.estimated,
            unpriced=self.unpriced + other.unpriced,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
        )

    def to_dict(self) -> dict[str, Any]:
        """The totals as JSON objects, money as text."""
        return {
            "actual": self.known.to_dict(),
            "pending": self.pending.to_dict(),
            "coverage": self.coverage,
            "complete": self.complete,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


def totals_of(entry: Entry) -> Totals:
    """What one entry adds to a total; the one that replaces another takes that one's standing away."""
    usage, stands = entry.usage, entry.standing
    counts = {} if stands is None else {_COUNTS[stands]: 1}
    if entry.replaces is not None:
        name = _COUNTS[entry.replaces]
        counts[name] = counts.get(name, 0) - 1
    return Totals(
        actual=_amounts(entry.cost),
        pending=_amounts(entry.estimate).without_zeros(),
        input_tokens=usage.input_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
        **counts,
    )


_COUNTS: Final[Mapping[str, str]] = {
    Standing.SETTLED: "settled",
    Standing.CALCULATED: "calculated",
    Standing.PENDING: "estimated",
    Standing.UNPRICED: "unpriced",
}


def _amounts(money: Money | None) -> Amounts:
    return _NOTHING if money is None else Amounts({money.currency: money.amount})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat message: everything recorded under its uuid, and what that adds up to."""

    uuid: str
    entries: tuple[Entry, ...]
    """By time, each once."""
    context: Context
    """What the entries together know of whose message it is; the earliest entry that says so wins."""
    total: Totals

    @property
    def started_at(self) -> datetime:
        """When its first entry began."""
        return self.entries[0].occurred_at

    def _repr_html_(self) -> str | None:
        """What a notebook shows; None without jinja2, whereupon it shows text."""
        from costtrace.view.notebook import message_html  # noqa: PLC0415 - from above, and only a notebook asks

        return message_html(self)


def fold(entries: Iterable[Entry]) -> Message:
    """The message that these entries are; any order and any repetition of them gives the same one.

    Raises InvalidValue where there is no entry, or entries of two messages.
    """
    ordered = sorted(entries, key=lambda entry: (entry.occurred_at, entry.entry_id, entry.recorded_at))
    by_id: dict[str, Entry] = {}
    for entry in ordered:
        by_id.setdefault(entry.entry_id, entry)
    uuids = {entry.message_uuid for entry in by_id.values()}
    if len(uuids) != 1:
        raise InvalidValue("entries", sorted(uuids), "entries of exactly one message")
    context = Context()
    total = Totals()
    for entry in by_id.values():
        context = context.over(entry.context)
        total = total.plus(totals_of(entry))
    return Message(uuid=uuids.pop(), entries=tuple(by_id.values()), context=context, total=total)


def as_of(message: Message, moment: datetime) -> Message:
    """The message as it was known at that moment: what had been recorded by then.

    Raises InvalidValue naming the moment of the first record where that is later.
    """
    known = [entry for entry in message.entries if entry.recorded_at <= moment]
    if not known:
        first = moment_text(min(entry.recorded_at for entry in message.entries))
        expected = f"{first} or later, when the first entry of message {message.uuid!r} was recorded"
        raise InvalidValue("as of", moment_text(moment), expected)
    return fold(known)


def encode_message(message: Message) -> dict[str, Any]:
    """The message as JSON objects, money as text; the entries as `encode_entry` writes them."""
    return {
        "message_uuid": message.uuid,
        "context": message.context.to_dict(),
        "total": message.total.to_dict(),
        "entries": [encode_entry(entry) for entry in message.entries],
    }
