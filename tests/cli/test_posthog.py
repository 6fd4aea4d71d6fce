"""``costtrace posthog``."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from costtrace import open_ledger
from costtrace.entry import Entry
from costtrace.outbox import Outbox
from costtrace.posthog_reports.definitions import REPORTS
from tests.cli.conftest import OnTerminal, Run
from tests.posthog_reports.project import KEY, PROJECT, Project, problem, serving
from tests.posthog_reports.stored import call, context, mapped, outbound, priced
from tests.posthog_reports.test_verify import Taker

THAT_DAY = datetime.combine(datetime.now(UTC).date() - timedelta(days=2), time(12), UTC)
SID = "SM" + "1" * 32


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A PostHog project, and an environment that names it."""
    standin = Project()
    with serving(standin) as address:
        for name, value in {
            "POSTHOG_HOST": address,
            "POSTHOG_PERSONAL_API_KEY": KEY,
            "POSTHOG_PROJECT_ID": PROJECT,
        }.items():
            monkeypatch.setenv(name, value)
        yield standin


def entries() -> list[Entry]:
    sms = outbound(SID, "m1", context(), at=THAT_DAY)
    return [
        *sms,
        *priced(sms, "-0.00790"),
        call(1, "0.000123456789", "m1", context(), at=THAT_DAY),
        call(2, None, "m2", context("u-browser", "web"), at=THAT_DAY),
    ]


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/costs.db"
    open_ledger(address).append(entries())
    return address


@pytest.fixture
def clickhouse(project: Project) -> Project:
    """The project with a day's events, and what answers queries over them."""
    pytest.importorskip("chdb", reason="queries run on ClickHouse: pip install chdb")
    project.events = list(mapped(entries()))
    return project


def test_the_dashboard_is_printed_as_json_without_asking_anybody(run: Run) -> None:
    done = run("posthog", "dashboard", "--print", "json", "--environment", "production")

    whole = json.loads(done.stdout)
    assert (done.exit_code, whole["dashboard"]["name"]) == (0, "Cost of messages")
    queries = [insight["query"]["source"]["query"] for insight in whole["insights"]]
    assert queries == [report.for_dashboard(environment="production") for report in REPORTS]


def test_the_dashboard_is_printed_for_terraform(run: Run) -> None:
    done = run("posthog", "dashboard", "--print", "terraform")

    assert done.exit_code == 0
    assert done.stdout.count('resource "posthog_insight"') == len(REPORTS)


def test_the_environment_of_the_settings_counts_unless_another_is_given(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSTTRACE_ENVIRONMENT", "staging")

    assert "'staging'" in run("posthog", "dashboard", "--print", "json").stdout
    assert "'production'" in run("posthog", "dashboard", "--print", "json", "--environment", "production").stdout


def test_the_dashboard_is_made_once(run: Run, project: Project) -> None:
    first = run("posthog", "dashboard", "--apply")
    second = json.loads(run("posthog", "dashboard", "--apply", "--json").stdout)

    (number,) = project.things["dashboards"]
    assert first.exit_code == 0
    assert first.stdout.splitlines()[:3] == [
        "Reports in PostHog",
        "  report       was      address",
        f"  dashboard    created  {project.address}/project/{PROJECT}/dashboard/{number}",
    ]
    assert {one["outcome"] for one in second} == {"unchanged"}
    assert Path("costtrace-posthog.json").exists()


@pytest.mark.parametrize("options", [(), ("--apply", "--print", "json")])
def test_one_of_three_is_to_be_chosen(run: Run, options: tuple[str, ...]) -> None:
    done = run("posthog", "dashboard", *options)

    assert (done.exit_code, done.stderr) == (
        2,
        "costtrace: choose one of --print json, --print terraform and --apply\n",
    )


def test_a_report_is_shown_to_the_last_digit(run: Run, clickhouse: Project) -> None:
    done = run("posthog", "query", "user_total", "--last", "30d")

    head, *table = done.stdout.splitlines()
    assert (done.exit_code, head.startswith("Total cost per user, US dollars, from ")) == (0, True)
    assert table == [
        "  user                   ai  twilio           total  messages  not in it",
        "  u-phone    0.000123456789  0.0079  0.008023456789         1  -",
        "  u-browser               -       -               -         1  1 unpriced",
    ]
    assert clickhouse.asked[0][1] == "query/"


@pytest.mark.usefixtures("clickhouse")
def test_a_report_as_json_holds_money_as_text(run: Run) -> None:
    shown = json.loads(run("posthog", "query", "journey", "--json").stdout)

    assert (shown["report"], shown["complete"], len(shown["rows"])) == ("journey", True, 2)
    row = next(row for row in shown["rows"] if row["message_uuid"] == "m1")
    assert (row["total_usd"], row["calls"], row["tool_cost_usd"]) == ("0.008023456789", 1, None)


@pytest.mark.usefixtures("clickhouse")
def test_a_report_as_csv_leaves_empty_what_is_not_known(run: Run) -> None:
    text = run("posthog", "query", "ai_cost", "--csv").stdout

    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["channel"], row["ai_cost_usd"], row["unpriced"]) for row in rows] == [
        ("sms", "0.000123456789", "0"),
        ("web", "", "1"),
    ]


@pytest.mark.parametrize("report", [report.name for report in REPORTS])
@pytest.mark.usefixtures("clickhouse")
def test_no_amount_is_cut_on_a_narrow_terminal(on_terminal: OnTerminal, report: str) -> None:
    shown = on_terminal("posthog", "query", report, columns=80)

    assert shown.status == 0
    assert "0.0079" in shown.text if report == "twilio_cost" else "0.000123456789" in shown.text


def test_help_names_every_report(run: Run) -> None:
    shown = run("posthog", "query", "--help").stdout

    assert all(report.name in shown for report in REPORTS)


def test_a_report_of_a_time_without_events_says_so(run: Run, clickhouse: Project) -> None:
    clickhouse.events.clear()

    assert run("posthog", "query", "ai_cost").stdout.splitlines()[1] == "PostHog has no events of that time."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("query", "costs"), "report: expected one of ai_cost, twilio_cost, user_total, journey, got 'costs'"),
        (("query", "ai_cost", "--last", "month"), "--last: expected a span such as 30m, 12h, 7d or 4w, got 'month'"),
        (("query", "ai_cost", "--json", "--csv"), "--json and --csv exclude each other; choose one"),
        (("verify", "--day", "yesterday"), "--day: expected a date such as 2026-01-20, got 'yesterday'"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anybody_is_asked(
    run: Run, project: Project, url: str, words: tuple[str, ...], said: str
) -> None:
    ledger = ("--ledger", url) if words[0] == "verify" else ()
    done = run("posthog", *words, *ledger)

    assert (done.exit_code, done.stderr, project.asked) == (2, f"costtrace: {said}\n", [])


@pytest.mark.usefixtures("project")
def test_a_setting_that_is_missing_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTHOG_PROJECT_ID")

    done = run("posthog", "query", "ai_cost")

    assert (done.exit_code, "POSTHOG_PROJECT_ID is not set" in done.stderr) == (2, True)


def test_a_key_that_is_refused_is_named_and_never_shown(run: Run, project: Project) -> None:
    project.faults = [problem(403, "API key missing required scope 'query:read'")]

    done = run("posthog", "query", "ai_cost")

    assert (done.exit_code, "needs the scope 'query:read'" in done.stderr) == (2, True)
    assert KEY not in done.stderr


@pytest.mark.usefixtures("clickhouse")
def test_a_day_that_is_complete_is_said_so(run: Run, url: str) -> None:
    done = run("posthog", "verify", "--day", f"{THAT_DAY:%Y-%m-%d}", "--ledger", url)

    assert done.exit_code == 0
    assert done.stdout == (
        f"PostHog beside the ledger, {THAT_DAY:%Y-%m-%d} UTC\n"
        "  event            ledger events  posthog events      ledger USD     posthog USD  missing\n"
        "  $ai_generation               2               2  0.000123456789  0.000123456789        -\n"
        "  sms_cost_update              1               1  0.007900000000  0.007900000000        -\n"
        "  sms_outbound                 1               1  0.000000000000  0.000000000000        -\n"
        "PostHog has everything, to the last digit.\n"
    )


def test_what_is_missing_is_delivered_again_and_ends_with_1(run: Run, clickhouse: Project, url: str) -> None:
    taker = Taker()
    outbox = Outbox(open_ledger(url), [taker])
    outbox.deliver_once()
    taker.taken.clear()
    clickhouse.events = [event for event in clickhouse.events if event["event"] != "sms_cost_update"]

    done = run("posthog", "verify", "--day", f"{THAT_DAY:%Y-%m-%d}", "--ledger", url, "--pause", "0", "--json")
    outbox.deliver_once()

    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["missing"], shown["requeued"]) == (1, 1, 1)
    assert taker.taken == [f"sms-price/{SID}/1"]
    assert {one["event"]: (one["ledger"]["usd"], one["posthog"]["usd"]) for one in shown["events"]} == {
        "$ai_generation": ("0.000123456789",) * 2,
        "sms_cost_update": ("0.0079", "0"),
        "sms_outbound": ("0", "0"),
    }


def test_another_amount_in_posthog_is_named_and_ends_with_1(run: Run, clickhouse: Project, url: str) -> None:
    """Nothing is missing, so nothing is delivered again: that would add a second opinion, not take the first away."""
    (price,) = [event for event in clickhouse.events if event["event"] == "sms_cost_update"]
    price["properties"]["cost_change_picousd"] = 1

    done = run("posthog", "verify", "--day", f"{THAT_DAY:%Y-%m-%d}", "--ledger", url, "--pause", "0")

    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        1,
        f"1 sms_cost_update have another amount in PostHog: sms-price/{SID}/1",
    )


def test_a_ledger_that_never_delivered_there_is_said_so(run: Run, clickhouse: Project, url: str) -> None:
    clickhouse.events.clear()

    done = run("posthog", "verify", "--day", f"{THAT_DAY:%Y-%m-%d}", "--ledger", url, "--pause", "0")

    assert done.exit_code == 2
    assert done.stderr == (
        "costtrace: PostHog lacks 4 events, and nothing was ever delivered to it from this ledger; `costtrace deliver`"
        " begins with that, --no-requeue only compares\n"
    )


def test_without_requeue_nothing_is_changed(run: Run, clickhouse: Project, url: str) -> None:
    clickhouse.events.clear()

    done = run("posthog", "verify", "--day", f"{THAT_DAY:%Y-%m-%d}", "--ledger", url, "--pause", "0", "--no-requeue")

    assert (done.exit_code, done.stdout.splitlines()[-1]) == (
        1,
        "4 events are missing; without --no-requeue they are delivered again.",
    )


def test_a_day_that_has_not_settled_is_refused(run: Run, clickhouse: Project, url: str) -> None:
    done = run("posthog", "verify", "--day", f"{datetime.now(UTC):%Y-%m-%d}", "--ledger", url)

    assert (done.exit_code, "a day that ended at least two hours ago" in done.stderr) == (2, True)
    assert clickhouse.asked == []


@pytest.mark.usefixtures("clickhouse")
def test_without_a_day_the_last_settled_one_is_compared(run: Run, url: str) -> None:
    shown = json.loads(run("posthog", "verify", "--ledger", url, "--pause", "0", "--no-requeue", "--json").stdout)

    assert shown["day"] == f"{datetime.now(UTC) - timedelta(days=1, hours=2):%Y-%m-%d}"
    assert Decimal(shown["missing"]) == 0
