"""The four reports, once: what they are called, which columns they have, and their HogQL.

Delivery is at least once, so events come twice, late and on both sides of midnight, and PostHog merges them when it
likes. Every report therefore folds the events of one thing into one *item* before it sums:

- a model call, a tool's use or a correction is the events of one uuid;
- an SMS is the events of one attempt to send it, or else of one MessageSid, and costs what the newest version of its
  price says.

Money is added as whole numbers of 1e-12 and divided, if at all, once at the end. Sums hold 64 bits, which is nine
million dollars a group. What has no price is counted and never zero: a sum of nothing known is null. US dollars and
other currencies are never added. Days are those of UTC, and of the earliest copy of an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from costtrace.errors import InvalidValue
from costtrace.exporters.posthog.personal import environment_name
from costtrace.posthog_reports import items
from costtrace.times import utc

MAX_ROWS: Final = 50_000
"""Rows of a report, at most: PostHog gives no more in one answer."""
PICO: Final = 10**12

_ON_A_DASHBOARD: Final = "{filters}"
"""PostHog's own placeholder: the dates and properties that a dashboard is set to."""


class Kind(StrEnum):
    """What the values of a column are."""

    TEXT = "text"
    REFERENCE = "reference"
    """An id of PostHog's or of ours to look further with."""
    DAY = "day"
    """A UTC day."""
    MOMENT = "moment"
    COUNT = "count"
    USD = "usd"
    """An amount in US dollars."""
    NATIVE = "native"
    """An amount in the currency of its row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a report."""

    name: str
    kind: Kind
    expression: str
    """HogQL over items; for money the sum in 1e-12."""

    @property
    def is_money(self) -> bool:
        """Whether its values are amounts."""
        return self.kind in {Kind.USD, Kind.NATIVE}

    @property
    def is_text(self) -> bool:
        """Whether its values are neither amounts nor counts."""
        return not self.is_money and self.kind is not Kind.COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One question and the query that answers it."""

    name: str
    """Its word on the command line and in tags."""
    title: str
    description: str
    """At most 370 characters: PostHog keeps 400, and the tag is added."""
    columns: tuple[Column, ...]
    source: str
    """The items, as HogQL with the places ``{environment}`` and ``{when}``."""
    groups: tuple[str, ...]
    order: str

    def for_dashboard(self, *, environment: str | None) -> str:
        """The query of a tile, whose dates follow its dashboard; amounts are numbers of whole dollars."""
        return self._query(_ON_A_DASHBOARD, environment, exact=False)

    def exact(self, *, since: datetime, until: datetime, environment: str | None) -> str:
        """The query for ``[since, until)``, with each amount as the integer of 1e-12 that it is."""
        return self._query(between(since, until), environment, exact=True)

    def _query(self, when: str, environment: str | None, *, exact: bool) -> str:
        chosen = ",\n       ".join(_chosen(column, exact=exact) for column in self.columns)
        source = self.source.replace("{environment}", of_environment(environment)).replace("{when}", when)
        groups = ", ".join(self.groups)
        return f"SELECT {chosen}\nFROM (\n{source}\n)\nGROUP BY {groups}\nORDER BY {self.order}\nLIMIT {MAX_ROWS}"


def of_environment(environment: str | None) -> str:
    """The condition that an event is of that environment; None takes all.

    Raises InvalidValue for what is no name of one.
    """
    if environment is None:
        return "true"
    return f"properties.environment = '{environment_name(environment)}'"


def between(since: datetime, until: datetime, *, of: str = "timestamp") -> str:
    """The condition that an event, or whatever `of` says the moment of, happened in ``[since, until)``."""
    first, end = (f"toDateTime('{utc(moment, 'moment'):%Y-%m-%dT%H:%M:%SZ}')" for moment in (since, until))
    return f"{of} >= {first} AND {of} < {end}"


def _chosen(column: Column, *, exact: bool) -> str:
    divided = f"{column.expression} / {PICO}" if column.is_money and not exact else column.expression
    return divided if divided == column.name else f"{divided} AS {column.name}"


def _text(name: str, expression: str | None = None, *, kind: Kind = Kind.TEXT) -> Column:
    return Column(name=name, kind=kind, expression=expression or name)


def _count(name: str, expression: str) -> Column:
    return Column(name=name, kind=Kind.COUNT, expression=expression)


def _usd(name: str, expression: str) -> Column:
    return Column(name=name, kind=Kind.USD, expression=expression)


_DAY: Final = _text("day", "toDate(toTimeZone(ts, 'UTC'))", kind=Kind.DAY)
_USER: Final = _text("user", kind=Kind.REFERENCE)
_USER_ID: Final = _text("user_id", "min(who)")
STILL_OPEN: Final = (
    _count("pending", "sum(awaited)"),
    _count("unpriced", "sum(unknown)"),
    _count("not_converted", "sum(elsewhere)"),
)
"""What no amount of the row holds: a price to come, no price at all, a price in another currency."""
_SMS: Final = "kind IN ('inbound', 'outbound')"

AI_COST: Final = Report(
    name="ai_cost",
    title="AI cost by channel, date and user",
    description="What model calls and embeddings cost in US dollars, and how many have no price (yet).",
    columns=(
        _DAY,
        _text("channel"),
        _USER,
        _USER_ID,
        _usd("ai_cost_usd", "sum(pico)"),
        _count("calls", "sum(made)"),
        *STILL_OPEN,
    ),
    source=items.AI_ITEMS,
    groups=("day", "channel", "user"),
    order="day, channel, user",
)
TWILIO_COST: Final = Report(
    name="twilio_cost",
    title="Twilio cost by direction, date and user",
    description="What SMS cost by Twilio's own prices, each currency by itself, and how many have no price (yet).",
    columns=(
        _DAY,
        _text("direction", "kind"),
        _USER,
        _USER_ID,
        _text("currency"),
        Column(name="cost_native", kind=Kind.NATIVE, expression="sum(native)"),
        _usd("cost_usd", "sum(pico)"),
        _count("messages", "count()"),
        *STILL_OPEN,
    ),
    source=items.SMS_ITEMS,
    groups=("day", "direction", "user", "currency"),
    order="day, direction, user, currency",
)
USER_TOTAL: Final = Report(
    name="user_total",
    title="Total cost per user",
    description="What each user's messages cost in US dollars, dearest first, and what is not in that sum.",
    columns=(
        _USER,
        _USER_ID,
        _usd("ai_cost_usd", "sumIf(pico, kind = 'ai')"),
        _usd("twilio_cost_usd", f"sumIf(pico, {_SMS})"),
        _usd("tool_cost_usd", "sumIf(pico, kind = 'tool')"),
        _usd("total_cost_usd", "sum(pico)"),
        _count("messages", "uniqExact(message_uuid)"),
        *STILL_OPEN,
    ),
    source=items.ALL_ITEMS,
    groups=("user",),
    order="sum(pico) DESC, user",
)
JOURNEY: Final = Report(
    name="journey",
    title="Cost journey of each message",
    description="What each message cost step by step in US dollars, newest first, and what is not in that sum.",
    columns=(
        _text("message_uuid"),
        _text("conversation", "any(conversation_id)", kind=Kind.REFERENCE),
        _text("person", "any(user)", kind=Kind.REFERENCE),
        _text("started", "min(ts)", kind=Kind.MOMENT),
        _count("calls", "coalesce(sumIf(made, kind = 'ai'), 0)"),
        _usd("ai_cost_usd", "sumIf(pico, kind = 'ai')"),
        _usd("tool_cost_usd", "sumIf(pico, kind = 'tool')"),
        _usd("sms_in_usd", "sumIf(pico, kind = 'inbound')"),
        _usd("sms_out_usd", "sumIf(pico, kind = 'outbound')"),
        _usd("total_usd", "sum(pico)"),
        *STILL_OPEN,
    ),
    source=items.ALL_ITEMS,
    groups=("message_uuid",),
    order="started DESC, message_uuid",
)
REPORTS: Final = (AI_COST, TWILIO_COST, USER_TOTAL, JOURNEY)
"""In the order in which they stand on the dashboard."""


def report_of(name: str) -> Report:
    """The report of that name; raises InvalidValue naming those there are."""
    for report in REPORTS:
        if report.name == name:
            return report
    raise InvalidValue("report", name, f"one of {', '.join(report.name for report in REPORTS)}")
