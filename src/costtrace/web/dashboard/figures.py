"""Money and counts as the pages say them: every digit where it counts, few where a person glances."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final

from costtrace.messages import Amounts, Totals
from costtrace.money import amount_text

_CENTS: Final = Decimal("0.01")
_SIGNIFICANT: Final = Context(prec=3, rounding=ROUND_HALF_EVEN)
_WIDE: Final = Context(prec=100, rounding=ROUND_HALF_EVEN)
_SHORT: Final = 4
"""Decimals that a glance takes in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """An amount for a glance, and the whole of it."""

    short: str
    exact: str
    rounded: bool
    """Whether `short` is less than `exact`."""
    currency: str = ""


def figure(amount: Decimal, currency: str = "") -> Figure:
    """The amount as a headline: as it is where it is short, else to the cent, or to three digits below one."""
    exact = amount_text(amount)
    if len(exact.partition(".")[2]) <= _SHORT:
        return Figure(short=_grouped(exact), exact=exact, rounded=False, currency=currency)
    near = amount.quantize(_CENTS, context=_WIDE) if abs(amount) >= 1 else _SIGNIFICANT.plus(amount)
    return Figure(short=_grouped(f"{near:f}"), exact=exact, rounded=True, currency=currency)


def figures(amounts: Amounts) -> list[Figure]:
    """One for each currency; they are never converted."""
    return [figure(amount, currency) for currency, amount in amounts.items()]


def _grouped(text: str) -> str:
    whole, point, rest = text.partition(".")
    return f"{int(whole):,}{point}{rest}" if whole not in {"-0", "0"} else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One part of a bar, in hundredths of its length."""

    name: str
    count: int
    start: float
    width: float


def coverage_shares(total: Totals) -> list[Share]:
    """How well the costs behind a total are known, as parts of a whole; what is not there is left out."""
    counts = {name: count for name, count in total.coverage.items() if count > 0}
    whole, start, shares = sum(counts.values()), 0.0, list[Share]()
    for name, count in counts.items():
        width = 100 * count / whole
        shares.append(Share(name=name, count=count, start=start, width=width))
        start += width
    return shares
