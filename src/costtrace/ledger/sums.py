"""Exact sums in SQL.

Amounts are summed as integers of 1e-12. A 64-bit sum of those ends at nine million dollars, so the two halves of each
integer, millions and rest, are summed apart and put together here. Amounts that are no whole number of 1e-12 have no
integer; they are summed here from their text.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

from costtrace.entry import Standing
from costtrace.ledger.conditions import value_of
from costtrace.messages import Amounts, Totals
from costtrace.money import parse_amount, pico_amount

_HALF: Final = 1_000_000


def _moved(standing: Standing) -> str:
    """An entry that takes the place of another moves one count from where that one stood."""
    return f"count(*) FILTER (WHERE standing IS '{standing}') - count(*) FILTER (WHERE replaces IS '{standing}')"


MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cost_high": f"coalesce(sum(cost_pico / {_HALF}), 0)",
        "cost_low": f"coalesce(sum(cost_pico % {_HALF}), 0)",
        "estimate_high": f"coalesce(sum(estimate_pico / {_HALF}), 0)",
        "estimate_low": f"coalesce(sum(estimate_pico % {_HALF}), 0)",
        "costs": "count(cost)",
        "estimates": "count(estimate)",
        **{str(standing): _moved(standing) for standing in Standing},
        "input_tokens": "coalesce(sum(input_tokens), 0)",
        "output_tokens": "coalesce(sum(output_tokens), 0)",
        "finer": "count(cost) + count(estimate) - count(cost_pico) - count(estimate_pico)",
    }
)
"""What is summed of entries of one pair of currencies. All but the last add up to totals; that one tells how many
amounts are in none of these sums."""

CURRENCIES: Final = ("currency", "estimate_currency")
IS_FINER: Final = (
    "(entries.cost IS NOT NULL AND entries.cost_pico IS NULL"
    " OR entries.estimate IS NOT NULL AND entries.estimate_pico IS NULL)"
)
"""Which entries have an amount that no integer of 1e-12 holds."""
_FINER_TEXTS: Final = "iif(cost_pico IS NULL, cost, NULL), iif(estimate_pico IS NULL, estimate, NULL)"
_COUNTS: Final = len(Standing) + 2
"""The standings and the tokens."""

Key = tuple[str | None, ...]


class Sums:
    """Groups that are added up, source by source. There may be as many as users."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: dict[Key, list[Sequence[Any]]] = {}
        self._texts: dict[Key, list[Totals]] = {}
        self.finer = 0
        """How many amounts are not in the sums, because no integer holds them."""

    def add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows of a group, two currencies and the sums of `MEASURES`."""
        width, known = self._width, self._rows
        for row in rows:
            key = row[:width]
            if key in known:
                known[key].append(row[width:])
            else:
                known[key] = [row[width:]]
            self.finer += row[-1]

    def add_finer(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows of a group, two currencies, and the texts of a cost and of an estimate that no integer holds."""
        for *key, currency, estimate_currency, cost, estimate in rows:
            self._texts.setdefault(tuple(key), []).append(
                Totals(actual=_parsed(currency, cost), pending=_parsed(estimate_currency or currency, estimate))
            )

    def totals(self) -> dict[Key, Totals]:
        """The totals of each group."""
        totals = {key: _total(rows) for key, rows in self._rows.items()}
        for key, texts in self._texts.items():
            totals[key] = reduce(Totals.plus, texts, totals.get(key, Totals()))
        return totals


def _total(rows: Sequence[Sequence[Any]]) -> Totals:
    actual: dict[str, int] = {}
    pending: dict[str, int] = {}
    for currency, estimate_currency, high, low, later_high, later_low, costs, estimates, *_ in rows:
        if costs:
            actual[currency] = actual.get(currency, 0) + high * _HALF + low
        if estimates:
            later = later_high * _HALF + later_low
            pending[estimate_currency] = pending.get(estimate_currency, 0) + later
    first, *more = (row[-_COUNTS - 1 : -1] for row in rows)
    settled, calculated, estimated, unpriced, tokens_in, tokens_out = (
        map(sum, zip(first, *more, strict=True)) if more else first
    )
    return Totals(
        actual=Amounts({currency: pico_amount(pico) for currency, pico in actual.items()}),
        pending=Amounts({currency: pico_amount(pico) for currency, pico in pending.items() if pico}),
        settled=settled,
        calculated=calculated,
        estimated=estimated,
        unpriced=unpriced,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
    )


@dataclass(frozen=True, slots=True)
class Source:
    """Entries as SQL: what stands behind FROM, and a condition that continues a WHERE, each with its values."""

    where: str = ""
    values: Sequence[object] = ()
    table: str = "entries"
    given: Sequence[object] = ()


IN_RANGES: Final = (
    "json_each(?) AS range CROSS JOIN entries INDEXED BY entries_by_time"
    " ON entries.occurred_us >= json_extract(range.value, '$[0]')"
    " AND entries.occurred_us < json_extract(range.value, '$[1]')"
)
"""The table of a `Source` of the entries that occurred in some ranges, given as a JSON text of pairs."""


def entry_sums(connection: sqlite3.Connection, fields: Sequence[str], source: Source, sums: Sums) -> None:
    """Add the groups of those entries; amounts that no integer holds are only counted."""
    columns, names = _columns(fields)
    group = ", ".join(str(number + 1) for number in range(len(fields) + len(CURRENCIES)))
    sums.add(
        connection.execute(
            f"SELECT {columns}, {', '.join(MEASURES.values())} FROM {source.table} WHERE true {source.where}"  # noqa: S608 - all of it is ours
            f" GROUP BY {group}",
            (*names, *source.given, *source.values),
        )
    )


def finer_sums(connection: sqlite3.Connection, fields: Sequence[str], source: Source, sums: Sums) -> None:
    """Add the amounts of those entries that no integer holds."""
    columns, names = _columns(fields)
    sums.add_finer(
        connection.execute(
            f"SELECT {columns}, {_FINER_TEXTS} FROM {source.table} WHERE {IS_FINER} {source.where}",  # noqa: S608 - as above
            (*names, *source.given, *source.values),
        )
    )


def _columns(fields: Sequence[str]) -> tuple[str, list[str]]:
    """The group and the currencies, with the values that these expressions need."""
    keys = [value_of(field) for field in fields]
    columns = [*(expression for expression, _ in keys), *(f"entries.{name}" for name in CURRENCIES)]
    return ", ".join(columns), [name for _, names in keys for name in names]


def _parsed(currency: str, text: str | None) -> Amounts:
    return Amounts({currency: parse_amount(text, "cost")} if text is not None else None)
