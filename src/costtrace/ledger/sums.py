"""Exact sums in SQL.

Amounts are summed as integers of 1e-12. A 64-bit sum of those ends at nine million dollars, so the two halves of each
integer, millions and rest, are summed apart and put together here. Amounts that are no whole number of 1e-12 have no
integer; they are summed here from their text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from costtrace.messages import Amounts, Totals
from costtrace.money import parse_amount, pico_amount

_HALF: Final = 1_000_000
_DAY_US: Final = 86_400_000_000
_DAY: Final = f"(occurred_us - (occurred_us < 0) * {_DAY_US - 1}) / {_DAY_US}"
"""SQLite cuts a quotient towards zero; a day before 1970 needs the one below."""

_SUMS: Final = f"""
    coalesce(sum(pico / {_HALF}) FILTER (WHERE cost IS NOT NULL), 0),
    coalesce(sum(pico % {_HALF}) FILTER (WHERE cost IS NOT NULL), 0),
    coalesce(sum(pico / {_HALF}) FILTER (WHERE estimate IS NOT NULL), 0),
    coalesce(sum(pico % {_HALF}) FILTER (WHERE estimate IS NOT NULL), 0),
    count(*) FILTER (WHERE cost IS NOT NULL AND cost_status IS NOT 'exact'),
    count(*) FILTER (WHERE cost IS NOT NULL AND cost_status IS 'exact'),
    count(estimate),
    count(*) FILTER (WHERE cost IS NULL AND estimate IS NULL AND cost_status IS NOT NULL),
    coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0),
    count(*) FILTER (WHERE pico IS NULL AND currency IS NOT NULL)
"""

Key = tuple[str | None, ...]


def grouped_totals(
    connection: sqlite3.Connection, fields: Sequence[str], where: str, values: Sequence[object]
) -> dict[Key, Totals]:
    """The totals of each group of the selected entries; a day is its number since 1970, as text."""
    keys = [f"CAST({_DAY} AS TEXT)" if field == "day" else field for field in fields]
    group = ", ".join([*keys, "currency"])
    rows = connection.execute(
        f"SELECT {group}, {_SUMS} FROM entries WHERE 1 {where} GROUP BY {group}",  # noqa: S608 - `fields` come from our own table
        values,
    )
    width = len(keys)
    totals: dict[Key, Totals] = {}
    finer = False
    for row in rows:
        key, currency, sums = row[:width], row[width], row[width + 1 :]
        totals[key] = totals.get(key, Totals()).plus(_totals(currency, sums))
        finer = finer or sums[-1] > 0
    if finer:
        for row in connection.execute(
            f"SELECT {group}, cost, estimate FROM entries "  # noqa: S608 - as above
            f"WHERE pico IS NULL AND currency IS NOT NULL {where}",
            values,
        ):
            totals[row[:width]] = totals.get(row[:width], Totals()).plus(_from_text(*row[width:]))
    return totals


def _totals(currency: str | None, sums: Sequence[int]) -> Totals:
    (
        cost_high,
        cost_low,
        estimate_high,
        estimate_low,
        settled,
        calculated,
        estimated,
        unpriced,
        tokens_in,
        tokens_out,
        _,
    ) = sums
    return Totals(
        actual=_amounts(currency if settled or calculated else None, cost_high, cost_low),
        pending=_amounts(currency if estimated else None, estimate_high, estimate_low),
        settled=settled,
        calculated=calculated,
        estimated=estimated,
        unpriced=unpriced,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
    )


def _amounts(currency: str | None, high: int, low: int) -> Amounts:
    return Amounts({currency: pico_amount(high * _HALF + low)} if currency else None)


def _from_text(currency: str, cost: str | None, estimate: str | None) -> Totals:
    return Totals(actual=_parsed(currency, cost), pending=_parsed(currency, estimate))


def _parsed(currency: str, text: str | None) -> Amounts:
    return Amounts({currency: parse_amount(text, "cost")} if text is not None else None)
