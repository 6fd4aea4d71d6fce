"""Costs over time: nothing is left out, nothing is counted twice, and the gaps are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from costtrace.entry import Entry
from costtrace.ledger import Selection, SqliteLedger
from costtrace.reports import report
from costtrace.testing import MemoryLedger
from costtrace.web.dashboard.periods import Periods, chart, periods
from tests.factories import make_costs

NOW = datetime(2026, 1, 22, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
UTC_ZONE = ZoneInfo("UTC")


def costs_of(*entries: Entry, word: str = "day", since: datetime | None = None, zone: ZoneInfo = UTC_ZONE) -> Periods:
    ledger = MemoryLedger()
    ledger.append(entries)
    return periods(report(ledger, (word, "kind"), Selection(since=since), zone), word, zone, NOW)


def cost(number: int, amount: str, at: datetime, kind: str = "llm", **changes: Any) -> Entry:
    return make_costs(amount, number=number, occurred_at=at, recorded_at=at, kind=kind, **changes)


def test_a_day_without_entries_is_a_gap_in_the_chart_and_no_row() -> None:
    found = costs_of(
        cost(1, "0.5", datetime(2026, 1, 18, tzinfo=UTC)), cost(2, "0.25", datetime(2026, 1, 21, tzinfo=UTC))
    )
    assert found.names == ["2026-01-18", "2026-01-19", "2026-01-20", "2026-01-21"]
    assert [row.name for row in found.rows] == ["2026-01-21", "2026-01-18"]
    assert [(bar["period"], bar["usd"]) for bar in found.bars] == [("2026-01-18", 0.5), ("2026-01-21", 0.25)]


def test_a_time_that_was_asked_for_is_shown_whole() -> None:
    found = costs_of(cost(1, "1", datetime(2026, 1, 20, tzinfo=UTC)), since=datetime(2026, 1, 19, 6, tzinfo=UTC))
    assert found.names == ["2026-01-19", "2026-01-20", "2026-01-21", "2026-01-22"]


def test_what_models_sms_and_tools_cost_stands_apart_and_adds_up() -> None:
    at = datetime(2026, 1, 20, tzinfo=UTC)
    found = costs_of(
        cost(1, "0.1", at),
        cost(2, "0.02", at, kind="embedding"),
        cost(3, "0.003", at, kind="sms", entry_id="sms/SM1"),
        cost(4, "0.0004", at, kind="tool"),
        cost(5, "-0.00005", at, kind="correction"),
    )
    (row,) = found.rows
    assert list(found.sources) == ["LLM", "SMS", "tools", "corrections and others"]
    assert [cell.text for cell in row.parts] == ["0.12", "0.003", "0.0004", "-0.00005"]
    assert sum(Decimal(cell.text) for cell in row.parts) == Decimal(row.actual.text) == Decimal("0.12335")
    assert [bar["said"] for bar in found.bars][:2] == ["2026-01-20, LLM: 0.12 USD", "2026-01-20, SMS: 0.003 USD"]


def test_many_days_become_months() -> None:
    start = datetime(2025, 9, 15, tzinfo=UTC)
    found = costs_of(*(cost(number, "0.5", start + timedelta(days=number)) for number in range(100)))
    assert (found.word, found.names) == ("month", ["2025-09", "2025-10", "2025-11", "2025-12"])
    assert [row.actual.text for row in found.rows] == ["11.5", "15.0", "15.5", "8.0"]  # 23 + 30 + 31 + 16 days


def test_a_time_far_longer_than_what_is_known_begins_with_what_is_known() -> None:
    entry = cost(1, "1", datetime(2025, 11, 3, tzinfo=UTC))
    found = costs_of(entry, since=datetime(1, 1, 2, tzinfo=UTC))
    assert (found.word, found.names) == ("month", ["2025-11", "2025-12", "2026-01"])
    within = costs_of(entry, since=datetime(2025, 9, 1, tzinfo=UTC))
    assert within.names == ["2025-09", "2025-10", "2025-11", "2025-12", "2026-01"]


def test_the_hour_that_comes_twice_is_two_hours() -> None:
    before, after = datetime(2025, 10, 26, 0, 30, tzinfo=UTC), datetime(2025, 10, 26, 1, 30, tzinfo=UTC)
    found = costs_of(cost(1, "1", before), cost(2, "2", after), word="hour", zone=BERLIN)
    assert found.names == ["2025-10-26T02:00+02:00", "2025-10-26T02:00+01:00"]
    assert [row.actual.text for row in found.rows] == ["2", "1"]


def test_hours_without_entries_are_shown_too() -> None:
    at = datetime(2026, 1, 22, 10, 30, tzinfo=UTC)
    found = costs_of(cost(1, "1", at), word="hour", since=datetime(2026, 1, 22, 9, tzinfo=UTC), zone=BERLIN)
    assert found.names == [f"2026-01-22T{hour}:00+01:00" for hour in (10, 11, 12, 13)]


def test_another_currency_stands_in_the_table_and_not_in_the_chart() -> None:
    at = datetime(2026, 1, 20, tzinfo=UTC)
    found = costs_of(cost(1, "1", at), cost(2, "3", at, currency="EUR"))
    assert found.rows[0].actual.text == "3 EUR + 1 USD"
    assert found.other_currencies == ["EUR"]
    assert [bar["usd"] for bar in found.bars] == [1.0]


def test_what_has_no_price_is_no_zero() -> None:
    found = costs_of(make_costs(None, estimate="0.0075", occurred_at=NOW, kind="sms"))
    assert (found.rows[0].actual.text, found.rows[0].pending.text, found.bars) == ("pending", "0.0075", [])


def test_nothing_at_all_is_nothing() -> None:
    found = costs_of()
    assert (found.rows, found.names, found.bars) == ([], [], [])


def test_a_day_before_the_calendar_does_not_stop_the_others(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "costs.db")
    ledger.append([cost(1, "1", datetime(1, 1, 1, tzinfo=UTC)), cost(2, "2", NOW)])
    found = periods(report(ledger, ("day", "kind")), "day", UTC_ZONE, NOW)
    ledger.close()
    assert [row.actual.text for row in found.rows] == ["2", "1"]


def test_the_chart_has_a_colour_for_each_source_and_a_place_for_each_day() -> None:
    at = datetime(2026, 1, 20, tzinfo=UTC)
    spec = chart(costs_of(cost(1, "1", at), cost(2, "2", at + timedelta(days=2), kind="sms")), 640)
    assert spec["width"] == 640
    assert spec["encoding"]["x"]["scale"]["domain"] == ["2026-01-20", "2026-01-21", "2026-01-22"]
    assert spec["encoding"]["color"]["scale"]["range"] == ["var(--llm, #4a5fd0)", "var(--sms, #0d8577)"]
