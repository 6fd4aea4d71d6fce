"""Charges as CSV: RFC 4180, UTF-8, plain decimals to the last digit, nothing where there is no value."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import TextIO

from costtrace.csvtext import safe_cell
from costtrace.exporters.focus.columns import COLUMNS, Row
from costtrace.exporters.focus.periods import moment_second_text
from costtrace.money import amount_text


def write_csv(rows: Iterable[Row], stream: TextIO) -> None:
    """Write a head and a line per charge; the stream must leave line ends as they are (``newline=""``)."""
    writer = csv.writer(stream)
    writer.writerow([column.name for column in COLUMNS])
    for row in rows:
        writer.writerow([_cell(row.get(column.name)) for column in COLUMNS])


def _cell(value: str | Decimal | datetime | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_cell(value)
    return amount_text(value) if isinstance(value, Decimal) else moment_second_text(value)
