"""Entries as columns, for who reads millions of them and needs a few of their fields: no `Entry` is made.

A part is a scalar column of a row, or a value in its body. Each page is a list of values for each part that was asked
for, all of the same length.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from costtrace.jsontext import decode
from costtrace.ledger.conditions import conditions
from costtrace.ledger.database import Database
from costtrace.ledger.protocol import EVERYTHING, Ledger, Selection
from costtrace.ledger.rows import COLUMNS, to_row

SEQ: Final = "seq"
"""The part that every page has first: the sequence number of the entry."""
IN_BODY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "buckets": "usage.buckets",
        "corrects": "details.corrects",
        "details": "details",
        "reason": "quote.reason",
        "reasoning_tokens": "usage.reasoning_tokens",
        "span_id": "span.span_id",
        "tags": "tags",
        "trace_id": "span.trace_id",
    }
)
"""The parts that stand in the body, and where."""
PAGE: Final = 8_192
"""Entries read at a time: more would keep other threads from the file for longer than a webhook may wait."""
_CHUNK: Final = 512
"""Rows made into Python objects at a time. Of more, Python's garbage collector looks at each again and again."""

Page = list[list[Any]]


def pages(ledger: Ledger, parts: Sequence[str], selection: Selection = EVERYTHING) -> Iterator[Page]:
    """The parts of the selected entries of any ledger, sequence number first, in the order they were stored."""
    entries = ledger.entries(selection=selection)
    while chunk := list(islice(entries, PAGE)):
        rows = [to_row(entry) for _, entry in chunk]
        columns = dict(zip((*COLUMNS, "basis"), zip(*rows, strict=True), strict=False))
        page: Page = [[seq for seq, _ in chunk], *(list(columns[part]) for part in parts if part not in IN_BODY)]
        in_body = [part for part in parts if part in IN_BODY]
        if in_body:
            bodies = [decode(str(row[-1])) for row in rows]
            page += ([_at(body, IN_BODY[part]) for body in bodies] for part in in_body)
        yield _in_order(page, parts)


def sqlite_pages(database: Database, parts: Sequence[str], selection: Selection) -> Iterator[Page]:
    """The same out of a SQLite file, column by column.

    What is stored while this is read is left out, as if all had been read at the beginning.
    """
    where, values = conditions(selection)
    with database.reading() as connection:
        after, last = connection.execute(f"SELECT {_BOUNDS if where else _ENDS} WHERE TRUE {where}", values).fetchone()
    # By time, the index would find all entries of the selection again for each page, and sort them.
    by = "" if selection.where.keys() & _INDEXED else "NOT INDEXED"
    sql = f"{_select(parts)} {by} WHERE seq > ? AND seq <= ? {where} ORDER BY seq LIMIT {PAGE}"
    while after is not None:
        with database.reading() as connection:
            page = _page(connection.execute(sql, (after, last, *values)), parts)
        if page[0]:
            yield page
        after = page[0][-1] if len(page[0]) == PAGE else None


_BOUNDS: Final = "min(seq) - 1, max(seq) FROM entries"
_ENDS: Final = "(SELECT min(seq) - 1 FROM entries), (SELECT max(seq) FROM entries)"
"""The same for all entries. SQLite finds the one or the other at once, and both together by reading everything."""
_INDEXED: Final = frozenset({"message", "user"})
"""Conditions that few entries meet, and that an index finds."""


def _select(parts: Sequence[str]) -> str:
    """All that stands in the body comes as one JSON array, because SQLite parses the body once for each function."""
    scalars = [SEQ, *(part for part in parts if part not in IN_BODY)]
    paths = "".join(f", '$.{IN_BODY[part]}'" for part in parts if part in IN_BODY)
    body = f", json_extract(body, '$._'{paths})" if paths else ""  # of one path alone there would be no array
    return f"SELECT {', '.join(scalars)}{body} FROM entries"  # noqa: S608 - our own column names


def _page(cursor: sqlite3.Cursor, parts: Sequence[str]) -> Page:
    in_body = sum(part in IN_BODY for part in parts)
    width = 1 + len(parts) - in_body
    page: Page = [[] for _ in range(1 + len(parts))]
    while chunk := cursor.fetchmany(_CHUNK):
        columns = list(zip(*chunk, strict=True))
        if in_body:
            columns[width:] = list(zip(*map(decode, columns[width]), strict=True))[1:]
        for values, more in zip(page, columns, strict=True):
            values.extend(more)
    return _in_order(page, parts)


def _in_order(page: Page, parts: Sequence[str]) -> Page:
    """The page with its parts as they were asked for; scalars were read before what stands in the body."""
    read = [*(part for part in parts if part not in IN_BODY), *(part for part in parts if part in IN_BODY)]
    return [page[0], *(page[1 + read.index(part)] for part in parts)]


def _at(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body
