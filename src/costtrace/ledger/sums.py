"""Exact sums in SQL.

Amounts are summed as integers of 1e-12. A 64-bit sum of those ends at nine million dollars, so the two halves of each
integer, millions and rest, are summed apart and put together here. Amounts that are no whole number of 1e-12 have no
integer; they are summed here from their text.

Entries that take the place of others are few, and only they can hold two currencies or take a count away. They are
summed apart, through an index of their own, so that nothing else pays for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from costtrace.entry import Standing
from costtrace.messages import Amounts, Totals
from costtrace.money import parse_amount, pico_amount

_HALF: Final = 1_000_000
_DAY_US: Final = 86_400_000_000
_DAY: Final = f"(occurred_us - (occurred_us < 0) * {_DAY_US - 1}) / {_DAY_US}"
"""SQLite cuts a quotient towards zero; a day before 1970 needs the one below."""


def _sums(counts: Callable[[Standing], str]) -> str:
    return f"""
    coalesce(sum(cost_pico / {_HALF}), 0),
    coalesce(sum(cost_pico % {_HALF}), 0),
    coalesce(sum(estimate_pico / {_HALF}), 0),
    coalesce(sum(estimate_pico % {_HALF}), 0),
    count(cost),
    count(estimate),
    {", ".join(counts(standing) for standing in Standing)},
    coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    count(cost) + count(estimate) - count(cost_pico) - count(estimate_pico)
"""


def _standing(standing: Standing) -> str:
    return f"count(*) FILTER (WHERE standing IS '{standing}')"


def _moved(standing: Standing) -> str:
    return f"{_standing(standing)} - count(*) FILTER (WHERE replaces IS '{standing}')"


_PARTS: Final = (
    ("replaces IS NULL", ("currency", "currency"), _sums(_standing)),
    ("replaces IS NOT NULL", ("currency", "estimate_currency"), _sums(_moved)),
)
"""Which entries, the currencies of their cost and estimate, and what is summed."""

Key = tuple[str | None, ...]


def grouped_totals(
    connection: sqlite3.Connection, fields: Sequence[str], where: str, values: Sequence[object]
) -> dict[Key, Totals]:
    """The totals of each group of the selected entries; a day is its number since 1970, as text."""
    keys = [f"CAST({_DAY} AS TEXT)" if field == "day" else field for field in fields]
    width = len(keys)
    totals: dict[Key, Totals] = {}
    finer = False
    for which, currencies, sums in _PARTS:
        group = ", ".join([*keys, *dict.fromkeys(currencies)])
        for row in connection.execute(
            f"SELECT {', '.join([*keys, *currencies])}, {sums} FROM entries WHERE {which} {where} GROUP BY {group}",  # noqa: S608 - `fields` come from our own table
            values,
        ):
            totals[row[:width]] = totals.get(row[:width], Totals()).plus(_totals(*row[width:]))
            finer = finer or row[-1] > 0
    if finer:
        for row in connection.execute(
            f"SELECT {', '.join([*keys, 'currency', 'estimate_currency'])},"  # noqa: S608 - as above
            " iif(cost_pico IS NULL, cost, NULL), iif(estimate_pico IS NULL, estimate, NULL) FROM entries"
            " WHERE (cost IS NOT NULL AND cost_pico IS NULL OR estimate IS NOT NULL AND estimate_pico IS NULL)"
            f" {where}",
            values,
        ):
            totals[row[:width]] = totals.get(row[:width], Totals()).plus(_from_text(*row[width:]))
    return totals


def _totals(currency: str | None, estimate_currency: str | None, *sums: int) -> Totals:
    cost_high, cost_low, estimate_high, estimate_low, costs, estimates, *counts, tokens_in, tokens_out, _ = sums
    settled, calculated, estimated, unpriced = counts
    return Totals(
        actual=_amounts(currency if costs else None, cost_high, cost_low),
        pending=_amounts(estimate_currency if estimates else None, estimate_high, estimate_low).without_zeros(),
        settled=settled,
        calculated=calculated,
        estimated=estimated,
        unpriced=unpriced,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
    )


def _amounts(currency: str | None, high: int, low: int) -> Amounts:
    return Amounts({currency: pico_amount(high * _HALF + low)} if currency else None)


def _from_text(currency: str, estimate_currency: str, cost: str | None, estimate: str | None) -> Totals:
    return Totals(actual=_parsed(currency, cost), pending=_parsed(estimate_currency, estimate))


def _parsed(currency: str, text: str | None) -> Amounts:
    return Amounts({currency: parse_amount(text, "cost")} if text is not None else None)
