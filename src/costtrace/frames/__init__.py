"""Ledgers as data frames: a row per entry, exact decimals, and only those columns and entries read that are asked for.

    arrow.py          pyarrow
    columns.py        the columns, and what each holds
    batches.py        a ledger as Arrow record batches
    tables.py         as an Arrow table, a pandas or a polars data frame
    parquet_file.py   as a Parquet file

Every ledger will do. Those of costtrace have `to_arrow`, `to_pandas` and `to_polars` as methods too.
"""

from __future__ import annotations

from costtrace.frames.columns import COLUMNS, SCHEMA_VERSION, Column, Type
from costtrace.frames.parquet_file import write_parquet
from costtrace.frames.tables import to_arrow, to_pandas, to_polars

__all__ = ["COLUMNS", "SCHEMA_VERSION", "Column", "Type", "to_arrow", "to_pandas", "to_polars", "write_parquet"]
