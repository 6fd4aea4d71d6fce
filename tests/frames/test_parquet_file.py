"""Ledgers as Parquet: exact for whoever reads it, and never more in memory than a row group."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import repeat
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.frames import COLUMNS, write_parquet
from costtrace.ledger import Selection
from costtrace.ledger.protocol import EVERYTHING
from costtrace.testing import MemoryLedger
from tests.factories import NOW, make_costs, make_entry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "costs.parquet"


def ledger_of(*amounts: str) -> MemoryLedger:
    ledger = MemoryLedger()
    ledger.append(
        make_costs(amount, number=number, currency="EUR" if number % 2 else "USD", context=Context(tags={"n": amount}))
        for number, amount in enumerate(amounts)
    )
    return ledger


def test_holds_the_same_as_the_arrow_table(file: Path) -> None:
    ledger = ledger_of("0.003125", "1E-18")

    assert write_parquet(ledger, file) == 2

    assert parquet.read_table(file).equals(ledger.to_arrow())


def test_is_read_by_duckdb_with_exact_sums(file: Path) -> None:
    write_parquet(ledger_of("0.1", "0.000000000000000001", "0.2", "-3", "1E-18"), file)

    with duckdb.connect() as connection:
        found = connection.execute(
            "SELECT currency, sum(cost), count(tags['n'][1]) FROM read_parquet(?) GROUP BY currency ORDER BY currency",
            [str(file)],
        ).fetchall()

    assert found == [("EUR", Decimal("-2.999999999999999999"), 2), ("USD", Decimal("0.300000000000000001"), 3)]


def test_is_read_by_pandas_with_exact_sums(file: Path) -> None:
    write_parquet(ledger_of("0.1", "0.2", "0.3"), file)

    frame = pd.read_parquet(file, dtype_backend="pyarrow", columns=["cost", "tags"])

    assert frame["cost"].sum() == Decimal("0.6")


def test_says_what_it_is(file: Path) -> None:
    write_parquet(ledger_of("1"), file, Selection(since=NOW, until=NOW + timedelta(days=1)))

    assert parquet.ParquetFile(file).schema_arrow.metadata == {
        b"costtrace.schema_version": b"1",
    }
    metadata = parquet.read_metadata(file).metadata
    assert metadata[b"costtrace.since"] == b"2026-01-20T09:30:00+00:00"
    assert metadata[b"costtrace.until"] == b"2026-01-21T09:30:00+00:00"


def test_is_written_wider_where_an_amount_needs_it(file: Path) -> None:
    assert write_parquet(ledger_of("0.1", "1E-20"), file) == 2

    column = parquet.read_table(file)["cost"]
    assert (column.type, column.to_pylist()) == (pa.decimal256(76, 38), [Decimal("0.1"), Decimal("1E-20")])


def test_is_refused_rather_than_rounded(file: Path) -> None:
    with pytest.raises(InvalidValue, match="cost of entry 'llm/run-1/1'"):
        write_parquet(ledger_of("0.1", "1E-39"), file)


def test_of_nothing_has_its_columns(file: Path) -> None:
    assert write_parquet(MemoryLedger(), file) == 0

    assert parquet.read_table(file).column_names == list(COLUMNS)


class Endless(MemoryLedger):
    """One entry, as often as it is wanted."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count

    def entries(
        self, *, after: int = 0, limit: int | None = None, selection: Selection = EVERYTHING
    ) -> Iterator[tuple[int, Entry]]:
        assert (after, limit, selection) == (0, None, EVERYTHING)
        return enumerate(repeat(make_entry(), self._count), 1)


def test_is_written_in_row_groups(file: Path) -> None:
    many = 16 * 8_192 + 5

    assert write_parquet(Endless(many), file, columns=["cost", "model"]) == many

    metadata = parquet.read_metadata(file)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [16 * 8_192, 5]
