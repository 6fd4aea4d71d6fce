"""What these documents share: a clock that begins on a day of choice, and tables and charts fit to be looked at."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import polars as pl
import vl_convert
from IPython.display import display

from costtrace.times import to_micros


class Clock:
    """Runs as real time does, from another moment on. Calling it gives nanoseconds since 1970, as recorders want."""

    def __init__(self, start: datetime) -> None:
        self._ahead = to_micros(start) * 1000 - time.time_ns()

    def __call__(self) -> int:
        """The time by this clock."""
        return time.time_ns() + self._ahead

    def set(self, moment: datetime) -> None:
        """Go on from that moment."""
        self._ahead = to_micros(moment) * 1000 - time.time_ns()


def plain_tables() -> None:
    """Show polars' tables without their shape and their columns' types, for the rest of the document."""
    pl.Config.set_tbl_hide_column_data_types(True)
    pl.Config.set_tbl_hide_dataframe_shape(True)


class Table:
    """A polars frame as it is shown: texts without quotation marks, decimals without digits that say nothing."""

    def __init__(self, frame: pl.DataFrame) -> None:
        decimals = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Decimal)]
        self._frame = frame.with_columns(pl.col(name).cast(pl.Decimal(38, _places(frame[name]))) for name in decimals)

    def __repr__(self) -> str:
        return str(self._frame)

    def _repr_html_(self) -> str:
        return self._frame._repr_html_().replace("&quot;", "")


def _places(amounts: pl.Series) -> int:
    return max((max(-int(amount.normalize().as_tuple().exponent), 0) for amount in amounts.drop_nulls()), default=0)


def show(chart: Any) -> None:
    """Show an Altair chart: live where the reader's program draws Vega-Lite, as a picture where it does not."""
    specification = chart.to_dict()
    display(  # type: ignore[no-untyped-call]  # IPython's own
        {
            "application/vnd.vegalite.v6+json": specification,
            "image/svg+xml": vl_convert.vegalite_to_svg(specification),
            "text/plain": "<chart>",
        },
        raw=True,
    )
