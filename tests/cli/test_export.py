"""``costtrace export``."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from pyarrow import parquet

from costtrace import open_ledger
from costtrace.context import Context
from costtrace.exporters.jsonl import read_jsonl
from tests.cli.conftest import OnTerminal, Process, Run
from tests.cli.terminal import on_terminal_of_errors
from tests.factories import make_costs, make_entry

BILLED = Decimal("0.009375")


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def billed(rows: list[dict[str, str]]) -> Decimal:
    return sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0))


class TestFocus:
    def test_goes_to_standard_output_and_what_is_missing_to_standard_error(
        self, process: Process, ledger_url: str
    ) -> None:
        done = process("export", "focus", "--ledger", ledger_url)

        assert (done.returncode, done.stderr) == (
            0,
            "costtrace: entries without a cost are no rows: 1 unpriced\n",
        )
        assert billed(rows_of(done.stdout)) == BILLED

    def test_lines_end_as_rfc_4180_wants(self, run: Run, ledger_url: str) -> None:
        lines = run("export", "focus", "--ledger", ledger_url).stdout_bytes.split(b"\r\n")

        assert len(lines) == 1 + 6 + 1
        assert not any(b"\n" in line for line in lines)

    def test_is_utf_8_whatever_the_locale(self, process: Process, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/umlaut.db"
        open_ledger(url).append([make_entry(context=Context(user_id="J\u00f6rg"))])

        done = process("export", "focus", "--ledger", url, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii")

        assert done.returncode == 0
        assert {row["x_UserId"] for row in rows_of(done.stdout)} == {"J\u00f6rg"}

    def test_in_a_file_says_what_it_holds_and_what_it_leaves_out(
        self, process: Process, ledger_url: str, tmp_path: Path
    ) -> None:
        done = process("export", "focus", "-o", "costs.csv", "--ledger", ledger_url)

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            "FOCUS 1.2 in costs.csv\n  charges   6 of 3 entries\n  billed    0.009375 USD\n  left out  1 unpriced\n"
        )
        with (tmp_path / "costs.csv").open(newline="") as stream:
            assert billed(rows_of(stream.read())) == BILLED

    def test_says_the_same_as_json(self, run: Run, ledger_url: str) -> None:
        expected = {
            "rows": 6,
            "entries": 3,
            "billed": {"USD": "0.009375"},
            "left_out": {"pending": 0, "unpriced": 1, "free": 0},
            "complete": False,
        }

        assert json.loads(run("export", "focus", "-o", "c.csv", "--json", "--ledger", ledger_url).stdout) == expected
        assert json.loads(run("export", "focus", "--json", "--ledger", ledger_url).stderr) == expected

    def test_in_parquet_holds_the_same(self, run: Run, ledger_url: str, tmp_path: Path) -> None:
        done = run("export", "focus", "--spec", "1.2", "--format", "parquet", "-o", "c.parquet", "--ledger", ledger_url)

        assert done.exit_code == 0
        assert sum(parquet.read_table(tmp_path / "c.parquet")["BilledCost"].to_pylist()) == BILLED

    def test_selects_a_time_as_reports_do(self, run: Run, ledger_url: str) -> None:
        def entries(*words: str) -> set[str]:
            done = run("export", "focus", "--ledger", ledger_url, *words)
            return {row["x_EntryId"] for row in rows_of(done.stdout)}

        assert entries("--since", "2026-01-20T09:30:02", "--until", "2026-01-20T09:30:05") == {"llm/run-2/2"}
        assert entries("--last", "1d") == set()

    def test_billing_accounts_can_be_named(self, run: Run, ledger_url: str) -> None:
        done = run("export", "focus", "--account", "openai=org-1", "--account", "twilio=AC1", "--ledger", ledger_url)

        assert {row["BillingAccountId"] for row in rows_of(done.stdout)} == {"org-1"}

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["--format", "parquet"], "costtrace: Parquet cannot go to standard output; name a file with -o\n"),
            (
                ["--account", "openai"],
                "costtrace: --account: expected PROVIDER=ID, such as twilio=AC123, got 'openai'\n",
            ),
            (
                ["--last", "7d", "--since", "2026-01-01"],
                "costtrace: --last excludes --since and --until; give one or the other\n",
            ),
            (
                ["-o", "missing/costs.csv"],
                "costtrace: missing/costs.csv cannot be written: No such file or directory\n",
            ),
            (["-o", "."], "costtrace: . cannot be written: it is a directory\n"),
            (["-o", "costs.db/costs.csv"], "costtrace: costs.db/costs.csv cannot be written: Not a directory\n"),
            (["-o", os.devnull], f"costtrace: {os.devnull} cannot be written: it is no regular file\n"),
        ],
    )
    def test_refuses_in_one_sentence(self, run: Run, ledger_url: str, words: list[str], sentence: str) -> None:
        done = run("export", "focus", "--ledger", ledger_url, *words)

        assert (done.exit_code, done.stdout, done.stderr) == (2, "", sentence)

    @pytest.mark.parametrize("words", [["--spec", "0.5"], ["--format", "xml"]])
    def test_knows_no_other_version_or_format(self, run: Run, ledger_url: str, words: list[str]) -> None:
        done = run("export", "focus", "--ledger", ledger_url, *words)

        assert (done.exit_code, done.stdout) == (2, "")
        assert words[1] in done.stderr

    def test_of_no_ledger_says_so(self, run: Run) -> None:
        done = run("export", "focus", "--ledger", "sqlite:///none.db", "-o", "c.csv")

        assert done.exit_code == 2
        assert "there is no ledger at" in done.stderr
        assert os.listdir() == []  # noqa: PTH208 - the working directory of this test

    def test_that_fails_leaves_the_file_there_was(self, run: Run, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/costs.db"
        open_ledger(url).append([make_entry(1), make_costs("1E-39", number=2)])
        file = tmp_path / "c.parquet"
        file.write_text("before")
        beside = set(tmp_path.iterdir())

        done = run("export", "focus", "--format", "parquet", "-o", str(file), "--ledger", url)

        assert (done.exit_code, done.stdout) == (2, "")
        assert "at most 38 digits before and after the point; use CSV" in done.stderr
        assert file.read_text() == "before"
        assert set(tmp_path.iterdir()) == beside

    def test_leaves_a_link_where_it_is_and_replaces_what_it_leads_to(
        self, run: Run, ledger_url: str, tmp_path: Path
    ) -> None:
        (tmp_path / "january.csv").write_text("before")
        (tmp_path / "latest.csv").symlink_to("january.csv")

        assert run("export", "focus", "-o", "latest.csv", "--ledger", ledger_url).exit_code == 0

        assert (tmp_path / "latest.csv").is_symlink()
        assert billed(rows_of((tmp_path / "january.csv").read_text())) == BILLED

    def test_says_on_the_terminal_that_it_works_while_a_file_is_written(self, ledger_url: str, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "costtrace", "export", "focus", "--ledger", ledger_url]

        with (tmp_path / "costs.csv").open("wb") as file:
            shown = on_terminal_of_errors(command, output=file.fileno())

        assert "exporting" in shown
        assert billed(rows_of((tmp_path / "costs.csv").read_text())) == BILLED

    def test_leaves_the_terminal_to_whoever_reads_the_pipe(self, ledger_url: str) -> None:
        reads, writes = os.pipe()
        command = [sys.executable, "-m", "costtrace", "export", "jsonl", "--ledger", ledger_url]

        assert on_terminal_of_errors(command, output=writes) == ""

        os.close(writes)
        with open(reads) as pipe:  # noqa: PTH123 - a descriptor
            assert len(pipe.readlines()) == 5

    def test_is_set_on_a_terminal(self, on_terminal: OnTerminal, ledger_url: str) -> None:
        shown = on_terminal("export", "focus", "-o", "c.csv", "--ledger", ledger_url, columns=100)

        assert "6 of 3 entries" in shown.text
        assert "1 unpriced" in shown.text


class TestJsonl:
    def test_writes_the_entries_as_they_are(self, process: Process, ledger_url: str, tmp_path: Path) -> None:
        done = process("export", "jsonl", "--ledger", ledger_url)
        (tmp_path / "out.jsonl").write_text(done.stdout)

        assert (done.returncode, done.stderr) == (0, "")
        expected = [entry for _, entry in open_ledger(ledger_url).entries()]
        assert list(read_jsonl([tmp_path / "out.jsonl"])) == expected

    def test_in_a_file_says_how_many(self, run: Run, ledger_url: str, tmp_path: Path) -> None:
        done = run("export", "jsonl", "-o", "out.jsonl", "--ledger", ledger_url)

        assert done.stdout == "5 entries in out.jsonl\n"
        assert len(list(read_jsonl([tmp_path / "out.jsonl"]))) == 5

    def test_selects_a_time(self, run: Run, ledger_url: str) -> None:
        done = run("export", "jsonl", "--since", "2026-01-20T09:30:05", "--ledger", ledger_url)

        assert [json.loads(line)["entry_id"] for line in done.stdout.splitlines()] == ["llm/run-5/5"]


def test_without_a_format_the_formats_are_shown(run: Run) -> None:
    done = run("export")

    assert done.exit_code == 0
    assert "focus" in done.stdout
    assert "jsonl" in done.stdout
