"""``costtrace doctor --recount``: the sums that reports begin with are those of the entries, or it says so."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from costtrace.ledger import SqliteLedger
from tests.cli.conftest import Run
from tests.factories import make_entry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of two entries, one of them in the sums."""
    ledger = SqliteLedger(tmp_path / "costs.db")
    ledger.append([make_entry(1), make_entry(2)])
    ledger.rollups.advance(1)
    ledger.close()
    return ledger.path


def roll_ups(run: Run, path: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    done = run("doctor", "--json", "--ledger", f"sqlite:///{path}", *words)
    return done.exit_code, [check for check in json.loads(done.stdout)["checks"] if check["name"] == "roll-ups"]


def damage(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE rollups SET calculated = 5 WHERE level = 2")
    connection.commit()
    connection.close()


def test_counts_only_when_asked(run: Run, path: Path) -> None:
    assert roll_ups(run, path) == (0, [])
    status, (check,) = roll_ups(run, path, "--recount")
    assert (status, check["state"]) == (0, "ok")
    assert check["found"] == "8 sums are those of the entries up to 1"


def test_fails_where_a_sum_is_wrong_and_mends_nothing_unasked(run: Run, path: Path) -> None:
    damage(path)

    for _ in range(2):
        status, (check,) = roll_ups(run, path, "--recount")
        assert (status, check["state"]) == (1, "fail")
        assert check["found"] == "1 of 8 sums are not those of the entries"
        assert "`costtrace doctor --rebuild`" in check["advice"]


def test_makes_the_sums_anew_where_that_is_wanted(run: Run, path: Path) -> None:
    damage(path)

    status, (check,) = roll_ups(run, path, "--rebuild")

    assert (status, check["found"]) == (0, "8 sums are those of the entries up to 2")
    assert roll_ups(run, path, "--recount")[0] == 0


def test_of_what_is_no_ledger_says_so(run: Run, tmp_path: Path) -> None:
    status, (check,) = roll_ups(run, tmp_path / "none.db", "--recount")
    assert (status, check["state"]) == (1, "fail")
    assert "there is no ledger at" in check["found"]
