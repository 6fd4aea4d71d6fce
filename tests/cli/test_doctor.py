"""``costtrace doctor``."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from costtrace import open_ledger
from costtrace.cli.checks import setting_text
from costtrace.pricing.genai import GenaiPrices
from costtrace.quote import QuoteStatus, no_quote
from costtrace.settings import VARIABLES
from tests.cli.conftest import OnTerminal, Run
from tests.factories import MESSAGE, make_entry


def checked(run: Run, *words: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and what was found by the name of the check."""
    done = run("doctor", "--json", *words)
    shown = json.loads(done.stdout)
    found: dict[str, list[dict[str, Any]]] = {}
    for check in shown["checks"]:
        found.setdefault(check.pop("name"), []).append(check)
    assert shown["ok"] == (not any(check["state"] == "fail" for checks in found.values() for check in checks))
    return done.exit_code, found


def test_a_healthy_ledger(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/costs.db"
    open_ledger(url).append([make_entry(1), make_entry(2)])

    status, found = checked(run, "--ledger", url)

    assert status == 0
    assert found["ledger"] == [
        {
            "state": "ok",
            "found": f"2 entries at '{tmp_path}/costs.db', none waiting, rejected or lost",
            "advice": None,
        }
    ]
    assert found["clock"] == [{"state": "ok", "found": "no entry lies in the future", "advice": None}]
    assert found["unpriced"] == [{"state": "ok", "found": "every call has its cost", "advice": None}]
    assert [check["state"] for check in found["disk"]] == ["ok"]


def test_a_ledger_that_does_not_exist_yet_is_no_failure_and_is_not_made(run: Run, tmp_path: Path) -> None:
    status, found = checked(run)

    assert status == 0
    assert found["ledger"] == [
        {
            "state": "warn",
            "found": "nothing was recorded at 'costtrace.db' yet",
            "advice": "the first recorded call makes the file",
        }
    ]
    assert list(tmp_path.iterdir()) == []


def test_every_setting_is_shown_with_its_value(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_DURABILITY", "full")

    _, found = checked(run, "--ledger", "sqlite:///given.db")

    assert {name: found[name][0]["found"] for name in VARIABLES} == dict.fromkeys(VARIABLES, "none") | {
        "COSTTRACE_LEDGER": "sqlite:///given.db (from --ledger)",
        "COSTTRACE_DURABILITY": "full",
        "COSTTRACE_MODEL": "openai:gpt-4o-mini",
        "COSTTRACE_SPANS": "leaf",
        "COSTTRACE_CALLBACK_SPAN": "link",
        "COSTTRACE_WRITES": "each",
        "POSTHOG_HOST": "https://us.i.posthog.com",
    }


def test_a_password_in_an_address_is_not_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_LEDGER", "postgres://me:hunter2@host/db")

    done = run("doctor")

    assert done.exit_code == 1
    assert re.search(r"  COSTTRACE_LEDGER +postgres://\*\*\*@host/db\n", done.stdout)
    assert "hunter2" not in done.stdout


def test_a_misspelt_variable_is_pointed_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_LEGDER", "sqlite:///costs.db")

    status, found = checked(run)

    assert status == 0
    assert found["COSTTRACE_LEGDER"] == [
        {"state": "warn", "found": "is set", "advice": f"nothing reads it; known are {', '.join(VARIABLES)}"}
    ]


def test_a_word_for_spans_that_is_unknown_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_CALLBACK_SPAN", "sibling")

    status, found = checked(run)

    assert status == 1
    assert found["spans"][0]["found"] == "COSTTRACE_CALLBACK_SPAN: expected one of link, child, got 'sibling'"


def test_a_setting_that_is_unknown_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_DURABILITY", "eternal")

    status, found = checked(run)

    assert status == 1
    assert found["ledger"][0]["found"] == "durability 'eternal' is not known; use 'normal' or 'full'"


def test_a_file_that_is_no_database_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database " * 1000)

    status, found = checked(run, "--ledger", "sqlite:///notes.db")

    assert status == 1
    assert found["ledger"][0]["state"] == "fail"
    assert "file is not a database" in found["ledger"][0]["found"]


def test_a_ledger_of_a_newer_version_fails(run: Run, ledger_url: str, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "costs.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()

    status, found = checked(run, "--ledger", ledger_url)

    assert status == 1
    assert "the ledger has layout 99" in found["ledger"][0]["found"]


def test_a_locked_ledger_fails_and_says_that_what_waits_is_safe(run: Run, ledger_url: str, tmp_path: Path) -> None:
    writer = open_ledger(ledger_url)
    lock = sqlite3.connect(tmp_path / "costs.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    writer.spool(make_entry(6))

    status, found = checked(run, "--ledger", ledger_url)

    lock.close()
    assert status == 1
    assert found["ledger"][0]["found"].endswith(
        "database is locked; another program is writing to it; try again when that has ended"
    )
    assert "wait in the spool beside it and are safe" in found["ledger"][0]["advice"]


def test_rejected_entries_fail_and_lost_ones_are_pointed_out(run: Run, ledger_url: str, tmp_path: Path) -> None:
    ledger = open_ledger(ledger_url)
    ledger.report_loss(3, "the disk was full")

    status, found = checked(run, "--ledger", ledger_url)
    assert status == 0
    assert (found["ledger"][0]["state"], found["ledger"][0]["found"]) == (
        "warn",
        f"5 entries at '{tmp_path}/costs.db', 3 lost",
    )

    with sqlite3.connect(tmp_path / "costs.db") as connection:
        connection.execute("INSERT INTO rejected (segment, reason, record) VALUES ('s', 'r', x'00')")
    connection.close()
    status, found = checked(run, "--ledger", ledger_url)
    assert status == 1
    assert (found["ledger"][0]["state"], found["ledger"][0]["found"]) == (
        "fail",
        f"5 entries at '{tmp_path}/costs.db', 1 rejected",
    )


def test_entries_in_the_future_fail(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/costs.db"
    open_ledger(url).append([make_entry(occurred_at=datetime.now(UTC) + timedelta(hours=1))])

    status, found = checked(run, "--ledger", url)

    assert status == 1
    assert (found["clock"][0]["state"], found["clock"][0]["found"]) == ("fail", f"entries in the future, of {MESSAGE}")


def test_a_directory_that_is_missing_fails(run: Run, tmp_path: Path) -> None:
    status, found = checked(run, "--ledger", "sqlite:///missing/costs.db")

    assert status == 1
    assert found["disk"][0]["found"] == f"'{tmp_path}/missing': No such file or directory"


def test_models_without_a_price_are_named_with_their_calls(run: Run, tmp_path: Path) -> None:
    unpriced = no_quote(QuoteStatus.UNPRICED, "no price")
    missing = no_quote(QuoteStatus.USAGE_MISSING, "no usage was reported for this call")
    url = f"sqlite:///{tmp_path}/costs.db"
    open_ledger(url).append(
        [
            make_entry(1, model="own-1", quote=unpriced, cost=None),
            make_entry(2, model="own-1", quote=unpriced, cost=None),
            make_entry(3, model="gpt-4o", quote=unpriced, cost=None),
            make_entry(4, model="gpt-4o", quote=missing, cost=None),
        ]
    )

    status, found = checked(run, "--ledger", url)

    assert status == 0
    assert found["unpriced"] == [
        {
            "state": "warn",
            "found": "2 calls of openai own-1: unpriced",
            "advice": 'add a [[rate]] with provider = "openai" and model = "own-1" to your rates file'
            " (COSTTRACE_RATES), then `costtrace reprice --since DATE`",
        },
        {
            "state": "warn",
            "found": "1 call of openai gpt-4o: unpriced",
            "advice": "it has a price by now: `costtrace reprice --since DATE` corrects what was recorded before",
        },
        {
            "state": "warn",
            "found": "1 call of openai gpt-4o: usage_missing",
            "advice": "ask the provider for usage, also in streams: ChatOpenAI(stream_usage=True)",
        },
    ]


def test_the_price_table_is_named_with_version_and_hash(run: Run) -> None:
    table = GenaiPrices()

    _, found = checked(run)

    today = datetime.now(UTC).date()
    latest = table.latest_change(today)
    assert latest is not None
    assert found["prices"][0]["found"] == (
        f"genai-prices {table.version}, sha256 {table.data_hash}, knows price changes up to {latest},"
        f" {(today - latest).days} days ago"
    )


def test_the_latest_price_change_is_none_of_the_future() -> None:
    table = GenaiPrices()
    latest = table.latest_change(date(2026, 1, 20))

    assert latest is not None
    assert date(2025, 6, 1) < latest <= date(2026, 1, 20)


def test_a_rates_file_is_checked(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates = tmp_path / "rates.toml"
    rates.write_text('[[rate]]\nprovider = "openai"\nmodel = "own-1"\ninput = 2\noutput = 8\n')
    monkeypatch.setenv("COSTTRACE_RATES", str(rates))
    status, found = checked(run)
    assert status == 0
    assert found["own rates"][0]["found"].startswith(f"'{rates}' is valid, sha256 ")

    rates.write_text("[[rate]\n")
    status, found = checked(run)
    assert status == 1
    assert found["own rates"][0]["found"].startswith(f"rates file '{rates}' is not TOML: ")


def test_other_instrumentation_is_pointed_out(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openinference_instrumentation_langchain", "opentelemetry_instrumentation_requests"):
        installed = tmp_path / f"{name}-1.0.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    status, found = checked(run)

    assert status == 0
    (check,) = found["instrumentation"]
    named = check["found"].removeprefix("also installed: ").split(", ")
    assert "openinference-instrumentation-langchain" in named  # and what else the machine has
    assert "opentelemetry-instrumentation-requests" not in named
    advice = 'only one should own the cost on spans: switch off theirs, or ours by spans="off" or COSTTRACE_SPANS=off'
    assert (check["state"], check["advice"]) == ("warn", advice)


@pytest.mark.parametrize(
    ("variable", "value", "sends"),
    [
        ("LANGSMITH_TRACING_MODE", "hybrid", True),
        ("LANGSMITH_TRACING_MODE", "langsmith", False),
        ("LANGSMITH_OTEL_ENABLED", "true", True),
        ("LANGSMITH_OTEL_ENABLED", "false", False),
    ],
)
def test_langsmith_sending_spans_is_pointed_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, *, sends: bool
) -> None:
    monkeypatch.setenv(variable, value)

    (check,) = checked(run)[1]["instrumentation"]

    assert ("LangSmith sends its runs as spans" in check["found"]) is sends


def test_the_extras_that_are_installed_are_named(run: Run) -> None:
    _, found = checked(run)

    installed = found["extras"][0]["found"].removeprefix("installed: ").split(", ")
    assert {"cli", "demo", "openai"} <= set(installed)
    assert "all" not in installed
    assert "dev" not in installed


def test_each_check_says_what_to_do_about_what_it_found(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("no database " * 1000)

    text = run("doctor", "--ledger", "sqlite:///notes.db").stdout

    assert text.startswith("Checks\n")
    assert "\n  fail  ledger " in text
    assert text.endswith(" 1 failed\n")


def test_on_a_terminal_the_checks_fit_its_width(on_terminal: OnTerminal, ledger_url: str) -> None:
    for columns in (80, 120):
        shown = on_terminal("doctor", "--ledger", ledger_url, columns=columns)

        assert shown.status == 0
        assert max(map(len, shown.lines)) <= columns


def test_a_setting_that_is_secret_by_its_name_is_only_said_to_be_set() -> None:
    assert setting_text("COSTTRACE_POSTHOG_KEY", "phc_1") == "set"
    assert setting_text("COSTTRACE_TWILIO_AUTH_TOKEN", None) == "none"
    assert setting_text("COSTTRACE_DURABILITY", "full") == "full"
