"""Message: the fold of all entries that carry one message_uuid. Order and repetition of the entries never matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from costtrace.context import Context
from costtrace.entry import Entry, encode_entry
from costtrace.errors import InvalidValue
from costtrace.money import EXACT, ZERO, Money, amount_text
from costtrace.quote import QuoteStatus


class Amounts(Mapping[str, Decimal]):
    """Exact sums by currency, such as ``{"USD": Decimal("0.003125")}``. Nothing is ever converted."""

    __slots__ = ("_by_currency",)

    def __init__(self, by_currency: Mapping[str, Decimal] | None = None) -> None:
        self._by_currency = dict(sorted((by_currency or {}).items()))

    def __getitem__(self, currency: str) -> Decimal:
        return self._by_currency[currency]

    def __iter__(self) -> Any:
        return iter(self._by_currency)

    def __len__(self) -> int:
        return len(self._by_currency)

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
        merged = dict(self._by_currency)
        for currency, amount in other.items():
            merged[currency] = EXACT.add(merged.get(currency, ZERO), amount)
        return Amounts(merged)

    def to_dict(self) -> dict[str, str]:
        """Money as text, by currency."""
        return {currency: amount_text(amount) for currency, amount in self._by_currency.items()}


_NOTHING = Amounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a set of entries costs, and how complete that answer is."""

    actual: Amounts = _NOTHING
    """Money we know we owe."""
    pending: Amounts = _NOTHING
    """Money we expect to owe, or the part of it that could be priced; not in `actual`."""
    settled: int = 0
    """Entries whose cost the seller itself named, or that cost nothing."""
    calculated: int = 0
    """Entries whose cost follows exactly from usage and price list."""
    estimated: int = 0
    """Entries that have only an estimate."""
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
        return not self.estimated and not self.unpriced

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
            pending=self.pending.plus(other.pending),
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
            "actual": self.actual.to_dict(),
            "pending": self.pending.to_dict(),
            "coverage": self.coverage,
            "complete": self.complete,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }


def totals_of(entry: Entry) -> Totals:
    """What one entry adds to a total."""
    usage, has_cost, has_estimate = entry.usage, entry.cost is not None, entry.estimate is not None
    calculated = has_cost and entry.cost_status == QuoteStatus.EXACT
    return Totals(
        actual=_amounts(entry.cost),
        pending=_amounts(entry.estimate),
        settled=int(has_cost and not calculated),
        calculated=int(calculated),
        estimated=int(has_estimate),
        unpriced=int(entry.quote is not None and not has_cost and not has_estimate),
        input_tokens=usage.input_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
    )


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


def encode_message(message: Message) -> dict[str, Any]:
    """The message as JSON objects, money as text; the entries as `encode_entry` writes them."""
    return {
        "message_uuid": message.uuid,
        "context": message.context.to_dict(),
        "total": message.total.to_dict(),
        "entries": [encode_entry(entry) for entry in message.entries],
    }
