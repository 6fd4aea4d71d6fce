"""What was replaced counts no more: the groups of one message without what others of them took away.

An entry that takes the place of another counts that one away where it stands itself, so that plain sums come out right.
Grouped by what the two differ in, such as their status, one group has too much and another less than nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import reduce
from typing import Final

from costtrace.messages import Amounts, Totals
from costtrace.money import EXACT, ZERO

_COUNTS: Final = ("settled", "calculated", "estimated", "unpriced")


def set_off(totals: Sequence[Totals]) -> Iterator[Totals]:
    """The totals of one message's groups, with what one of them takes away gone from those that had it.

    Money that was owed goes the same way only where a group takes back more than it has: a credit stays where it is.
    """
    counts = {name: _level([Decimal(getattr(total, name)) for total in totals]) for name in _COUNTS}
    pending = _amounts_level([total.pending for total in totals])
    takes_back = any(total.settled + total.calculated < 0 for total in totals)
    actual = _amounts_level([total.actual for total in totals]) if takes_back else [total.actual for total in totals]
    for number, total in enumerate(totals):
        left = {name: int(values[number]) for name, values in counts.items()}
        yield replace(total, actual=actual[number], pending=pending[number], **left)


def moved(before: Totals, after: Totals, times: int) -> Totals:
    """What so many groups have to be given for those that were as before to be as after."""
    return Totals(
        actual=_moved(before.actual, after.actual, times),
        pending=_moved(before.pending, after.pending, times),
        **{name: (getattr(after, name) - getattr(before, name)) * times for name in _COUNTS},
    )


def _moved(before: Amounts, after: Amounts, times: int) -> Amounts:
    currencies = {*before, *after}
    differences = {name: EXACT.subtract(after.get(name, ZERO), before.get(name, ZERO)) for name in currencies}
    return Amounts({name: EXACT.multiply(amount, times) for name, amount in differences.items() if amount})


def _level(values: Sequence[Decimal]) -> list[Decimal]:
    """The same sum without negative values, as far as the positive ones reach; what is left stands with the first."""
    owed = reduce(EXACT.subtract, (value for value in values if value < 0), ZERO)
    left = []
    for value in values:
        taken = min(max(value, ZERO), owed)
        owed = EXACT.subtract(owed, taken)
        left.append(EXACT.subtract(max(value, ZERO), taken))
    if owed:
        first = next(number for number, value in enumerate(values) if value < 0)
        left[first] = EXACT.subtract(left[first], owed)
    return left


def _amounts_level(amounts: Sequence[Amounts]) -> list[Amounts]:
    """The same, currency by currency; a currency of which nothing is left is gone."""
    left: list[dict[str, Decimal]] = [{} for _ in amounts]
    for currency in {currency for one in amounts for currency in one}:
        for found, before, value in zip(
            left, amounts, _level([one.get(currency, ZERO) for one in amounts]), strict=True
        ):
            if value or before.get(currency) == 0:
                found[currency] = value
    return [Amounts(found) for found in left]
