"""Charges as Parquet, decimals as decimals.

Thirty-eight digits, eighteen of them after the point, are what every reader of Parquet takes, so a file has them unless
a value does not fit: then all its decimals have seventy-six, half of them after the point, which some readers refuse.
Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from costtrace.errors import InvalidValue, MissingExtra
from costtrace.exporters.focus.columns import COLUMNS, Column, Row, Type
from costtrace.money import EXACT

_GROUP: Final = 10_000
"""Charges held in memory at a time, and rows of a row group."""
_FILE_METADATA: Final = {"FocusVersion": "1.2", "DataGenerator": "costtrace"}


class _Width(NamedTuple):
    precision: int
    scale: int

    def holds(self, value: Decimal) -> bool:
        exponent = value.normalize(EXACT).as_tuple().exponent
        return isinstance(exponent, int) and -exponent <= self.scale and value.adjusted() < self.precision - self.scale


_NARROW: Final = _Width(38, 18)
_WIDE: Final = _Width(76, 38)


class _TooWideError(Exception):
    """A value of more digits than the file has."""

    def __init__(self, column: str, value: Decimal, entry_id: object) -> None:
        super().__init__(column, value, entry_id)
        self.column, self.value, self.entry_id = column, value, entry_id


def write_parquet(rows: Callable[[], Iterable[Row]], path: Path) -> None:
    """Write the charges to that file; `rows` is called again where the first ones have to be written wider.

    Raises MissingExtra without pyarrow, and InvalidValue for a value of more than 38 digits before or after the point.
    """
    with suppress(_TooWideError):
        _write(rows(), path, _NARROW)
        return
    try:
        _write(rows(), path, _WIDE)
    except _TooWideError as error:
        where = f"{error.column} of entry {error.entry_id!r}"
        raise InvalidValue(where, error.value, "at most 38 digits before and after the point; use CSV") from None


def _write(rows: Iterable[Row], path: Path, width: _Width) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional, and slow to import
        from pyarrow import parquet  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtra(package="pyarrow", feature="Parquet", extra="parquet") from error
    schema = _schema(pa, width)
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows):
            _check(group, width)
            arrays = [
                pa.array([row.get(column.name) for row in group], type=field.type)
                for column, field in zip(COLUMNS, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _schema(arrow: Any, width: _Width) -> Any:
    decimal = arrow.decimal128 if width is _NARROW else arrow.decimal256
    types = {
        Type.TEXT: arrow.string(),
        Type.DECIMAL: decimal(width.precision, width.scale),
        Type.MOMENT: arrow.timestamp("ms", tz="UTC"),  # Parquet knows no coarser one
    }
    fields = [arrow.field(column.name, types[column.type], nullable=column.nullable) for column in COLUMNS]
    return arrow.schema(fields, metadata=_FILE_METADATA)


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    remaining = iter(rows)
    while group := list(islice(remaining, _GROUP)):
        yield group


_DECIMALS: Final[Sequence[Column]] = [column for column in COLUMNS if column.type is Type.DECIMAL]


def _check(group: Sequence[Row], width: _Width) -> None:
    for row in group:
        for column in _DECIMALS:
            value = row.get(column.name)
            if isinstance(value, Decimal) and not width.holds(value):
                raise _TooWideError(column.name, value, row["x_EntryId"])
