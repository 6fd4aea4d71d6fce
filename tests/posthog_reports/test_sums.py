"""Whatever happened and however it was delivered, the reports add up to what the ledger says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costtrace import open_ledger
from costtrace.entry import Entry, Kind, Standing
from costtrace.exporters.posthog import PostHogExporter
from costtrace.messages import Totals, fold, totals_of
from costtrace.money import pico_amount
from costtrace.outbox import Outbox
from costtrace.posthog_reports.answers import Answer, ask
from costtrace.posthog_reports.api import PostHogApi
from costtrace.posthog_reports.definitions import AI_COST, JOURNEY, TWILIO_COST, USER_TOTAL
from costtrace.posthog_reports.verify import verify
from costtrace.sandbox.posthog import Fault, PostHogServer
from costtrace.sandbox.posthog_clickhouse import query_runner
from costtrace.twilio.legs import KINDS, leg_of
from costtrace.twilio.revisions import unavailable_entries
from tests.posthog_reports.stored import (
    DAY,
    NEXT_DAY,
    Stored,
    answer,
    call,
    context,
    correction,
    inbound,
    mapped,
    outbound,
    priced,
    rows,
)

pytest.importorskip("chdb", reason="the reports are proved on ClickHouse: pip install chdb")

AI_KINDS = {"llm", "embedding"}
MESSAGES = st.sampled_from(["m1", "m2", "m3"])
WHO = st.sampled_from([context(), context("u-browser", "web"), context("u-other", "web")])
MOMENTS = st.sampled_from([DAY, NEXT_DAY - timedelta(microseconds=1), NEXT_DAY, NEXT_DAY + timedelta(hours=9)])
PRICES = st.integers(0, 10**13).map(pico_amount)
"""Up to ten dollars, to the last 1e-12."""
RAW_PRICES = st.integers(-20_000, 100_000).map(lambda number: f"{Decimal(-number).scaleb(-5):f}")
Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def calls(draw: Draw, number: int) -> list[Entry]:
    """A call, a request for embeddings or a tool's use, perhaps without a price, perhaps corrected."""
    kind = draw(st.sampled_from(["llm", "embedding", "tool"]))
    price = draw(st.none() | PRICES)
    made = call(
        number,
        None if price is None else f"{price:f}",
        draw(MESSAGES),
        draw(WHO),
        at=draw(MOMENTS),
        kind=kind,
        entry_id=f"{kind}/run-{number}/{number}",
    )
    after = draw(st.none() | PRICES)
    if after is None or after == price:
        return [made]
    replaces = Standing.UNPRICED if price is None else Standing.CALCULATED
    return [made, correction(made, f"{after:f}", f"{after - (price or 0):f}", replaces=replaces)]


@st.composite
def texts(draw: Draw, number: int) -> list[Entry]:
    """An SMS in or out, with no price, one or several, in dollars and euros, credits among them; or given up."""
    sid = f"SM{number:032x}"
    make = draw(st.sampled_from([inbound, outbound]))
    entries: list[Entry] = [*make(sid, draw(MESSAGES), draw(WHO), at=draw(MOMENTS))]
    for raw, unit in draw(st.lists(st.tuples(RAW_PRICES, st.sampled_from(["USD", "USD", "EUR"])), max_size=3)):
        entries += priced(entries, raw, unit)
    leg = leg_of(fold(entries), sid=sid)
    if leg is not None and leg.price is None and draw(st.booleans()):
        entries += unavailable_entries(leg, reason="deadline", now=NEXT_DAY)
    return entries


@st.composite
def histories(draw: Draw) -> list[Entry]:
    kinds = draw(st.lists(st.sampled_from([calls, texts]), min_size=1, max_size=25))
    return [entry for number, kind in enumerate(kinds, 1) for entry in draw(kind(number))]


def summed(entries: Iterable[Entry]) -> Totals:
    return reduce(Totals.plus, map(totals_of, entries), Totals())


def column(found: Answer, name: str) -> list[Any]:
    return [value for (value,) in rows(found, name)]


def added(found: Answer, name: str) -> Decimal:
    return sum((value for value in column(found, name) if value is not None), Decimal(0))


def grouped(pairs: Iterable[tuple[Any, ...]]) -> dict[str, Decimal]:
    """The sum of each word's amounts."""
    sums: dict[str, Decimal] = {}
    for word, amount in pairs:
        sums[word] = sums.get(word, Decimal(0)) + (amount or 0)
    return sums


def part(entry: Entry) -> str:
    kind = entry.details["corrects"].partition("/")[0] if entry.kind == Kind.CORRECTION else entry.kind
    return "ai" if kind in AI_KINDS else "sms" if kind in KINDS else "tool"


@settings(max_examples=20)
@given(histories(), st.randoms(use_true_random=False))
def test_every_report_adds_up_to_the_ledger(entries: list[Entry], order: Any) -> None:
    events = mapped(entries)
    stored: list[Stored] = [*events, *order.choices(events, k=len(events))]
    order.shuffle(stored)
    total = summed(entries)

    users = answer(USER_TOTAL, stored)

    assert added(users, "total_cost_usd") == total.actual.usd
    assert (sum(column(users, "pending")), sum(column(users, "unpriced"))) == (total.estimated, total.unpriced)
    assert added(users, "ai_cost_usd") == summed(entry for entry in entries if part(entry) == "ai").actual.usd
    assert added(users, "twilio_cost_usd") == summed(entry for entry in entries if part(entry) == "sms").actual.usd
    assert added(users, "tool_cost_usd") == summed(entry for entry in entries if part(entry) == "tool").actual.usd


@settings(max_examples=8)
@given(histories(), st.randoms(use_true_random=False))
def test_every_day_currency_and_message_is_that_of_the_ledger(entries: list[Entry], order: Any) -> None:
    stored = mapped(entries)
    order.shuffle(stored)

    by_message = rows(answer(JOURNEY, stored), "message_uuid", "total_usd")
    assert {uuid: amount or Decimal(0) for uuid, amount in by_message} == {
        uuid: fold(entry for entry in entries if entry.message_uuid == uuid).total.actual.usd
        for uuid in {entry.message_uuid for entry in entries}
    }
    assert grouped(rows(answer(AI_COST, stored), "day", "ai_cost_usd")) == {
        day: summed(e for e in entries if part(e) == "ai" and f"{e.occurred_at:%Y-%m-%d}" == day).actual.usd
        for day in {f"{entry.occurred_at:%Y-%m-%d}" for entry in entries if part(entry) == "ai"}
    }
    native = grouped(rows(answer(TWILIO_COST, stored), "currency", "cost_native"))
    sms = summed(entry for entry in entries if part(entry) == "sms").actual
    assert {currency: amount for currency, amount in native.items() if amount} == {
        currency: amount for currency, amount in sms.items() if amount
    }


@pytest.fixture
def server() -> Iterable[PostHogServer]:
    with PostHogServer(query_runner=query_runner) as running:
        yield running


def delivered(server: PostHogServer, path: Path, entries: Sequence[Entry]) -> tuple[Any, PostHogApi]:
    """A ledger of those entries, delivered, and a client that looks at what arrived."""
    ledger = open_ledger(f"sqlite:///{path}/costs.db")
    ledger.append(entries)
    exporter = PostHogExporter(
        server.project_token, host=server.host, messages=ledger.message, environment="production", timeout_s=1.0
    )
    outbox = Outbox(ledger, [exporter], chance=lambda: 0.0)
    for _ in range(4):
        outbox.deliver_once()
        outbox.resume(exporter.name)
    assert outbox.stop()
    api = PostHogApi(server.host, project_id=server.project_id, personal_key=server.personal_key, pause_s=0)
    return ledger, api


def test_what_was_recorded_is_what_posthog_reports(server: PostHogServer, tmp_path: Path) -> None:
    """The whole way: ledger, outbox, exporter, the wire with a lost answer, PostHog's rows, a query, the report."""
    server.fail(Fault(dropped=True, applied=True))
    sms = outbound("SM" + "1" * 32, "m1", context())
    entries = [
        *sms,
        *priced(sms, "-0.00790"),
        call(1, "0.000123456789", "m1", context()),
        call(2, None, "m1", context()),
    ]

    ledger, api = delivered(server, tmp_path, entries)

    assert len(server.copies) > len(server.distinct)
    found = ask(api, USER_TOTAL, since=DAY, until=NEXT_DAY, environment="production")
    assert rows(found, "total_cost_usd", "messages", "pending", "unpriced") == [(Decimal("0.008023456789"), 1, 0, 1)]
    checked = verify(api, ledger, DAY.date(), now=NEXT_DAY + timedelta(hours=3))
    assert (checked.missing, all(one.is_same for one in checked.comparisons)) == (0, True)
