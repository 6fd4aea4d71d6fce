"""The four reports on a real ClickHouse: the exact numbers, whatever was delivered twice, late or in another order."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from costtrace.entry import Entry, Standing
from costtrace.messages import fold
from costtrace.posthog_reports.answers import Answer
from costtrace.posthog_reports.definitions import AI_COST, JOURNEY, REPORTS, TWILIO_COST, USER_TOTAL
from costtrace.sandbox.posthog_clickhouse import run
from costtrace.twilio.legs import leg_of, legs
from costtrace.twilio.revisions import not_billable_entries, unavailable_entries
from tests.factories import make_costs
from tests.posthog_reports.stored import (
    DAY,
    NEXT_DAY,
    NOON,
    P1,
    P2,
    PERSONS,
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

SM1, SM2, SM3, SM4 = (f"SM{digit * 32}" for digit in "1234")
A, B, C, E_, D_, F = (f"0199d3a0-0000-7000-8000-00000000000{digit}" for digit in "abcedf")
PHONE, BROWSER, OTHER = context(), context("u-browser", "web"), context("u-other", "web")
MIDNIGHT = NEXT_DAY - timedelta(milliseconds=100)


def total(found: Answer) -> Decimal:
    """The sum of what model calls cost."""
    amounts = [cost for (cost,) in rows(found, "ai_cost_usd") if isinstance(cost, Decimal)]
    return sum(amounts, Decimal(0))


def day_of_events() -> list[Stored]:
    """What PostHog holds of the day.

    A: an SMS and its reply by three model calls, its prices out of order and repeated. B: two calls in the browser, one
    unpriced. C: an SMS priced in euros. D: an SMS without a price yet. E: a call around midnight, by a browser of the
    same person. F: another person's call. And a call in staging.
    """
    received = inbound(SM1, A, PHONE)
    first = priced(received, "-0.00750")
    second = priced([*received, *first], "-0.00790", minutes=60)
    replied = outbound(SM2, A, PHONE, at=NOON + timedelta(seconds=5))
    euros = outbound(SM3, C, PHONE)
    calls = [
        call(1, "0.000123456789", A, PHONE),
        call(2, "0.000000018755", A, PHONE),
        call(3, "0.1", A, PHONE),
        call(4, "0.2", B, context("u-phone", "web")),
        call(5, None, B, context("u-phone", "web")),
        call(6, "0.3", E_, BROWSER, at=MIDNIGHT),
        call(7, "0.4", F, OTHER),
    ]
    entries: list[Entry] = [
        *received,
        *second,
        *first,
        *calls,
        *replied,
        *priced(replied, "-0.01580"),
        *euros,
        *priced(euros, "-0.06500", "EUR"),
        *outbound(SM4, D_, PHONE),
    ]
    events = mapped(entries)
    staging = mapped([call(8, "99", "m-staging", context(environment="staging"))])
    return [*events, *staging, *_delivered_again(events)]


def _delivered_again(events: list[Stored]) -> list[Stored]:
    again = [event for event in events if event["event"] in {"sms_inbound", "sms_cost_update"}]
    again += [event for event in events if event["properties"].get("cost_picousd") == 18_755] * 2
    late = [
        {**event, "timestamp": (NEXT_DAY + timedelta(milliseconds=100)).isoformat()}
        for event in events
        if event["event"] == "$ai_generation" and event["properties"]["message_uuid"] == E_
    ]
    assert len(late) == 1
    return again + late


@pytest.fixture(params=[0, 1, 2])
def events(request: pytest.FixtureRequest) -> list[Stored]:
    """The events of the day in some order of arrival."""
    stored = day_of_events()
    random.Random(request.param).shuffle(stored)  # noqa: S311 - an order, not a secret
    return stored


@pytest.fixture(params=["as they came", "merged"])
def merged(request: pytest.FixtureRequest) -> bool:
    """Whether PostHog has merged the copies already."""
    return bool(request.param == "merged")


def test_ai_cost_by_channel_date_and_user(events: list[Stored], *, merged: bool) -> None:
    found = answer(AI_COST, events, merged=merged)

    assert rows(found, "day", "channel", "user", "ai_cost_usd", "calls", "pending", "unpriced") == [
        ("2026-11-21", "sms", P1, Decimal("0.100123475544"), 3, 0, 0),
        ("2026-11-21", "web", P1, Decimal("0.5"), 3, 0, 1),
        ("2026-11-21", "web", P2, Decimal("0.4"), 1, 0, 0),
    ]


def test_twilio_cost_by_direction_date_and_user(events: list[Stored], *, merged: bool) -> None:
    found = answer(TWILIO_COST, events, merged=merged)

    shown = rows(found, "day", "direction", "user", "currency", "cost_native", "cost_usd", "messages", "pending")
    assert shown == [
        ("2026-11-21", "inbound", P1, "USD", Decimal("0.0079"), Decimal("0.0079"), 1, 0),
        ("2026-11-21", "outbound", P1, "EUR", Decimal("0.065"), None, 1, 0),
        ("2026-11-21", "outbound", P1, "USD", Decimal("0.0158"), Decimal("0.0158"), 1, 0),
        ("2026-11-21", "outbound", P1, None, None, None, 1, 1),
    ]
    assert rows(found, "not_converted") == [(0,), (1,), (0,), (0,)]


def test_total_per_user(events: list[Stored], *, merged: bool) -> None:
    found = answer(USER_TOTAL, events, merged=merged)

    assert rows(found, "user", "ai_cost_usd", "twilio_cost_usd", "tool_cost_usd", "total_cost_usd", "messages") == [
        (P1, Decimal("0.600123475544"), Decimal("0.0237"), None, Decimal("0.623823475544"), 5),
        (P2, Decimal("0.4"), None, None, Decimal("0.4"), 1),
    ]
    assert rows(found, "pending", "unpriced", "not_converted") == [(1, 1, 1), (0, 0, 0)]


def test_cost_journey_of_each_message(events: list[Stored], *, merged: bool) -> None:
    found = answer(JOURNEY, events, merged=merged)

    columns = ("message_uuid", "calls", "ai_cost_usd", "sms_in_usd", "sms_out_usd", "total_usd")
    assert {row[0]: row[1:] for row in rows(found, *columns)} == {
        A: (3, Decimal("0.100123475544"), Decimal("0.0079"), Decimal("0.0158"), Decimal("0.123823475544")),
        B: (2, Decimal("0.2"), None, None, Decimal("0.2")),
        C: (0, None, None, None, None),
        D_: (0, None, None, None, None),
        E_: (1, Decimal("0.3"), None, None, Decimal("0.3")),
        F: (1, Decimal("0.4"), None, None, Decimal("0.4")),
    }
    assert {row[0]: row[1:] for row in rows(found, "message_uuid", "pending", "unpriced", "not_converted")} == {
        A: (0, 0, 0),
        B: (0, 1, 0),
        C: (0, 0, 1),
        D_: (1, 0, 0),
        E_: (0, 0, 0),
        F: (0, 0, 0),
    }


def test_the_newest_message_comes_first(events: list[Stored]) -> None:
    first, *_ = rows(answer(JOURNEY, events), "message_uuid", "started")

    assert first == (E_, "2026-11-21 23:59:59.900000")


def test_other_environments_count_only_where_all_are_asked_for(events: list[Stored]) -> None:
    assert total(answer(AI_COST, events)) == Decimal("1.000123475544")
    assert total(answer(AI_COST, events, environment=None)) == Decimal("100.000123475544")


def test_a_day_ends_at_midnight_utc() -> None:
    events = mapped([call(1, "0.3", E_, BROWSER, at=MIDNIGHT), call(2, "0.4", F, OTHER, at=NEXT_DAY)])

    assert rows(answer(AI_COST, events), "day", "ai_cost_usd") == [
        ("2026-11-21", Decimal("0.3")),
        ("2026-11-22", Decimal("0.4")),
    ]
    assert rows(answer(AI_COST, events, since=DAY, until=NEXT_DAY), "ai_cost_usd") == [(Decimal("0.3"),)]
    assert rows(answer(AI_COST, events, since=NEXT_DAY), "ai_cost_usd") == [(Decimal("0.4"),)]


def test_a_credit_stays_below_zero() -> None:
    sms = outbound(SM1, A, PHONE)

    assert rows(answer(TWILIO_COST, mapped([*sms, *priced(sms, "0.00750")])), "cost_usd") == [(Decimal("-0.0075"),)]


def test_a_price_in_another_currency_takes_the_old_one_back() -> None:
    sms = outbound(SM1, A, PHONE)
    dollars = priced(sms, "-0.00790")
    euros = priced([*sms, *dollars], "-0.00710", "EUR")

    found = answer(TWILIO_COST, mapped([*sms, *dollars, *euros]))

    assert rows(found, "currency", "cost_native", "cost_usd", "not_converted") == [("EUR", Decimal("0.0071"), None, 1)]


def test_a_price_that_never_comes_is_unpriced_and_what_is_not_billed_costs_nothing() -> None:
    lost, canceled = outbound(SM1, A, PHONE), outbound(SM2, A, PHONE)
    lost_leg, canceled_leg = leg_of(fold(lost), sid=SM1), leg_of(fold(canceled), sid=SM2)
    assert lost_leg is not None
    assert canceled_leg is not None
    entries = [
        *lost,
        *canceled,
        *unavailable_entries(lost_leg, reason="deadline", now=NEXT_DAY),
        *not_billable_entries(canceled_leg, reason="canceled", source="message_fetch", now=NEXT_DAY),
    ]

    found = answer(TWILIO_COST, mapped(entries))

    assert rows(found, "currency", "cost_usd", "messages", "pending", "unpriced") == [
        ("USD", Decimal(0), 1, 0, 0),
        (None, None, 1, 0, 1),
    ]


def test_a_correction_is_no_call_and_moves_the_count_of_what_it_corrects() -> None:
    dear, unknown, known = (call(number, cost, A, BROWSER) for number, cost in enumerate(["0.5", None, "0.25"], 1))
    entries = [
        *(dear, correction(dear, "0.4", "-0.1", replaces=Standing.CALCULATED)),
        *(unknown, correction(unknown, "0.000001", "0.000001", replaces=Standing.UNPRICED)),
        *(known, correction(known, None, "-0.25", replaces=Standing.CALCULATED)),
    ]

    found = answer(AI_COST, mapped(entries))

    assert rows(found, "ai_cost_usd", "calls", "pending", "unpriced") == [(Decimal("0.400001"), 3, 0, 1)]


def test_an_sms_given_up_before_its_sid_was_known_is_one_sms_when_it_turns_up() -> None:
    """Its first price entry has no MessageSid, its second one has."""
    send, bound = outbound("SM" + "7" * 32, A, PHONE)
    given_up = unavailable_entries(legs(fold([send]))[0], reason="deadline", now=NOON + timedelta(days=1))
    alone = mapped([send, *given_up])
    found = mapped([send, *given_up, bound, *priced([send, *given_up, bound], "-0.00790")])
    columns = ("cost_usd", "messages", "pending", "unpriced")

    assert rows(answer(TWILIO_COST, alone), *columns) == [(None, 1, 0, 1)]
    assert rows(answer(TWILIO_COST, [*alone, *found]), *columns) == [(Decimal("0.0079"), 1, 0, 0)]


def test_an_sms_is_its_users_though_the_first_event_knew_nobody() -> None:
    sms = outbound("SM" + "7" * 32, A, PHONE)
    first, second = mapped([*sms, *priced(sms, "-0.00790")])[:2]
    nobody = {**first, "distinct_id": f"message:{A}"}

    for copies in ([nobody, second], [second, nobody]):
        assert rows(answer(TWILIO_COST, copies), "user", "user_id", "cost_usd") == [(P1, "u-phone", Decimal("0.0079"))]


def test_tools_and_embeddings_are_part_of_the_total() -> None:
    entries = [
        call(1, "0.2", A, BROWSER),
        call(2, "0.00000002", A, BROWSER, entry_id="embedding/run-2/2", kind="embedding"),
        call(3, "0.01", A, BROWSER, entry_id="tool/3", kind="tool", usage=None),
    ]

    assert rows(answer(AI_COST, mapped(entries)), "ai_cost_usd", "calls") == [(Decimal("0.20000002"), 2)]
    assert rows(answer(USER_TOTAL, mapped(entries)), "ai_cost_usd", "tool_cost_usd", "total_cost_usd") == [
        (Decimal("0.20000002"), Decimal("0.01"), Decimal("0.21000002"))
    ]
    assert rows(answer(JOURNEY, mapped(entries)), "calls", "ai_cost_usd", "tool_cost_usd", "total_usd") == [
        (2, Decimal("0.20000002"), Decimal("0.01"), Decimal("0.21000002"))
    ]


def test_a_call_paid_in_another_currency_is_counted_and_not_added() -> None:
    euros = make_costs("0.2", message_uuid=A, context=BROWSER, currency="EUR", occurred_at=NOON)

    found = answer(AI_COST, mapped([euros, call(2, "0.3", A, BROWSER)]))

    assert rows(found, "ai_cost_usd", "calls", "unpriced", "not_converted") == [(Decimal("0.3"), 2, 0, 1)]


def test_a_cost_beyond_what_a_number_can_hold_is_counted_and_not_guessed() -> None:
    found = answer(AI_COST, mapped([call(1, "9007.199254740992", A, BROWSER), call(2, "0.3", B, BROWSER)]))

    assert rows(found, "ai_cost_usd", "calls", "not_converted") == [(Decimal("0.3"), 2, 1)]


def test_nothing_changes_where_posthog_takes_what_looks_like_a_number_for_one() -> None:
    """Its definitions of properties follow what it has seen; numbers are read as floats then, whole ones exactly."""
    events = [*day_of_events(), *mapped([call(9, "9007.199254740991", "m-dear", OTHER)])]
    looks = {
        name
        for event in events
        for name, value in event["properties"].items()
        if isinstance(value, int | float)
        or (isinstance(value, str) and value.lstrip("-").replace(".", "", 1).isdigit())
    }
    assert {"cost_picousd", "cost_usd_exact", "price_version", "calls", "unpriced"} <= looks

    assert [answer(report, events, numeric=looks).rows for report in REPORTS] == [
        answer(report, events).rows for report in REPORTS
    ]


def test_a_dashboard_shows_the_same_amounts_in_dollars(events: list[Stored]) -> None:
    shown = run(USER_TOTAL.for_dashboard(environment="production"), events, persons=PERSONS)

    place = shown["columns"].index("total_cost_usd")
    assert [row[place] for row in shown["results"]] == [0.623823475544, 0.4]


def test_nothing_stored_is_an_empty_report() -> None:
    assert [answer(report, []).rows for report in REPORTS] == [()] * 4
