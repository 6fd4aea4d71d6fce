"""Money: an exact Decimal that never travels without its currency.

Arithmetic happens in a context that traps rounding: a sum either is exact or raises. Nothing here knows how to round,
because rounding is for text that people read, and that lives where the text is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow, Rounded
from typing import Final

from costtrace.errors import CurrencyMismatch, InvalidValue

EXACT: Final = Context(
    prec=400, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact, Rounded, InvalidOperation, Overflow, Clamped]
)
"""Multiplies and adds without ever rounding: what does not fit 400 digits raises instead."""

ZERO: Final = Decimal(0)

PICO_DIGITS: Final = 12
NANO_DIGITS: Final = 9
INT64_MAX: Final = 2**63 - 1
_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
_MAX_EXPONENT: Final = 40


def check_amount(value: object, field: str) -> Decimal:
    """The value itself when it is a finite Decimal of a size money can have; otherwise InvalidValue naming the field.

    Floats are refused even when they look right: 0.1 is not one tenth. Forty digits either side of the point are
    more than any price or sum needs, and keep a stray ``1E+999999`` from filling memory when it is printed.
    """
    if type(value) is not Decimal:
        raise InvalidValue(field, value, 'a Decimal, such as Decimal("0.0079")')
    text = str(value)
    if len(text) <= _MAX_EXPONENT and text.isascii() and "E" not in text and value.is_finite():
        return value
    if not value.is_finite():
        raise InvalidValue(field, value, "a finite amount")
    exponent = value.as_tuple().exponent
    if value.adjusted() > _MAX_EXPONENT or not isinstance(exponent, int) or exponent < -_MAX_EXPONENT:
        raise InvalidValue(field, value, "at most 40 digits on either side of the decimal point")
    return value


def check_currency(value: object, field: str = "currency") -> str:
    """The value itself when it is an ISO 4217 code in capitals, such as ``USD``; otherwise InvalidValue."""
    if type(value) is not str or not _CURRENCY.match(value):
        raise InvalidValue(field, value, "a three-letter ISO 4217 code such as 'USD'")
    return value


def parse_amount(text: object, field: str) -> Decimal:
    """The exact Decimal written in a text such as ``"0.00790"``; raises InvalidValue naming the field."""
    if type(text) is not str:
        raise InvalidValue(field, text, "an amount written as text")
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise InvalidValue(field, text, "an amount written as text, such as '0.0079'") from None
    return check_amount(amount, field)


def amount_text(amount: Decimal) -> str:
    """The shortest plain decimal that is exactly this amount: ``0.003125``, never ``3.125E-3`` or ``0.0031250``."""
    text = str(amount)
    if "E" in text:
        text = format(amount, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def amount_pico(amount: Decimal) -> int | None:
    """The amount as an integer of 1e-12, or None where it is finer than that or does not fit 64 bits."""
    scaled = amount.scaleb(PICO_DIGITS, EXACT)
    integer = int(scaled)
    return integer if -INT64_MAX <= integer <= INT64_MAX and integer == scaled else None


def pico_amount(pico: int) -> Decimal:
    """The exact amount of an integer of 1e-12."""
    return Decimal(pico).scaleb(-PICO_DIGITS, EXACT)


@dataclass(frozen=True, slots=True, kw_only=False)
class Money:
    """An exact amount of one currency, for instance ``Money("0.0079")`` or ``Money(Decimal("-0.0075"), "EUR")``.

    Accepts text, int or Decimal; refuses float, bool, NaN and infinity. Sums of different currencies raise
    CurrencyMismatch.
    """

    amount: Decimal
    """Exact, in whole units of the currency; may be negative (a credit)."""
    currency: str = "USD"
    """ISO 4217 code."""

    def __init__(self, amount: Decimal | int | str, currency: str = "USD") -> None:
        if type(amount) is str:
            amount = parse_amount(amount, "amount")
        elif type(amount) is int:
            amount = Decimal(amount)
        object.__setattr__(self, "amount", check_amount(amount, "amount"))
        object.__setattr__(self, "currency", currency if currency == "USD" else check_currency(currency))

    def __str__(self) -> str:
        return f"{amount_text(self.amount)} {self.currency}"

    def __repr__(self) -> str:
        return f"Money({amount_text(self.amount)!r}, {self.currency!r})"

    def __neg__(self) -> Money:
        return Money(self.amount.copy_negate(), self.currency)

    def __add__(self, other: Money) -> Money:
        return Money(EXACT.add(self.amount, self._same(other).amount), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(EXACT.subtract(self.amount, self._same(other).amount), self.currency)

    def __mul__(self, times: Decimal | int) -> Money:
        factor = Decimal(times) if type(times) is int else check_amount(times, "factor")
        return Money(EXACT.multiply(self.amount, factor), self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other).amount

    def __le__(self, other: Money) -> bool:
        return self.amount <= self._same(other).amount

    def _same(self, other: object) -> Money:
        if not isinstance(other, Money):
            raise InvalidValue("money", other, "Money")
        if other.currency != self.currency:
            raise CurrencyMismatch("currency", other.currency, f"{self.currency}, as in the other amount")
        return other
