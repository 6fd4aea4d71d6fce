"""A ledger as an Arrow table, a pandas or a polars data frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from costtrace.errors import MissingExtra
from costtrace.frames.arrow import pa
from costtrace.frames.batches import NARROW, Width, batches, in_some_width, schema_of
from costtrace.frames.columns import columns_of
from costtrace.ledger import Ledger, Selection
from costtrace.ledger.protocol import EVERYTHING

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


def to_arrow(ledger: Ledger, selection: Selection = EVERYTHING, columns: Iterable[str] | None = None) -> Any:
    """The selected entries as a `pyarrow.Table`; `columns` are names of `costtrace.frames.COLUMNS`, all unless given.

    Amounts are decimals of 38 digits, 18 of them after the point, or of 76, 38 after the point, where one needs it.
    Raises InvalidValue for a column it does not know, and for an amount that fits neither.
    """
    return in_some_width(ledger, _table(ledger, selection, columns))


def to_pandas(ledger: Ledger, selection: Selection = EVERYTHING, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """The same as a pandas data frame of Arrow columns, so that sums of amounts are exact Decimals.

    Texts of which there are few are categories. pandas takes the sum of nothing for zero: ``sum(min_count=1)`` is null.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise MissingExtra(package="pandas", feature="to_pandas", extra="frames") from error
    table = to_arrow(ledger, selection, columns)
    return table.to_pandas(types_mapper=lambda kind: None if pa.types.is_dictionary(kind) else pd.ArrowDtype(kind))


def to_polars(ledger: Ledger, selection: Selection = EVERYTHING, columns: Iterable[str] | None = None) -> pl.DataFrame:
    """The same as a polars data frame; its decimals have 38 digits, 18 of them after the point.

    Raises InvalidValue for an amount that does not fit. polars takes the sum of nothing for zero.
    """
    try:
        import polars as pl  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise MissingExtra(package="polars", feature="to_polars", extra="frames") from error
    return pl.DataFrame(in_some_width(ledger, _table(ledger, selection, columns), (NARROW,), "to_arrow()"))


def _table(ledger: Ledger, selection: Selection, columns: Iterable[str] | None) -> Callable[[Width], Any]:
    chosen = columns_of(columns)

    def table(width: Width) -> Any:
        made = batches(ledger, chosen, selection, width)
        return pa.Table.from_batches(made, schema_of(chosen, width)).unify_dictionaries()

    return table
