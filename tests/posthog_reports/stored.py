"""Entries of a day, the events they make, and what a report says of them on a real ClickHouse."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from costtrace.context import Context
from costtrace.entry import Entry, Kind, Standing
from costtrace.exporters.posthog.contract import Event
from costtrace.exporters.posthog.events import EventMapper
from costtrace.messages import fold
from costtrace.money import Money
from costtrace.posthog_reports.answers import Answer, Value, ask
from costtrace.posthog_reports.definitions import Report
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.sandbox.posthog_clickhouse import run
from costtrace.twilio.entries import bound_entry, found_entry, send_entry
from costtrace.twilio.legs import leg_of
from costtrace.twilio.revisions import price_entries
from tests.factories import make_entry
from tests.twilio.sms_entries import kept

DAY = datetime(2026, 11, 21, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)
NOON = DAY + timedelta(hours=12)
P1, P2 = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
PERSONS = {"u-phone": P1, "u-browser": P1, "u-other": P2}
Stored = dict[str, Any]


def context(user: str = "u-phone", channel: str = "sms", environment: str = "production") -> Context:
    return Context(user_id=user, channel=channel, environment=environment)


def call(number: int, cost: str | None, message: str, who: Context, *, at: datetime = NOON, **changes: Any) -> Entry:
    """One model call at that price; without one, of a model that has none."""
    quote = (
        no_quote(QuoteStatus.UNPRICED, "no price for that model")
        if cost is None
        else Quote(status=QuoteStatus.EXACT, amount=Decimal(cost))
    )
    known: dict[str, Any] = {"message_uuid": message, "quote": quote, "cost": quote.money, "context": who}
    return make_entry(number, occurred_at=at, recorded_at=at, **{**known, **changes})


def correction(of: Entry, cost: str | None, difference: str | None, *, replaces: Standing) -> Entry:
    """What was learned of a call's price: what it costs by now, and what that changes."""
    return make_entry(
        0,
        entry_id=f"correction/1/{of.entry_id}",
        kind=Kind.CORRECTION,
        message_uuid=of.message_uuid,
        occurred_at=of.occurred_at,
        recorded_at=of.recorded_at + timedelta(hours=1),
        usage=None,
        quote=no_quote(QuoteStatus.UNPRICED, "gone")
        if cost is None
        else Quote(status=QuoteStatus.EXACT, amount=Decimal(cost)),
        cost=None if difference is None else Money(difference),
        replaces=replaces.value,
        context=of.context,
        details={"corrects": of.entry_id, "revision": 1},
    )


def inbound(sid: str, message: str, who: Context, *, at: datetime = NOON) -> tuple[Entry, ...]:
    """An SMS that came in."""
    return (
        found_entry(
            sid,
            "received",
            direction="inbound",
            kept=kept(),
            source="webhook",
            occurred_at=at,
            now=at,
            context=who,
            message_uuid=message,
        ),
    )


def outbound(sid: str, message: str, who: Context, *, at: datetime = NOON) -> tuple[Entry, ...]:
    """An SMS that was sent, and got its SID a second later."""
    send_id = f"send-{sid}"
    sending = Context(direction="outbound").over(who)
    return (
        send_entry(send_id, message_uuid=message, context=sending, kept=kept(), now=at),
        bound_entry(sid, send_id=send_id, message_uuid=message, now=at + timedelta(seconds=1), context=sending),
    )


def priced(sms: Iterable[Entry], raw: str, unit: str = "USD", *, minutes: int = 10) -> tuple[Entry, ...]:
    """What has to be written beside these entries when Twilio names that price."""
    entries = tuple(sms)
    leg = leg_of(fold(entries), sid=next(entry.source_id for entry in entries if entry.source_id))
    assert leg is not None
    now = max(entry.recorded_at for entry in entries) + timedelta(minutes=minutes)
    return price_entries(leg, price_raw=raw, price_unit=unit, source="message_fetch", now=now)


def mapped(entries: Sequence[Entry]) -> list[Stored]:
    """The events of those entries, each once, as PostHog stores them."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.message_uuid, []).append(entry)
    mapper = EventMapper(environment="production", messages=lambda uuid: fold(groups[uuid]))
    return [as_stored(event) for event in mapper.events(entries)]


def as_stored(event: Event) -> Stored:
    return {
        "event": event.name,
        "uuid": event.uuid,
        "timestamp": event.timestamp,
        "distinct_id": event.distinct_id,
        "properties": event.properties,
    }


class Local:
    """Answers queries over these events as `PostHogApi.query` does, in this process."""

    host = "in this process"

    def __init__(
        self, events: Iterable[Mapping[str, Any]], *, merged: bool = False, numeric: Collection[str] = ()
    ) -> None:
        self._events = list(events)
        self._numeric = numeric
        self._merged = merged

    def query(self, hogql: str, *, name: str) -> dict[str, Any]:
        assert name.startswith("costtrace ")
        return run(hogql, self._events, merged=self._merged, persons=PERSONS, numeric=self._numeric)


def answer(
    report: Report,
    events: Iterable[Mapping[str, Any]],
    *,
    merged: bool = False,
    numeric: Collection[str] = (),
    environment: str | None = "production",
    since: datetime = DAY,
    until: datetime = NEXT_DAY + timedelta(days=1),
) -> Answer:
    return ask(Local(events, merged=merged, numeric=numeric), report, since=since, until=until, environment=environment)


def rows(found: Answer, *columns: str) -> list[tuple[Value, ...]]:
    """Those columns of each row."""
    places = [[column.name for column in found.report.columns].index(name) for name in columns]
    return [tuple(row[place] for place in places) for row in found.rows]
