"""A selection as SQL, and the functions that this SQL calls in Python."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import Any, Final

from costtrace.jsontext import decode
from costtrace.ledger.localtime import LABELS, LocalTime
from costtrace.ledger.protocol import SMS, TAG, Selection, field_of
from costtrace.times import to_micros

_TAG: Final = "costtrace_tag"
_PART: Final = "costtrace_"


def conditions(selection: Selection, table: str = "entries") -> tuple[str, tuple[Any, ...]]:
    """The selection as SQL that continues a WHERE, with its values. `know_tags` makes its function known."""
    where, values = "", []
    if selection.since is not None:
        where += f" AND {table}.occurred_us >= ?"
        values.append(to_micros(selection.since))
    if selection.until is not None:
        where += f" AND {table}.occurred_us < ?"
        values.append(to_micros(selection.until))
    said, texts = said_conditions(selection, table)
    return where + said, (*values, *texts)


def said_conditions(
    selection: Selection, table: str = "entries", *, nothing: str | None = None
) -> tuple[str, tuple[Any, ...]]:
    """What the selection asks for beside the time; `nothing` stands in the table for what was not said."""
    where = ""
    values: list[str | None] = []
    for word, said in selection.where.items():
        field = field_of(word, "where")
        if field == "kind" and said == SMS:
            where += f" AND ({table}.kind = ? OR {table}.kind GLOB ?)"
            values += [SMS, f"{SMS}-*"]
            continue
        expression, names = value_of(field, table)
        value = nothing if said is None else said
        where += f" AND {expression} {'IS' if value is None else '='} ?"  # an index of what is said takes no IS
        values += [*names, value]
    return where, tuple(values)


def value_of(field: str, table: str = "entries") -> tuple[str, tuple[str, ...]]:
    """What an entry says of a field, as an SQL expression with the values it needs."""
    if field.startswith(TAG):
        return f"{_TAG}({table}.body, ?)", (field.removeprefix(TAG),)
    if field in LABELS:
        return f"{_PART}{field}({table}.occurred_us)", ()
    return f"{table}.{field}", ()


def know_tags(connection: sqlite3.Connection) -> None:
    """Make the function known that reads a tag, for as long as the connection is open."""
    connection.create_function(_TAG, 2, _tag, deterministic=True)


def know_time(connection: sqlite3.Connection, local: LocalTime) -> None:
    """Make the functions known that name the day and the hour, of that zone until the next such call."""
    for part in LABELS:
        connection.create_function(_PART + part, 1, partial(local.label, part), deterministic=True)


def _tag(body: str, name: str) -> str | None:
    if '"tags":' not in body:  # most entries have none, and reading JSON takes its time
        return None
    said: str | None = decode(body).get("tags", {}).get(name)
    return said
