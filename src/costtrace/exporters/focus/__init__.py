"""The ledger as a FOCUS 1.2 dataset, the FinOps Foundation's format for bills.

    columns.py        the columns, and what each holds
    services.py       what sellers and their services are called there
    periods.py        billing and charge periods
    charges.py        an entry as charges
    export.py         a ledger as charges, and what it has beside them
    csv_file.py       charges as CSV
    parquet_file.py   charges as Parquet

https://focus.finops.org/focus-specification/v1-2/
"""

from __future__ import annotations

from costtrace.exporters.focus.columns import COLUMNS, Column, Row
from costtrace.exporters.focus.csv_file import write_csv
from costtrace.exporters.focus.export import Exported, FocusExport
from costtrace.exporters.focus.parquet_file import write_parquet

__all__ = ["COLUMNS", "Column", "Exported", "FocusExport", "Row", "write_csv", "write_parquet"]
