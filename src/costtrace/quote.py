"""Quote: the price of one usage at one moment, with its working.

A quote never guesses. Where every billed unit has a rate the amount is exact; where an assumption was needed it is
``estimated``, between `low` and `high` where those can be known; where a billed unit has no rate, or a request option
selected none, it is ``partial`` and its amount is only what could be priced; where nothing could be priced there is no
amount at all, and `reason` says why. An amount that the provider itself named stands before what we compute, which is
kept beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from costtrace.errors import InvalidValue
from costtrace.money import EXACT, ZERO, Money, amount_text, check_amount, parse_amount


class QuoteStatus(StrEnum):
    """How far a quote can be trusted."""

    EXACT = "exact"
    """Every billed unit was priced at a rate known to apply."""
    PROVIDER_REPORTED = "provider_reported"
    """The provider itself said what it charged."""
    NOT_BILLED = "not_billed"
    """Known to cost nothing: LangChain answered from its cache."""
    ESTIMATED = "estimated"
    """Priced, but an assumption was needed; `Quote.assumptions` names it."""
    PARTIAL = "partial"
    """A billed unit has no rate, or a request option selected none: the amount is not the whole cost."""
    PENDING = "pending"
    """The seller says what it charges later; the amount, if any, is what we expect."""
    UNPRICED = "unpriced"
    """No rates for this provider and model at that time."""
    USAGE_MISSING = "usage_missing"
    """The provider, or the client, reported no usage."""
    INVALID_USAGE = "invalid_usage"
    """The reported usage contradicts itself."""
    OTHER = "other"
    """A word of a later version, which stands in `Quote.reason`; not actual."""


ACTUAL: Final = frozenset({QuoteStatus.EXACT, QuoteStatus.PROVIDER_REPORTED, QuoteStatus.NOT_BILLED})
"""The statuses whose amount is money we know we owe."""

_NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})


def _no_context() -> Mapping[str, str]:
    return _NO_CONTEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBasis:
    """Where the rates of a quote come from. Shared by all quotes of one model, context and day."""

    provider: str
    """Provider whose price list was used, such as ``openai``."""
    model: str
    """Name of the model in that price list."""
    rule: str
    """How the model was found: ``exact name``, ``dated snapshot``, ``own rates`` and others."""
    source: str
    """Name of the price list: ``genai-prices`` or the rates file."""
    version: str
    """Version of the price list, and of the lists that changed its rates."""
    data_hash: str
    """SHA-256 (first 16 hex digits) of the price data, of several lists with a plus in between."""
    url: str | None = None
    """The provider's own price page, where known."""
    effective_from: date | None = None
    """First UTC day on which these rates applied; None where the list does not say."""
    effective_until: date | None = None
    """Last UTC day for which they are known to apply; None where the list does not say."""
    checked_on: date | None = None
    """When somebody last compared them with the provider's page; None where the list does not say."""
    adjustments: tuple[str, ...] = ()
    """What changed the list's rates, one sentence each, with its source."""
    context_used: Mapping[str, str] = field(default_factory=_no_context)
    """Request options that selected a rate, such as ``service_tier: flex``."""
    context_ignored: Mapping[str, str] = field(default_factory=_no_context)
    """Request options for which the list holds no rate of its own."""
    rates: Mapping[str, str] = field(default_factory=_no_context)
    """For each bucket, which line of which list its rate comes from."""

    json_text: str = field(init=False, repr=False, compare=False)
    """The basis as JSON, made once, because every entry of the day repeats it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "json_text", json.dumps(self.to_dict(), separators=(",", ":")))

    def to_dict(self) -> dict[str, Any]:
        """The basis as JSON objects; dates as ISO text."""
        return {
            "provider": self.provider,
            "model": self.model,
            "rule": self.rule,
            "source": self.source,
            "version": self.version,
            "data_hash": self.data_hash,
            "url": self.url,
            "effective_from": _day_text(self.effective_from),
            "effective_until": _day_text(self.effective_until),
            "checked_on": _day_text(self.checked_on),
            "adjustments": list(self.adjustments),
            "context_used": dict(self.context_used),
            "context_ignored": dict(self.context_ignored),
            "rates": dict(self.rates),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PriceBasis:
        """The basis that `to_dict` wrote; keys of a later version are left aside."""
        return cls(
            provider=record["provider"],
            model=record["model"],
            rule=record["rule"],
            source=record["source"],
            version=record["version"],
            data_hash=record["data_hash"],
            url=record.get("url"),
            effective_from=_day(record.get("effective_from")),
            effective_until=_day(record.get("effective_until")),
            checked_on=_day(record.get("checked_on")),
            adjustments=tuple(record.get("adjustments") or ()),
            context_used=MappingProxyType(dict(record.get("context_used") or {})),
            context_ignored=MappingProxyType(dict(record.get("context_ignored") or {})),
            rates=MappingProxyType(dict(record.get("rates") or {})),
        )


def _day_text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


_SHIFTS: Final[Mapping[int, int]] = MappingProxyType({1: 0, 1_000: -3, 1_000_000: -6})


@lru_cache(maxsize=1024)
def unit_price(price: Decimal, per: int) -> Decimal:
    """What one unit costs, exactly, when `per` units (1, 1,000 or 1,000,000) cost that price."""
    if per not in _SHIFTS:
        raise InvalidValue("rate.per", per, "1, 1000 or 1000000")
    return price.scaleb(_SHIFTS[per], EXACT)


class QuoteLine(NamedTuple):
    """One line of the working: quantity x rate / per = subtotal, exactly."""

    bucket: str
    """The usage bucket that was priced."""
    quantity: int
    rate: Decimal
    """Price of `per` units, in the quote's currency."""
    per: int
    """Units that `rate` buys: 1,000,000 for token prices."""

    @property
    def subtotal(self) -> Decimal:
        """What the quantity costs, exactly."""
        return EXACT.multiply(unit_price(self.rate, self.per), self.quantity)

    def __str__(self) -> str:
        return f"{self.quantity} {self.bucket} x {amount_text(self.rate)} / {self.per} = {amount_text(self.subtotal)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The price of one usage, how it was found, and how far it can be trusted."""

    status: QuoteStatus
    amount: Decimal | None
    """Sum of the lines, unrounded, or what the provider named; None where nothing could be priced."""
    currency: str = "USD"
    low: Decimal | None = None
    """The least it can be, whatever turns out of the assumptions; None where that is not known."""
    high: Decimal | None = None
    computed: Decimal | None = None
    """Sum of the lines, where the provider named its own amount."""
    lines: tuple[QuoteLine, ...] = ()
    reason: str | None = None
    """Why there is no amount, or why it is not the whole cost."""
    assumptions: tuple[str, ...] = ()
    """What had to be assumed, as ``name=value``."""
    basis: PriceBasis | None = None
    """None where no price list had a say."""

    def __post_init__(self) -> None:
        if self.amount is not None:
            if type(self.amount) is not Decimal or not self.amount.is_finite():
                check_amount(self.amount, "quote.amount")
        elif self.status in ACTUAL:
            raise InvalidValue("quote.amount", None, f"an amount, since the status is {self.status.value!r}")
        if self.status is QuoteStatus.NOT_BILLED and self.amount != ZERO:
            raise InvalidValue("quote.amount", self.amount, "zero, since nothing was billed")

    @property
    def money(self) -> Money | None:
        """The amount with its currency."""
        return None if self.amount is None else Money(self.amount, self.currency)

    @property
    def is_actual(self) -> bool:
        """Whether the amount is money we know we owe."""
        return self.status in ACTUAL

    def to_dict(self, *, with_basis: bool = True) -> dict[str, Any]:
        """The quote as JSON objects; money as text."""
        sources = _NO_CONTEXT if self.basis is None else self.basis.rates
        record: dict[str, Any] = {
            "status": self.status.value,
            "amount": _optional_text(self.amount),
            "currency": self.currency,
            "low": _optional_text(self.low),
            "high": _optional_text(self.high),
            "computed": _optional_text(self.computed),
            "lines": [
                {
                    "bucket": line.bucket,
                    "quantity": line.quantity,
                    "rate": _rate_text(line.rate),
                    "per": line.per,
                    "subtotal": amount_text(line.subtotal),
                    "source": sources.get(line.bucket),
                }
                for line in self.lines
            ],
            "reason": self.reason,
            "assumptions": list(self.assumptions),
        }
        if with_basis:
            record["basis"] = self.basis and self.basis.to_dict()
        return record

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], basis: PriceBasis | None = None) -> Quote:
        """The quote that `to_dict` wrote; `basis` where it was kept apart."""
        known = record["status"] in QuoteStatus.__members__.values()
        status = QuoteStatus(record["status"]) if known else QuoteStatus.OTHER
        if basis is None and record.get("basis"):
            basis = PriceBasis.from_dict(record["basis"])
        return cls(
            status=status,
            amount=_optional_amount(record, "amount"),
            currency=record["currency"],
            low=_optional_amount(record, "low"),
            high=_optional_amount(record, "high"),
            computed=_optional_amount(record, "computed"),
            lines=tuple(
                QuoteLine(
                    line["bucket"],
                    line["quantity"],
                    parse_amount(line["rate"], "line.rate"),
                    line["per"],
                )
                for line in record["lines"]
            ),
            reason=record.get("reason") if known else f"status {record['status']!r}",
            assumptions=tuple(record.get("assumptions") or ()),
            basis=basis,
        )


_new_quote: Final = object.__new__
(
    _set_status,
    _set_amount,
    _set_currency,
    _set_low,
    _set_high,
    _set_computed,
    _set_lines,
    _set_reason,
    _set_assumptions,
    _set_basis,
) = (Quote.__dict__[slot.name].__set__ for slot in fields(Quote))


def exact_quote(amount: Decimal, currency: str, lines: tuple[QuoteLine, ...], basis: PriceBasis | None) -> Quote:
    """The quote of a sum of lines at rates known to apply, three times as fast as the constructor, which checks."""
    quote = _new_quote(Quote)
    _set_status(quote, QuoteStatus.EXACT)
    _set_amount(quote, amount)
    _set_currency(quote, currency)
    _set_low(quote, None)
    _set_high(quote, None)
    _set_computed(quote, None)
    _set_lines(quote, lines)
    _set_reason(quote, None)
    _set_assumptions(quote, ())
    _set_basis(quote, basis)
    return quote


_rate_text: Final = lru_cache(maxsize=1024)(amount_text)
"""The rates of a price list come again and again."""


def _optional_text(amount: Decimal | None) -> str | None:
    return None if amount is None else amount_text(amount)


def _optional_amount(record: Mapping[str, Any], name: str) -> Decimal | None:
    text = record.get(name)
    return None if text is None else parse_amount(text, f"quote.{name}")


def no_quote(status: QuoteStatus, reason: str, basis: PriceBasis | None = None) -> Quote:
    """A quote without an amount."""
    return Quote(status=status, amount=None, reason=reason, basis=basis)
