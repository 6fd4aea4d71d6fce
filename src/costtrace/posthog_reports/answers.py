"""What a report says, taken from PostHog's answer without going through a float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from costtrace.errors import ExporterUnavailable
from costtrace.money import amount_text, pico_amount
from costtrace.posthog_reports.definitions import MAX_ROWS, Column, Report
from costtrace.times import moment_text

Value = str | int | Decimal | None


class Queries(Protocol):
    """Answers HogQL: `PostHogApi`, or a ClickHouse of one's own."""

    def query(self, hogql: str, *, name: str) -> dict[str, Any]:
        """The answer, with ``results`` and ``columns``; `name` says what it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of one report over ``[since, until)``."""

    report: Report
    since: datetime
    until: datetime
    environment: str | None
    rows: tuple[tuple[Value, ...], ...]
    """A value per column of the report: text, a count, or an exact amount; None where it is not known."""

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows than PostHog gives in one answer."""
        return len(self.rows) >= MAX_ROWS

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON objects, money as text."""
        return {
            "report": self.report.name,
            "since": moment_text(self.since),
            "until": moment_text(self.until),
            "environment": self.environment,
            "complete": not self.is_cut,
            "rows": [
                {column.name: _plain(value) for column, value in zip(self.report.columns, row, strict=True)}
                for row in self.rows
            ],
        }


def ask(queries: Queries, report: Report, *, since: datetime, until: datetime, environment: str | None) -> Answer:
    """What PostHog holds on that question; raises what the query raises."""
    hogql = report.exact(since=since, until=until, environment=environment)
    found = queries.query(hogql, name=f"costtrace {report.name}")
    if found["columns"] != [column.name for column in report.columns]:
        raise ExporterUnavailable(f"PostHog answers with other columns than were asked for: {found['columns']}")
    rows = tuple(_row(report.columns, row) for row in found["results"])
    return Answer(report=report, since=since, until=until, environment=environment, rows=rows)


def integer(value: Any) -> int | None:
    """A whole number as ClickHouse may write it: a JSON number, or text for one of 64 bits. Never by way of a float."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and value.lstrip("-").isdecimal():
        return int(value)
    raise ExporterUnavailable(f"PostHog answers with {value!r} where a whole number was asked for")


def _row(columns: Sequence[Column], values: Sequence[Any]) -> tuple[Value, ...]:
    return tuple(_value(column, value) for column, value in zip(columns, values, strict=True))


def _value(column: Column, value: Any) -> Value:
    if column.is_text:
        return None if value is None else str(value)
    number = integer(value)
    return pico_amount(number) if column.is_money and number is not None else number


def _plain(value: Value) -> str | int | None:
    return amount_text(value) if isinstance(value, Decimal) else value
