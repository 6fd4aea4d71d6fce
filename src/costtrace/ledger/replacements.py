"""Where something was replaced: the groups of each message that has such entries, for reports to set off.

Messages are many, and most of them look alike: the price of one SMS takes the place of the estimate as that of any
other does. So SQL tells them apart by all that is summed of them, and each kind comes once, with its number.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import tzinfo

from costtrace.jsontext import decode
from costtrace.ledger.conditions import conditions, value_of
from costtrace.ledger.protocol import Alike, Selection, check_groups
from costtrace.ledger.rows import SELECT, from_row
from costtrace.ledger.selecting import totals_by
from costtrace.ledger.sums import CURRENCIES, MEASURES, Sums


def replaced(connection: sqlite3.Connection, by: Sequence[str], selection: Selection, zone: tzinfo) -> Iterator[Alike]:
    """As `Ledger.replaced`, within a snapshot; `know_time` makes known what this calls."""
    fields = check_groups(by)
    where, values = conditions(selection)
    found = connection.execute(_sql(fields, where), (*values, *_names(fields), *values))
    for lines, times, finer, message_uuid, provider in found:
        if finer:  # amounts that no integer holds; few messages have such
            of_it = f"{SELECT}WHERE message_uuid = ? AND provider IS ? {where}"
            rows = connection.execute(of_it, (message_uuid, provider, *values))
            groups = totals_by((from_row(row[1:]) for row in rows), by, zone)
        else:
            sums = Sums(len(fields))
            sums.add(map(tuple, decode(lines)))
            groups = sums.totals()
        yield Alike(groups=groups, times=times)


def _names(fields: Sequence[str]) -> list[str]:
    return [name for field in fields for name in value_of(field)[1]]


def _sql(fields: Sequence[str], where: str) -> str:
    keys = [value_of(field)[0] for field in fields] + [f"entries.{name}" for name in CURRENCIES]
    named = ", ".join(f"{expression} AS key_{number}" for number, expression in enumerate(keys))
    names = ", ".join(f"key_{number}" for number in range(len(keys)))
    measured = ", ".join(f"{expression} AS {name}" for name, expression in MEASURES.items())
    return f"""
        WITH touched AS (
            SELECT DISTINCT message_uuid, provider FROM entries INDEXED BY entries_replacing
            WHERE replaces IS NOT NULL {where}
        ), sums AS (
            SELECT entries.message_uuid, entries.provider, {named}, {measured}
            FROM touched CROSS JOIN entries INDEXED BY entries_by_message
            ON entries.message_uuid = touched.message_uuid AND entries.provider IS touched.provider
            WHERE true {where} GROUP BY entries.message_uuid, entries.provider, {names}
        ), messages AS (
            SELECT message_uuid, provider, sum(finer) AS finer,
                '[' || group_concat(json_array({names}, {", ".join(MEASURES)})) || ']' AS lines
            FROM sums GROUP BY message_uuid, provider
        )
        SELECT lines, count(*), finer, message_uuid, provider FROM messages
        GROUP BY lines, iif(finer, message_uuid, ''), iif(finer, provider, '')
    """  # noqa: S608 - all of it is ours
