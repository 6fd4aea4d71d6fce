"""A ledger as Arrow record batches, page by page, so that no more than a page is held as Python objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from costtrace.errors import InvalidValue
from costtrace.frames.arrow import pa, pc
from costtrace.frames.columns import SCHEMA_VERSION, Column, Type, values_of
from costtrace.ledger import Ledger, Selection, SqliteLedger
from costtrace.ledger.parts import SEQ, pages


class Width(NamedTuple):
    """How many digits the amounts of a table have."""

    type: Any
    """The Arrow type."""
    below: Decimal
    """Every amount is smaller than this, which leaves ten digits, so that no sum of rows wraps around."""


NARROW: Final = Width(pa.decimal128(38, 18), Decimal(10) ** 10)
"""What every reader takes."""
WIDE: Final = Width(pa.decimal256(76, 38), Decimal(10) ** 28)
"""For what is finer than 1e-18 or larger than ten billion; some readers refuse it."""
_WORD: Final = pa.dictionary(pa.int32(), pa.string())
_TYPES: Final[Mapping[Type, Any]] = MappingProxyType(
    {
        Type.COUNT: pa.int64(),
        Type.MOMENT: pa.timestamp("us", tz="UTC"),
        Type.TEXT: pa.string(),
        Type.WORD: _WORD,
        Type.COUNTS: pa.map_(pa.string(), pa.int64()),
        Type.LABELS: pa.map_(pa.string(), pa.string()),
    }
)


class TooWideError(Exception):
    """An amount does not fit the width."""

    def __init__(self, column: str, seq: int, amount: Decimal) -> None:
        super().__init__(column, seq, amount)
        self.column, self.seq, self.amount = column, seq, amount


def schema_of(columns: Sequence[Column], width: Width) -> Any:
    """The Arrow schema of those columns; each field's metadata says what it means."""
    return pa.schema(
        [
            pa.field(column.name, _type_of(column, width), metadata={"description": column.meaning})
            for column in columns
        ],
        metadata={"costtrace.schema_version": SCHEMA_VERSION},
    )


def batches(ledger: Ledger, columns: Sequence[Column], selection: Selection, width: Width) -> Iterator[Any]:
    """The selected entries as record batches of those columns, in the order they were stored.

    Only what the columns are made from is read, where the ledger can. Raises TooWideError.
    """
    parts = tuple(dict.fromkeys(part for column in columns for part in column.parts if part != SEQ))
    schema = schema_of(columns, width)
    for page in _read(ledger, parts, selection):
        values = dict(zip((SEQ, *parts), page, strict=True))
        arrays = [_array(column, values, width) for column in columns]
        yield pa.record_batch(arrays, schema=schema)


def in_some_width(
    ledger: Ledger, make: Callable[[Width], Any], widths: Sequence[Width] = (NARROW, WIDE), instead: str = "JSON lines"
) -> Any:
    """What `make` gives in the first of the widths that holds every amount.

    Raises InvalidValue naming the entry whose amount no width holds; `instead` is what takes it.
    """
    for width in widths:
        try:
            return make(width)
        except TooWideError as error:
            found = error
    [(_, entry)] = ledger.entries(after=found.seq - 1, limit=1)
    kind = widths[-1].type
    raise InvalidValue(
        f"{found.column} of entry {entry.entry_id!r}",
        found.amount,
        f"at most {kind.scale} digits after the point and {widths[-1].below.adjusted()} before it; use {instead}",
    )


def _read(ledger: Ledger, parts: Sequence[str], selection: Selection) -> Iterator[list[list[Any]]]:
    return ledger.pages(parts, selection) if isinstance(ledger, SqliteLedger) else pages(ledger, parts, selection)


def _type_of(column: Column, width: Width) -> Any:
    return width.type if column.type is Type.AMOUNT else _TYPES[column.type]


def _array(column: Column, parts: Mapping[str, Sequence[Any]], width: Width) -> Any:
    values = values_of(column, parts)
    match column.type:
        case Type.AMOUNT:
            return _amounts(column, values, parts[SEQ], width)
        case Type.WORD:
            return pa.array(values, pa.string()).dictionary_encode().cast(_WORD)
        case Type.COUNTS | Type.LABELS:
            return _maps(values, _TYPES[column.type])
        case _:
            return pa.array(values, _TYPES[column.type])


def _amounts(column: Column, texts: Sequence[str | None], seqs: Sequence[int], width: Width) -> Any:
    try:
        amounts = pa.array(texts, pa.string()).cast(width.type)
    except pa.ArrowInvalid:
        amounts = None
    if amounts is None or not _is_below(amounts, width.below):
        raise _too_wide(column, texts, seqs, width)
    return amounts


def _is_below(amounts: Any, limit: Decimal) -> bool:
    bounds = pc.min_max(amounts).as_py()
    return bounds["min"] is None or max(-bounds["min"], bounds["max"]) < limit


def _too_wide(column: Column, texts: Sequence[str | None], seqs: Sequence[int], width: Width) -> TooWideError:
    for seq, text in zip(seqs, texts, strict=True):
        amount = Decimal(text or 0)
        exponent = amount.as_tuple().exponent
        if abs(amount) >= width.below or (isinstance(exponent, int) and -exponent > width.type.scale):
            return TooWideError(column.name, seq, amount)
    raise AssertionError(f"every amount of {column.name} fits {width.type}")


def _maps(values: Sequence[Mapping[str, Any] | None], kind: Any) -> Any:
    """Arrow has the maps of a column one after the other, and for each where it begins; null begins nowhere."""
    known = [value or {} for value in values]
    ends = [0, *accumulate(map(len, known))]
    starts = [None if value is None else start for value, start in zip(values, ends, strict=False)]
    return pa.MapArray.from_arrays(
        pa.array([*starts, ends[-1]], pa.int32()),
        pa.array([key for value in known for key in value], kind.key_type),
        pa.array([item for value in known for item in value.values()], kind.item_type),
    )
