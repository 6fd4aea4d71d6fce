"""Charges as files: CSV that people open in spreadsheets, Parquet that engines read."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from costtrace.context import Context
from costtrace.csvtext import safe_cell
from costtrace.entry import Entry
from costtrace.errors import InvalidValue, MissingExtra
from costtrace.exporters.focus import COLUMNS, FocusExport, Row, write_csv, write_parquet
from costtrace.testing import MemoryLedger
from tests.factories import make_costs, make_entry


def export_of(*entries: Entry) -> FocusExport:
    ledger = MemoryLedger()
    ledger.append(entries)
    return FocusExport(ledger)


def csv_text(*entries: Entry) -> str:
    stream = io.StringIO(newline="")
    write_csv(export_of(*entries).rows(), stream)
    return stream.getvalue()


class TestCsv:
    def test_lines_end_as_rfc_4180_wants_and_the_head_names_the_columns(self) -> None:
        lines = csv_text(make_entry()).split("\r\n")

        assert lines[0].split(",") == [column.name for column in COLUMNS]
        assert len(lines) == 4
        assert lines[-1] == ""

    def test_of_an_empty_ledger_is_the_head_alone(self) -> None:
        assert len(csv_text().splitlines()) == 1

    def test_amounts_are_plain_decimals_to_the_last_digit(self) -> None:
        rows = list(
            csv.DictReader(io.StringIO(csv_text(make_costs("1E-30"), make_costs("1E+30", number=2)), newline=""))
        )

        assert [row["BilledCost"] for row in rows] == ["0." + "0" * 29 + "1", "1" + "0" * 30]

    @pytest.mark.parametrize(
        "text",
        ["=1+1", "+49", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "'quoted", '=HYPERLINK("http://x")'],
    )
    def test_no_text_is_run_as_a_formula_and_every_text_can_be_had_back(self, text: str) -> None:
        rows = list(csv.DictReader(io.StringIO(csv_text(make_entry(context=Context(user_id=text))), newline="")))

        assert {row["x_UserId"] for row in rows} == {f"'{text}"}

    def test_a_negative_amount_is_left_a_number(self) -> None:
        (row,) = csv.DictReader(io.StringIO(csv_text(make_costs("-0.0075")), newline=""))

        assert row["BilledCost"] == "-0.0075"

    @given(st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text))
    def test_any_text_comes_back_as_it_was(self, text: str) -> None:
        rows = list(csv.DictReader(io.StringIO(csv_text(make_entry(context=Context(user_id=text))), newline="")))

        found = rows[0]["x_UserId"]
        assert found == safe_cell(text)
        assert (found.removeprefix("'")) == text


class TestParquet:
    def test_has_the_types_of_the_columns_and_the_exact_amounts(self, tmp_path: Path) -> None:
        file = tmp_path / "focus.parquet"

        write_parquet(export_of(make_entry(1), make_costs("-0.0075", number=2)).rows, file)

        table = parquet.read_table(file)
        types = {field.name: field.type for field in table.schema}
        assert list(types) == [column.name for column in COLUMNS]
        assert types["BilledCost"] == types["ListUnitPrice"] == pa.decimal128(38, 18)
        assert types["ChargePeriodStart"] == pa.timestamp("ms", tz="UTC")
        assert types["x_UserId"] == pa.string()
        assert [field.nullable for field in table.schema] == [column.nullable for column in COLUMNS]
        assert table["BilledCost"].to_pylist() == [Decimal("0.001125"), Decimal("0.002"), Decimal("-0.0075")]
        assert table["ListUnitPrice"].to_pylist() == [Decimal("2.5"), Decimal(10), None]
        assert table["ChargePeriodStart"].to_pylist()[0] == datetime(2026, 1, 20, 9, 30, 1, tzinfo=UTC)
        assert table.schema.metadata[b"FocusVersion"] == b"1.2"

    def test_holds_the_same_as_the_csv(self, tmp_path: Path) -> None:
        export = export_of(*(make_entry(number) for number in range(5)), make_costs("0.07", number=9, currency="EUR"))
        file = tmp_path / "focus.parquet"

        write_parquet(export.rows, file)

        expected = [{column.name: row.get(column.name) for column in COLUMNS} for row in export.rows()]
        assert parquet.read_table(file).to_pylist() == expected

    @pytest.mark.parametrize("amount", ["1E-18", "99999999999999999999.999999999999999999", "-1." + "0" * 30])
    def test_of_what_fits_38_digits_is_what_every_reader_takes(self, tmp_path: Path, amount: str) -> None:
        file = tmp_path / "focus.parquet"

        write_parquet(export_of(make_costs(amount)).rows, file)

        table = parquet.read_table(file)
        assert table.schema.field("BilledCost").type == pa.decimal128(38, 18)
        assert table["BilledCost"].to_pylist() == [Decimal(amount)]

    @pytest.mark.parametrize("amount", ["1E-19", "-1E-38", "1E+20", "1E+37"])
    def test_is_written_wider_where_an_amount_needs_it(self, tmp_path: Path, amount: str) -> None:
        file = tmp_path / "focus.parquet"
        export = export_of(make_entry(1), make_costs(amount, number=2))

        write_parquet(export.rows, file)

        table = parquet.read_table(file)
        assert table.schema.field("BilledCost").type == pa.decimal256(76, 38)
        assert table["BilledCost"].to_pylist() == [Decimal("0.001125"), Decimal("0.002"), Decimal(amount)]
        assert export.exported.rows == 3

    @pytest.mark.parametrize("amount", ["1E-39", "1E+38"])
    def test_is_refused_rather_than_rounded(self, tmp_path: Path, amount: str) -> None:
        with pytest.raises(InvalidValue, match=r"BilledCost of entry 'llm/run-1/1': expected at most 38 digits"):
            write_parquet(export_of(make_costs(amount)).rows, tmp_path / "focus.parquet")

    def test_is_written_in_groups_so_that_memory_does_not_grow(self, tmp_path: Path) -> None:
        file = tmp_path / "focus.parquet"
        (one,) = export_of(make_costs("0.1")).rows()

        def rows() -> Iterator[Row]:
            return (one for _ in range(25_000))

        write_parquet(rows, file)

        found = parquet.ParquetFile(file)
        assert (found.metadata.num_rows, found.metadata.num_row_groups) == (25_000, 3)

    def test_of_an_empty_ledger_has_its_columns(self, tmp_path: Path) -> None:
        file = tmp_path / "focus.parquet"

        write_parquet(export_of().rows, file)

        assert parquet.read_table(file).num_rows == 0

    def test_without_pyarrow_says_what_to_install(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)

        with pytest.raises(MissingExtra, match=r"pip install 'langchain-costtrace\[parquet\]'"):
            write_parquet(export_of().rows, tmp_path / "focus.parquet")
