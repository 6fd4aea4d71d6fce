"""``costtrace export parquet``: every entry with all its columns, for DuckDB, pandas, polars and Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from costtrace.cli.files import whole_file
from costtrace.cli.options import AsJson, Last, LedgerUrl, Since, Until, Where, existing_ledger, selection
from costtrace.cli.output import progress, show, show_json
from costtrace.cli.page import Title


def parquet(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, which is replaced.")],
    *,
    last: Last = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Write the entries as Parquet, a row each, with exact decimals. Sums of cost by currency are the ledger's."""
    from costtrace.frames import write_parquet  # noqa: PLC0415 - pyarrow is optional, and slow to import

    chosen = selection(last, since, until, where)
    opened = existing_ledger(ledger)
    with progress("exporting"), whole_file(file) as path:
        count = write_parquet(opened, path, chosen)
    if as_json:
        show_json({"rows": count})
    else:
        show([Title(f"{count} {'entry' if count == 1 else 'entries'} in {file}")])
