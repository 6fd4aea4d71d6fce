"""A ledger as one Parquet file, written row group by row group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from costtrace.frames.arrow import pa, parquet
from costtrace.frames.batches import Width, batches, in_some_width, schema_of
from costtrace.frames.columns import columns_of
from costtrace.ledger import Ledger, Selection
from costtrace.ledger.protocol import EVERYTHING

_BATCHES: Final = 16
"""Batches in a row group: some hundred thousand rows, as readers like them."""


def write_parquet(
    ledger: Ledger, path: Path, selection: Selection = EVERYTHING, columns: Iterable[str] | None = None
) -> int:
    """Write the selected entries to that file, and answer how many there were.

    Columns and amounts are those of `to_arrow`; the file's metadata names the version of the schema, and the selection.
    Raises as `to_arrow` does, and OSError for what cannot be written; then the file is to be thrown away.
    """
    chosen = columns_of(columns)

    def write(width: Width) -> int:
        schema = schema_of(chosen, width)
        rows = 0
        with path.open("wb") as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            writer.add_key_value_metadata(_bounds(selection))
            for group in _groups(batches(ledger, chosen, selection, width)):
                table = pa.Table.from_batches(group, schema).unify_dictionaries().combine_chunks()
                writer.write_table(table, row_group_size=table.num_rows)
                rows += table.num_rows
        return rows

    written: int = in_some_width(ledger, write)
    return written


def _groups(made: Iterator[Any]) -> Iterator[list[Any]]:
    while group := list(islice(made, _BATCHES)):
        yield group


def _bounds(selection: Selection) -> dict[str, str]:
    bounds = {"since": selection.since, "until": selection.until}
    return {f"costtrace.{name}": moment.isoformat() for name, moment in bounds.items() if moment is not None}
