"""What a ledger of ours gives beside the protocol: its entries as data frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from costtrace.ledger.protocol import EVERYTHING, Ledger, Selection

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl


class Framed:
    """Makes `costtrace.frames` methods of a ledger, for the hand at the prompt."""

    __slots__ = ()

    def to_arrow(self: Ledger, selection: Selection = EVERYTHING, columns: Iterable[str] | None = None) -> Any:
        """The selected entries as a `pyarrow.Table`; see `costtrace.frames.to_arrow`."""
        from costtrace.frames import to_arrow  # noqa: PLC0415 - pyarrow is optional, and slow to import

        return to_arrow(self, selection, columns)

    def to_pandas(
        self: Ledger, selection: Selection = EVERYTHING, columns: Iterable[str] | None = None
    ) -> pd.DataFrame:
        """The selected entries as a pandas data frame; see `costtrace.frames.to_pandas`."""
        from costtrace.frames import to_pandas  # noqa: PLC0415 - as above

        return to_pandas(self, selection, columns)

    def to_polars(
        self: Ledger, selection: Selection = EVERYTHING, columns: Iterable[str] | None = None
    ) -> pl.DataFrame:
        """The selected entries as a polars data frame; see `costtrace.frames.to_polars`."""
        from costtrace.frames import to_polars  # noqa: PLC0415 - as above

        return to_polars(self, selection, columns)
