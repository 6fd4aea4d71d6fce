"""``costtrace export parquet``."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from pyarrow import parquet

from tests.cli.conftest import OnTerminal, Process, Run

SUM = "SELECT count(*), sum(cost) FROM read_parquet(?)"


def summed(file: Path) -> tuple[int, Decimal]:
    with duckdb.connect() as connection:
        found: tuple[int, Decimal] | None = connection.execute(SUM, [str(file)]).fetchone()
    assert found is not None
    return found


def test_writes_every_entry_and_says_how_many(process: Process, ledger_url: str, tmp_path: Path) -> None:
    done = process("export", "parquet", "costs.parquet", "--ledger", ledger_url)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "5 entries in costs.parquet\n")
    assert summed(tmp_path / "costs.parquet") == (5, Decimal("0.009375"))


def test_adds_up_to_what_the_report_says(run: Run, ledger_url: str, tmp_path: Path) -> None:
    run("export", "parquet", "c.parquet", "--ledger", ledger_url)
    report = json.loads(run("report", "--json", "--ledger", ledger_url).stdout)

    assert str(summed(tmp_path / "c.parquet")[1].normalize()) == report["total"]["actual"]["USD"]


def test_says_the_same_as_json(run: Run, ledger_url: str) -> None:
    done = run("export", "parquet", "c.parquet", "--json", "--ledger", ledger_url)

    assert json.loads(done.stdout) == {"rows": 5}


def test_selects_as_reports_do(run: Run, ledger_url: str, tmp_path: Path) -> None:
    def chosen(*words: str) -> list[str]:
        run("export", "parquet", "c.parquet", "--ledger", ledger_url, *words)
        return sorted(parquet.read_table(tmp_path / "c.parquet")["entry_id"].to_pylist())

    assert chosen("--since", "2026-01-20T09:30:02", "--until", "2026-01-20T09:30:04") == [
        "llm/run-2/2",
        "llm/run-3/3",
    ]
    assert chosen("--where", "user=u1", "--where", "channel=sms") == [f"llm/run-{n}/{n}" for n in (1, 2, 3, 4)]
    assert chosen("--where", "environment=", "--where", "user=u2") == ["llm/run-5/5"]
    assert chosen("--last", "1d") == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["c.parquet", "--where", "user"], "--where: expected WORD=VALUE, such as user=u1 or tag:team=a, got 'user'"),
        (["c.parquet", "--where", "colour=red"], "where: expected one of channel, day, "),
        (
            ["c.parquet", "--last", "7d", "--since", "2026-01-01"],
            "--last excludes --since and --until; give one or the ",
        ),
        (["missing/c.parquet"], "missing/c.parquet cannot be written: No such file or directory"),
        (["."], ". cannot be written: it is a directory"),
        ([], "Missing argument 'FILE'; see `costtrace export --help`"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    process: Process, ledger_url: str, tmp_path: Path, words: list[str], sentence: str
) -> None:
    done = process("export", "parquet", *words, "--ledger", ledger_url)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"costtrace: {sentence}")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.glob("*parquet*")) == []


def test_leaves_the_file_that_was_there_when_it_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.parquet").write_text("before")

    done = run("export", "parquet", "c.parquet", "--ledger", f"sqlite:///{tmp_path}/none.db")

    assert done.exit_code == 2
    assert (tmp_path / "c.parquet").read_text() == "before"


@pytest.mark.parametrize("words", [["parquet"], ["jsonl", "-o"], ["focus", "-o"]])
def test_never_takes_the_place_of_the_ledger(run: Run, tmp_path: Path, ledger_url: str, words: list[str]) -> None:
    (tmp_path / "link.db").symlink_to(ledger_url.removeprefix("sqlite:///"))

    done = run("export", *words, "link.db", "--ledger", ledger_url)

    assert done.exit_code == 2
    assert "link.db is not replaced: it is a database, maybe the ledger" in done.stderr
    assert json.loads(run("report", "--json", "--ledger", ledger_url).stdout)["total"]["actual"] == {"USD": "0.009375"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_shows_what_it_does_on_a_terminal(on_terminal: OnTerminal, ledger_url: str) -> None:
    shown = on_terminal("export", "parquet", "c.parquet", "--ledger", ledger_url, columns=80)

    assert "5 entries in c.parquet" in shown.text
