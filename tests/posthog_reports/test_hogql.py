"""The queries are HogQL that PostHog's own parser reads, and nothing gets into them that was not meant to."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from costtrace import open_ledger
from costtrace.errors import InvalidValue
from costtrace.posthog_reports.definitions import JOURNEY, REPORTS, Report, report_of
from costtrace.posthog_reports.verify import verify
from tests.factories import NOW, make_entry

SINCE, UNTIL = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
Parse = Callable[[str], dict[str, Any]]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Parse:
    """PostHog's parser, a compiled module that looks for the errors of the server it was made for."""
    errors = ModuleType("posthog.hogql.errors")
    for name in ("BaseHogQLError", "ExposedHogQLError", "NotImplementedError", "ParsingError", "SyntaxError"):
        setattr(errors, name, type(name, (Exception,), {}))
    for name, module in (("posthog.hogql", ModuleType("posthog.hogql")), ("posthog.hogql.errors", errors)):
        monkeypatch.setitem(sys.modules, name, module)
    parser = pytest.importorskip("hogql_parser", reason="HogQL's own parser is not installed", exc_type=ImportError)

    def parsed(text: str) -> dict[str, Any]:
        tree: dict[str, Any] = json.loads(parser.parse_select_json(text))
        assert not tree.get("error"), tree
        return tree

    return parsed


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report.name))
@pytest.mark.parametrize("environment", [None, "production"])
def test_posthog_reads_every_query(report: Report, environment: str | None, parse: Parse) -> None:
    for hogql in (
        report.for_dashboard(environment=environment),
        report.exact(since=SINCE, until=UNTIL, environment=environment),
    ):
        parsed = parse(hogql)
        assert [column.get("alias") or column["chain"][0] for column in parsed["select"]] == [
            column.name for column in report.columns
        ]
        assert parsed["limit"]["value"] == 50_000


def test_posthog_reads_the_queries_of_a_check(parse: Parse, tmp_path: Path) -> None:
    asked: list[str] = []

    class Asked:
        def query(self, hogql: str, *, name: str) -> dict[str, Any]:
            asked.append(hogql)
            return {"columns": [name], "results": []}

    ledger = open_ledger(f"sqlite:///{tmp_path}/costs.db")
    ledger.append([make_entry()])
    verify(Asked(), ledger, NOW.date(), now=UNTIL)

    assert [parse(hogql)["node"] for hogql in asked] == ["SelectQuery"] * 2


def test_the_parser_would_notice(parse: Parse) -> None:
    with pytest.raises(AssertionError, match="no viable alternative"):
        parse("SELECT a FROM events WHERE AND b")


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report.name))
def test_a_dashboard_sets_the_dates_and_every_source_asks_it(report: Report) -> None:
    hogql = report.for_dashboard(environment=None)

    assert hogql.count("{filters}") == hogql.count("FROM events")
    assert "{" not in hogql.replace("{filters}", "")


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report.name))
def test_outside_a_dashboard_the_dates_stand_in_the_query(report: Report) -> None:
    east = timezone(timedelta(hours=5, minutes=45))
    hogql = report.exact(since=SINCE.astimezone(east), until=UNTIL, environment=None)

    assert "{" not in hogql
    assert hogql.count("timestamp >= toDateTime('2026-11-01T00:00:00Z')") == hogql.count("FROM events")
    assert hogql.count("timestamp < toDateTime('2026-12-01T00:00:00Z')") == hogql.count("FROM events")


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report.name))
def test_stored_properties_are_only_read_by_name(report: Report) -> None:
    """How PostHog stores them is its own affair, and changes."""
    hogql = report.for_dashboard(environment="production")

    assert re.findall(r"JSON|properties(?!\.[a-z_]+)", hogql) == []


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report.name))
def test_money_is_added_as_whole_numbers_and_divided_last(report: Report) -> None:
    assert "/" not in report.exact(since=SINCE, until=UNTIL, environment=None)
    outer = report.for_dashboard(environment=None).partition("\nFROM")[0]
    money = [column.name for column in report.columns if column.is_money]
    assert re.findall(r"/ 1000000000000 AS (\w+)", outer) == money


@pytest.mark.parametrize("environment", ["", "a'b", "a b", "a/b", "1a", "x" * 65, "a\\", "ü", "a\n"])
def test_an_environment_that_is_no_name_is_refused(environment: str) -> None:
    with pytest.raises(InvalidValue, match="environment: expected a word"):
        JOURNEY.for_dashboard(environment=environment)


def test_a_report_nobody_knows_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidValue, match="one of ai_cost, twilio_cost, user_total, journey, got 'ai'"):
        report_of("ai")
