"""``costtrace report``."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from costtrace import open_ledger
from costtrace.context import Context
from costtrace.reports import report
from tests.cli.conftest import OnTerminal, Process, Run
from tests.factories import make_costs, make_entry


def test_a_report_is_plain_text_when_piped(process: Process, ledger_url: str) -> None:
    done = process("report", "--by", "user,channel", "--ledger", ledger_url)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Cost by user and channel, all time\n"
        "  user   channel  actual USD  coverage                    in  out\n"
        "  u1     sms        0.006250  2 calculated, 1 unpriced  1350  600\n"
        "  u2     web        0.003125  1 calculated               450  200\n"
        "  total             0.009375  3 calculated, 1 unpriced  1800  800\n"
    )


def test_what_has_no_price_is_never_shown_as_zero(run: Run, ledger_url: str) -> None:
    lines = run("report", "--by", "model", "--ledger", ledger_url).stdout.splitlines()

    assert lines[2:] == [
        "  gpt-4o               0.006250  2 calculated               900  400",
        "  gpt-4o-2024-08-06    0.003125  1 calculated               450  200",
        "  own-1                unpriced  1 unpriced                 450  200",
        "  total                0.009375  3 calculated, 1 unpriced  1800  800",
    ]


def test_the_json_of_a_report_is_that_of_the_library(run: Run, ledger_url: str) -> None:
    shown = json.loads(run("report", "--by", "channel, user", "--json", "--ledger", ledger_url).stdout)

    assert shown == report(open_ledger(ledger_url), ["channel", "user"]).to_dict()
    assert shown["total"]["actual"] == {"USD": "0.009375"}


def test_csv_has_a_row_per_group_and_currency_and_sums_that_are_right(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mixed.db"
    open_ledger(url).append(
        [
            make_entry(1),
            make_costs("0.07", number=2, currency="EUR"),
            make_costs(estimate="0.0079", number=3),
            make_costs("0.5", number=4, context=Context(user_id='a "b", c')),
        ]
    )

    done = run("report", "--by", "user", "--csv", "--ledger", url)

    assert list(csv.reader(io.StringIO(done.stdout))) == [
        [
            "user",
            "currency",
            "actual",
            "pending",
            "settled",
            "calculated",
            "pending_entries",
            "unpriced_entries",
            "input_tokens",
            "output_tokens",
        ],
        ['a "b", c', "USD", "0.5", "", "1", "0", "0", "0", "0", "0"],
        ["u1", "EUR", "0.07", "", "1", "1", "1", "0", "450", "200"],
        ["u1", "USD", "0.003125", "0.0079", "", "", "", "", "", ""],
    ]


def test_csv_leaves_an_unknown_amount_empty(run: Run, ledger_url: str) -> None:
    rows = list(csv.DictReader(io.StringIO(run("report", "--by", "model", "--csv", "--ledger", ledger_url).stdout)))

    assert {row["model"]: row["actual"] for row in rows} == {
        "gpt-4o": "0.00625",
        "gpt-4o-2024-08-06": "0.003125",
        "own-1": "",
    }


def test_csv_holds_no_word_that_a_spreadsheet_would_run_as_a_formula(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/words.db"
    open_ledger(url).append(
        [make_entry(1, context=Context(user_id='=HYPERLINK("http://x")')), make_costs("-1", number=2)]
    )

    rows = list(csv.DictReader(io.StringIO(run("report", "--by", "user", "--csv", "--ledger", url).stdout)))

    assert {row["user"]: row["actual"] for row in rows} == {'\'=HYPERLINK("http://x")': "0.003125", "u1": "-1"}


def test_strict_ends_with_2_when_something_is_unpriced_and_shows_the_report_all_the_same(
    run: Run, ledger_url: str
) -> None:
    done = run("report", "--strict", "--ledger", ledger_url)

    assert done.exit_code == 2
    assert done.stdout.startswith("Cost by model, all time\n")
    assert done.stderr == "costtrace: 1 of 4 entries have no price; `costtrace doctor` says which models\n"
    assert run("report", "--ledger", ledger_url).exit_code == 0


def test_strict_ends_with_0_when_everything_has_its_price(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/priced.db"
    open_ledger(url).append([make_entry(1)])

    assert run("report", "--strict", "--ledger", url).exit_code == 0


def test_dates_are_utc_and_the_last_one_is_not_counted(run: Run, ledger_url: str) -> None:
    def entries(*words: str) -> int:
        shown = json.loads(run("report", "--json", "--ledger", ledger_url, *words).stdout)
        return sum(shown["total"]["coverage"].values())

    assert entries() == 4  # five, one of which the provider refused
    assert entries("--since", "2026-01-20", "--until", "2026-01-21") == 4
    assert entries("--until", "2026-01-20") == 0
    assert entries("--since", "2026-01-20T09:30:03", "--until", "2026-01-20T09:30:05") == 1
    assert entries("--since", "2026-01-20T10:30:03+01:00") == 2
    assert entries("--last", "30m") == 0


@pytest.mark.parametrize(
    ("span", "length"),
    [
        ("30m", timedelta(minutes=30)),
        ("12h", timedelta(hours=12)),
        ("7d", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_a_span_counts_back_from_now(run: Run, tmp_path: Path, span: str, length: timedelta) -> None:
    url = f"sqlite:///{tmp_path}/span.db"
    begins, margin = datetime.now(UTC) - length, timedelta(minutes=5)
    open_ledger(url).append([make_entry(1, occurred_at=begins + margin), make_entry(2, occurred_at=begins - margin)])

    shown = json.loads(run("report", "--last", span, "--json", "--ledger", url).stdout)

    assert shown["total"]["coverage"]["calculated"] == 1


def test_a_time_without_entries_says_so(run: Run, ledger_url: str) -> None:
    done = run("report", "--since", "2030-01-01", "--ledger", ledger_url)

    assert done.exit_code == 0
    assert done.stdout == "Cost by model, from 2030-01-01 00:00 UTC\nThere are no entries in that time.\n"


def test_without_a_word_there_is_only_the_total(run: Run, ledger_url: str) -> None:
    assert run("report", "--by", "", "--ledger", ledger_url).stdout == (
        "Cost, all time\n"
        "         actual USD  coverage                    in  out\n"
        "  total    0.009375  3 calculated, 1 unpriced  1800  800\n"
    )


def test_long_names_and_all_digits_are_whole_when_piped(run: Run, tmp_path: Path) -> None:
    user, amount = "u" * 512, "0.123456789012345678901234567890123456789"
    url = f"sqlite:///{tmp_path}/long.db"
    open_ledger(url).append([make_costs(amount, context=Context(user_id=user))])

    text = run("report", "--by", "user", "--ledger", url).stdout

    assert f"  {user}  {amount}  1 settled" in text


def test_on_a_terminal_a_report_is_a_table_of_its_width(on_terminal: OnTerminal, ledger_url: str) -> None:
    for columns in (80, 120):
        shown = on_terminal("report", "--by", "user,channel,model", "--ledger", ledger_url, columns=columns)

        assert shown.status == 0
        assert max(map(len, shown.lines)) <= columns
        assert "─────" in shown.text
        assert "0.009375" in shown.text
        assert "…" not in shown.text


def test_where_keeps_the_entries_that_say_so(run: Run, ledger_url: str) -> None:
    def entries(*words: str) -> int:
        shown = json.loads(run("report", "--json", "--ledger", ledger_url, *words).stdout)
        return sum(shown["total"]["coverage"].values())

    assert entries("--where", "user=u1") == 3
    assert entries("--where", "user=u1", "--where", "model=own-1") == 1
    assert entries("--where", "user=") == 0
    assert entries("--where", "tag:team=a") == 0
    assert run("report", "--where", "user=u1", "--ledger", ledger_url).stdout.startswith(
        "Cost by model, user u1, all time\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--where", "usr=u1"], "where: expected one of channel, "),
        (["--where", "user"], "--where: expected WORD=VALUE"),
        (["--by", "tag"], "by: expected one of channel, "),
        (["--zone", "Mars/Olympus"], "--zone: expected a time zone such as UTC, Europe/Berlin"),
        (["--zone", "../etc"], "--zone: expected a time zone"),
        (["--zone", ""], "--zone: expected a time zone"),
    ],
)
def test_a_word_or_a_zone_that_nobody_knows_is_refused(
    run: Run, ledger_url: str, words: list[str], message: str
) -> None:
    done = run("report", "--ledger", ledger_url, *words)

    assert done.exit_code == 2
    assert message in done.stderr


def test_days_are_those_of_the_zone(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/late.db"
    open_ledger(url).append([make_costs("1", number=1, occurred_at=datetime(2026, 1, 20, 23, 30, tzinfo=UTC))])

    def days(*words: str) -> list[str]:
        shown = json.loads(run("report", "--by", "day", "--json", "--ledger", url, *words).stdout)
        return [group["group"]["day"] for group in shown["groups"]]

    assert days() == ["2026-01-20"]
    assert days("--zone", "Europe/Berlin") == ["2026-01-21"]
    assert run("report", "--by", "day", "--zone", "Europe/Berlin", "--ledger", url).stdout.startswith(
        "Cost by day, all time, in Europe/Berlin\n"
    )


def test_tags_are_groups(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/tags.db"
    open_ledger(url).append(
        [make_costs("1", number=1, context=Context(tags={"team": "a"})), make_costs("2", number=2, context=Context())]
    )

    shown = json.loads(run("report", "--by", "tag:team", "--json", "--ledger", url).stdout)

    assert [group["group"] for group in shown["groups"]] == [{"tag:team": None}, {"tag:team": "a"}]
