"""Which entry makes which event, and every property of it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid5

import pytest

from costtrace.context import Context
from costtrace.entry import SpanRef, Standing
from costtrace.exporters.posthog import EventMapper
from costtrace.exporters.posthog.ids import NAMESPACE, event_uuid
from costtrace.exporters.posthog.sms import TAKEN_BACK
from costtrace.messages import Message, fold
from costtrace.money import Money
from costtrace.quote import Quote, QuoteLine, QuoteStatus, no_quote
from costtrace.times import moment_text
from costtrace.twilio.revisions import not_billable_entries, unavailable_entries
from costtrace.usage import Usage
from tests.exporters.posthog.known import EVERYWHERE, HASHER, mapped, newest_prices, only, usd
from tests.factories import MESSAGE, make_basis, make_costs, make_entry, make_quote, make_usage
from tests.twilio.sms_entries import SEND_ID, SID, UUID, bound, kept, later, leg, price, sent, status

RUN = "0199d3a0-0000-7000-8000-00000000beef"


def test_a_model_call() -> None:
    """450 tokens at 2.5 USD and 200 at 10 USD a million: 0.001125 + 0.002 = 0.003125 USD."""
    entry = make_entry(
        entry_id=f"llm/{RUN}/1768901401000000",
        source_id=RUN,
        details={"parent_run_id": "0199d3a0-0000-7000-8000-00000000cafe", "service_tier": "default"},
        span=SpanRef(trace_id="a" * 32, span_id="b" * 16),
    )

    event = only(entry)

    assert event._asdict() == {
        "name": "$ai_generation",
        "uuid": event_uuid("$ai_generation", f"llm/{RUN}/1768901401000000"),
        "timestamp": "2026-01-20T09:30:01.000Z",
        "distinct_id": "u1",
        "entry_id": f"llm/{RUN}/1768901401000000",
        "properties": {
            **EVERYWHERE,
            "message_uuid": MESSAGE,
            "conversation_id": "t1",
            "channel": "web",
            "environment": "production",
            "otel_trace_id": "a" * 32,
            "otel_span_id": "b" * 16,
            "model": "gpt-4o",
            "provider": "openai",
            "input_tokens": 450,
            "output_tokens": 200,
            "cost_usd": 0.003125,
            "cost_usd_exact": "0.003125",
            "cost_picousd": 3_125_000_000,
            "cost_change_picousd": 3_125_000_000,
            "cost_status": "priced",
            "price_table": "genai-prices 0.2.3 0123456789abcdef",
            "calls": 1,
            "pending": 0,
            "unpriced": 0,
            "$ai_trace_id": MESSAGE,
            "$ai_session_id": "t1",
            "$ai_span_id": RUN,
            "$ai_parent_id": "0199d3a0-0000-7000-8000-00000000cafe",
            "$ai_service_tier": "default",
            "$ai_model": "gpt-4o",
            "$ai_provider": "openai",
            "$ai_framework": "langchain",
            "$ai_input_tokens": 450,
            "$ai_output_tokens": 200,
            "$ai_total_tokens": 650,
            "$ai_cache_reporting_exclusive": False,
            "$ai_latency": 0.005,
            "$ai_input_cost_usd": 0.001125,
            "$ai_output_cost_usd": 0.002,
            "$ai_request_cost_usd": 0.0,
            "$ai_web_search_cost_usd": 0.0,
            "$ai_total_cost_usd": 0.003125,
            "$ai_cost_passthrough": True,
        },
    }


def test_the_uuid_of_an_event_never_changes() -> None:
    """A uuid that changed would make every event a second time."""
    entry_id = "llm/0199d3a0-0000-7000-8000-00000000beef/1768901401000000"

    assert event_uuid("$ai_generation", entry_id) == "1c5e9bb4-2fb1-5d2c-b591-a886e40fc919"
    assert event_uuid("$ai_embedding", entry_id) == str(uuid5(NAMESPACE, f"$ai_embedding\n{entry_id}"))


def test_cached_reasoning_and_searched() -> None:
    """100 cached at 1.25, 350 plain at 2.5, 50 written at 3, 200 out at 10 USD a million, and two searches at 0.01."""
    lines = (
        QuoteLine("input", 350, Decimal("2.5"), 1_000_000),
        QuoteLine("cache_read", 100, Decimal("1.25"), 1_000_000),
        QuoteLine("cache_write_5m", 50, Decimal(3), 1_000_000),
        QuoteLine("output", 200, Decimal(10), 1_000_000),
        QuoteLine("web_search", 2, Decimal("0.01"), 1),
        QuoteLine("code_execution", 1, Decimal("0.03"), 1),
    )
    buckets = {"input": 350, "cache_read": 100, "cache_write_5m": 50, "output": 200, "web_search": 2}
    amount = Decimal("0.05315")
    entry = make_entry(
        usage=Usage(buckets=buckets, reasoning_tokens=120),
        quote=Quote(status=QuoteStatus.EXACT, amount=amount, lines=lines, basis=make_basis()),
        cost=Money(amount),
    )

    properties = only(entry).properties

    assert properties["$ai_input_cost_usd"] == 0.00115  # 0.000875 + 0.000125 + 0.00015
    assert properties["$ai_output_cost_usd"] == 0.002
    assert properties["$ai_web_search_cost_usd"] == 0.02
    assert properties["$ai_request_cost_usd"] == 0.03
    assert properties["$ai_total_cost_usd"] == 0.05315
    assert properties["$ai_input_tokens"] == 500
    assert properties["cache_read_tokens"] == properties["$ai_cache_read_input_tokens"] == 100
    assert properties["cache_write_tokens"] == properties["$ai_cache_creation_input_tokens"] == 50
    assert properties["$ai_cache_creation_5m_input_tokens"] == 50
    assert properties["reasoning_tokens"] == properties["$ai_reasoning_tokens"] == 120
    assert properties["$ai_web_search_count"] == 2


def test_what_the_provider_itself_charged_stands_beyond_its_lines_as_a_fee_of_the_request() -> None:
    quote = Quote(
        status=QuoteStatus.PROVIDER_REPORTED,
        amount=Decimal("0.0033"),
        computed=Decimal("0.003125"),
        lines=make_quote().lines,
    )

    properties = only(make_entry(quote=quote, cost=Money("0.0033"))).properties

    assert properties["$ai_request_cost_usd"] == 0.000175  # 0.0033 - 0.001125 - 0.002
    assert properties["$ai_total_cost_usd"] == properties["cost_usd"] == 0.0033


def test_embeddings_are_costed_too() -> None:
    amount = Decimal("0.0000002")
    entry = make_entry(
        kind="embedding",
        model="text-embedding-3-small",
        usage=Usage(buckets={"input": 10}),
        quote=Quote(
            status=QuoteStatus.EXACT,
            amount=amount,
            lines=(QuoteLine("input", 10, Decimal("0.02"), 1_000_000),),
            basis=make_basis(),
        ),
        cost=Money(amount),
    )

    event = only(entry)

    assert event.name == "$ai_embedding"
    assert event.properties["cost_picousd"] == 200_000
    assert event.properties["$ai_output_cost_usd"] == 0.0
    assert event.properties["$ai_cost_passthrough"] is True


@pytest.mark.parametrize(
    ("quote", "cost_status", "reason", "counts"),
    [
        (no_quote(QuoteStatus.UNPRICED, "no rates for acme x"), "unpriced", "unpriced", (0, 1)),
        (no_quote(QuoteStatus.USAGE_MISSING, "the provider reported none"), "unpriced", "usage_missing", (0, 1)),
        (no_quote(QuoteStatus.INVALID_USAGE, "usage.input: ..."), "unpriced", "invalid_usage", (0, 1)),
        (Quote(status=QuoteStatus.PARTIAL, amount=Decimal("0.001"), reason="audio"), "partial", None, (1, 0)),
        (Quote(status=QuoteStatus.ESTIMATED, amount=Decimal("0.001")), "estimated", None, (1, 0)),
        (Quote(status=QuoteStatus.PENDING, amount=Decimal("0.001")), "pending", None, (1, 0)),
        (no_quote(QuoteStatus.PENDING, "later"), "pending", None, (1, 0)),
    ],
)
def test_an_unknown_cost_is_no_cost(
    quote: Quote, cost_status: str, reason: str | None, counts: tuple[int, int]
) -> None:
    """Neither our own properties nor PostHog's hold a number that could be taken for a cost."""
    properties = only(make_entry(quote=quote, cost=None, estimate=quote.money)).properties

    assert properties["cost_status"] == cost_status
    assert properties.get("cost_reason") == reason
    assert (properties["pending"], properties["unpriced"]) == counts
    assert not [name for name in properties if name.startswith("$ai_") and "cost" in name]
    assert not {"cost_usd", "cost_usd_exact", "cost_picousd", "cost_change_picousd"} & properties.keys()
    assert properties.get("estimate_picousd") == (None if quote.amount is None else 1_000_000_000)


def test_an_answer_from_the_cache_cost_nothing_and_that_is_known() -> None:
    quote = Quote(status=QuoteStatus.NOT_BILLED, amount=Decimal(0), reason="llm_cache_hit")

    properties = only(make_entry(usage=None, quote=quote, cost=Money(0))).properties

    assert properties["cost_picousd"] == 0
    assert properties["$ai_total_cost_usd"] == properties["$ai_output_cost_usd"] == 0.0
    assert properties["$ai_cost_passthrough"] is True


def test_a_call_that_was_refused_bought_nothing() -> None:
    refused = make_entry(status="failed", error="RateLimitError 429", usage=None, quote=None, cost=None)

    properties = only(refused).properties

    assert properties["$ai_is_error"] is True
    assert (properties["$ai_error_type"], properties["$ai_http_status"]) == ("RateLimitError", 429)
    assert properties["cost_status"] == "not_billed"
    assert (properties["calls"], properties["pending"], properties["unpriced"]) == (1, 0, 0)
    assert "cost_picousd" not in properties


def test_another_currency_is_never_dollars() -> None:
    quote = Quote(status=QuoteStatus.EXACT, amount=Decimal("0.003125"), currency="EUR", lines=make_quote().lines)

    properties = only(make_entry(quote=quote, cost=Money("0.003125", "EUR"))).properties

    assert properties["price_unit"] == "EUR"
    assert properties["cost_native_pico"] == properties["cost_change_native_pico"] == 3_125_000_000
    assert not [name for name in properties if name.endswith("usd") or "cost_usd" in name]


def test_an_amount_too_large_for_json_is_text_only() -> None:
    just, beyond = Decimal("9007.199254740991"), Decimal("9007.199254740992")

    assert only(make_costs(str(just))).properties["cost_picousd"] == 2**53 - 1
    properties = only(make_costs(str(beyond))).properties
    assert "cost_picousd" not in properties
    assert "cost_change_picousd" not in properties
    assert properties["cost_usd_exact"] == "9007.199254740992"


@pytest.mark.parametrize(
    ("amount", "whole"), [("0.0000000000025", 2), ("0.0000000000035", 4), ("-0.0000000000025", -2), ("1e-40", 0)]
)
def test_what_is_finer_than_an_integer_can_say_is_rounded_once_half_to_even(amount: str, whole: int) -> None:
    properties = only(make_costs(amount)).properties

    assert properties["cost_picousd"] == whole
    assert Decimal(properties["cost_usd_exact"]) == Decimal(amount)


def test_a_correction_is_the_difference_and_no_call() -> None:
    """Re-priced from 0.003125 to 0.0035 USD: 0.000375 more."""
    original = make_entry(1)
    correction = make_entry(
        1,
        entry_id="reprice/1/llm/run-1/1",
        kind="correction",
        usage=None,
        quote=Quote(status=QuoteStatus.EXACT, amount=Decimal("0.0035"), lines=make_quote().lines, basis=make_basis()),
        cost=Money("0.000375"),
        replaces=Standing.CALCULATED,
        details={"corrects": "llm/run-1/1", "reason": "the rates changed: a -> b"},
    )

    first, second, total = mapped(original, correction)

    assert second.name == "$ai_generation"
    assert second.timestamp == first.timestamp
    assert second.properties["corrects"] == first.uuid
    assert (second.properties["calls"], second.properties["unpriced"]) == (0, 0)
    assert second.properties["cost_picousd"] == second.properties["cost_change_picousd"] == 375_000_000
    assert second.properties["$ai_request_cost_usd"] == second.properties["$ai_total_cost_usd"] == 0.000375
    assert second.properties["$ai_input_cost_usd"] == second.properties["$ai_output_cost_usd"] == 0.0
    assert "input_tokens" not in second.properties
    assert "reason" not in second.properties
    assert usd([first, second]) == Decimal("0.0035")
    assert total.properties["total_picousd"] == 3_500_000_000


def test_a_call_that_was_given_up_and_ended_late_is_one_call() -> None:
    given_up = make_entry(
        1, status="abandoned", usage=None, quote=no_quote(QuoteStatus.USAGE_MISSING, "no end"), cost=None
    )
    late = make_entry(
        1,
        entry_id="llm/run-1/late/1",
        replaces=Standing.UNPRICED,
        details={"late": True, "corrects": "llm/run-1/1"},
    )

    first, second, _ = mapped(given_up, late)

    assert (first.properties["calls"], first.properties["unpriced"]) == (1, 1)
    assert (second.properties["calls"], second.properties["unpriced"]) == (0, -1)
    assert second.properties["corrects"] == first.uuid
    assert second.properties["$ai_input_tokens"] == 450
    assert usd([first, second]) == Decimal("0.003125")


def test_a_tool() -> None:
    entry = make_costs("0.008", kind="tool", entry_id="tool/req-1", model="tavily-search", provider="tavily",
                       source_id="req-1")  # fmt: skip

    event = only(entry)

    assert event.name == "tool_cost"
    assert event.properties == {
        **EVERYWHERE,
        "message_uuid": MESSAGE,
        "conversation_id": "t1",
        "channel": "web",
        "environment": "production",
        "kind": "tool",
        "name": "tavily-search",
        "provider": "tavily",
        "source_id": "req-1",
        "cost_status": "priced",
        "calls": 1,
        "pending": 0,
        "unpriced": 0,
        "cost_usd": 0.008,
        "cost_usd_exact": "0.008",
        "cost_picousd": 8_000_000_000,
        "cost_change_picousd": 8_000_000_000,
    }


def test_what_costs_nothing_and_is_no_call_makes_no_event() -> None:
    """An SMS is told of once its SID is known; the request, its statuses and vain looks for its price are not."""
    assert EventMapper().events([sent(), status("queued"), status("delivered"), make_costs(kind="note")]) == []


SMS = {
    **EVERYWHERE,
    "message_uuid": UUID,
    "channel": "sms",
    "environment": "production",
    "direction": "outbound",
    "message_type": "welcome",
    "twilio_sid": SID,
    "send_id": SEND_ID,
}


def test_an_sms_that_was_sent_and_its_price() -> None:
    entries = [sent(), bound(), status("delivered")]
    entries += price(leg(entries), "-0.00790")

    outbound, update, total = mapped(*entries)

    assert outbound._asdict() == {
        "name": "sms_outbound",
        "uuid": event_uuid("sms_outbound", f"sms/{SID}"),
        "timestamp": "2026-11-22T12:00:01.000Z",
        "distinct_id": "u1",
        "entry_id": f"sms/{SID}",
        "properties": {**SMS, "segments": 1, "num_media": 0, "to_country": "US", "status": "delivered"},
    }
    assert update._asdict() == {
        "name": "sms_cost_update",
        "uuid": event_uuid("sms_cost_update", f"sms-price/{SID}/1"),
        "timestamp": "2026-11-22T12:00:00.000Z",
        "distinct_id": "u1",
        "entry_id": f"sms-price/{SID}/1",
        "properties": {
            **SMS,
            "price": "-0.00790",
            "twilio_price": "-0.00790",
            "price_unit": "USD",
            "price_version": 1,
            "status": "final",
            "cost_status": "priced",
            "cost_usd": 0.0079,
            "cost_usd_exact": "0.0079",
            "cost_picousd": 7_900_000_000,
            "cost_native_pico": 7_900_000_000,
            "cost_change_picousd": 7_900_000_000,
            "observed_at": moment_text(later(60)),
        },
    }
    assert total._asdict() == {
        "name": "message_cost",
        "uuid": event_uuid("message_cost", f"{UUID}/2"),
        "timestamp": "2026-11-22T12:00:00.000Z",
        "distinct_id": "u1",
        "entry_id": f"sms-price/{SID}/1",
        "properties": {
            **{name: value for name, value in SMS.items() if name not in {"twilio_sid", "send_id"}},
            "version": 2,
            "total_usd": 0.0079,
            "total_usd_exact": "0.0079",
            "total_picousd": 7_900_000_000,
            "ai_total_usd": 0.0,
            "ai_total_picousd": 0,
            "sms_total_usd": 0.0079,
            "sms_total_picousd": 7_900_000_000,
            "other_total_usd": 0.0,
            "other_total_picousd": 0,
            "llm_calls": 0,
            "settled": 1,
            "calculated": 0,
            "input_tokens": 0,
            "output_tokens": 0,
        },
    }


def test_each_price_is_whole_and_what_they_add_up_to_is_the_newest() -> None:
    entries = [sent(), bound()]
    for number, raw in enumerate(("-0.00750", "-0.00790", "-0.00750")):
        entries += price(leg(entries), raw, seconds=60 * number)

    updates = [event for event in mapped(*entries) if event.name == "sms_cost_update"]

    assert [event.properties["cost_picousd"] for event in updates] == [7_500_000_000, 7_900_000_000, 7_500_000_000]
    assert [event.properties["price_version"] for event in updates] == [1, 2, 3]
    assert [event.properties["cost_change_picousd"] for event in updates] == [7_500_000_000, 400_000_000, -400_000_000]
    assert {event.timestamp for event in updates} == {"2026-11-22T12:00:00.000Z"}
    assert len({event.uuid for event in updates}) == 3


def test_a_credit_stays_below_zero() -> None:
    entries = [sent(), bound()]
    entries += price(leg(entries), "0.00300")

    (update,) = [event for event in mapped(*entries) if event.name == "sms_cost_update"]

    assert update.properties["cost_picousd"] == -3_000_000_000
    assert update.properties["cost_usd_exact"] == "-0.003"


def test_a_price_in_another_currency_takes_the_dollars_back() -> None:
    """0.0079 USD, then 0.065 EUR: nothing is owed in dollars any more, and nobody says what 0.065 EUR is in dollars."""
    entries = [sent(), bound()]
    entries += price(leg(entries), "-0.00790")
    entries += price(leg(entries), "-0.065", "EUR", seconds=120)

    events = mapped(*entries)
    _, taken_back, euros = [event for event in events if event.name == "sms_cost_update"]

    assert taken_back.properties["status"] == TAKEN_BACK
    assert taken_back.properties["cost_picousd"] == 0
    assert taken_back.properties["cost_change_picousd"] == -7_900_000_000
    assert "price" not in taken_back.properties
    assert euros.properties["cost_native_pico"] == 65_000_000_000
    assert euros.properties["price_unit"] == "EUR"
    assert "cost_picousd" not in euros.properties
    assert usd(events) == 0
    assert events[-1].name == "message_cost"
    assert events[-1].properties["total_eur_exact"] == "0.065"
    assert "total_usd" not in events[-1].properties


def test_a_price_that_never_came_is_no_price() -> None:
    entries = [sent(), bound()]
    entries += unavailable_entries(leg(entries), reason="deadline", now=later(99))

    events = mapped(*entries)

    assert [event.name for event in events] == ["sms_outbound", "sms_cost_update"]
    properties = events[1].properties
    assert (properties["status"], properties["cost_status"], properties["cost_reason"]) == (
        "unavailable", "unpriced", "deadline",
    )  # fmt: skip
    assert not [name for name in properties if name.startswith(("cost_usd", "cost_pico", "cost_native"))]


def test_an_sms_that_was_taken_back_costs_nothing_and_that_is_known() -> None:
    entries = [sent(), bound()]
    entries += not_billable_entries(leg(entries), reason="canceled", source="message_fetch", now=later(99))

    update = mapped(*entries)[1]

    assert update.properties["cost_picousd"] == 0
    assert update.properties["status"] == "not_billable"


def test_an_sms_that_came_in() -> None:
    entry = make_costs(
        kind="sms",
        entry_id=f"sms/{SID}",
        source_id=SID,
        status="received",
        estimate="0.0083",
        context=Context(direction="inbound", channel="sms", role="user"),
        details={**kept().details(), "from_hash": HASHER("+14155550123"), "num_segments": 2},
    )

    event = only(entry)

    assert event.name == "sms_inbound"
    assert event.distinct_id == HASHER("+14155550123")
    assert event.properties["direction"] == "inbound"
    assert (event.properties["segments"], event.properties["num_segments"]) == (1, 2)
    assert event.properties["status"] == "received"
    assert event.properties["estimate_picousd"] == 8_300_000_000
    assert "cost_picousd" not in event.properties


def test_what_a_callback_does_not_know_comes_from_the_message() -> None:
    """The first to name an SID may be a callback, which knows no user and no conversation."""
    by_callback = make_costs(
        kind="sms",
        entry_id=f"sms/{SID}",
        source_id=SID,
        status="identified",
        message_uuid=UUID,
        context=Context(direction="outbound"),
        details={"send_id": SEND_ID},
    )

    assert only(by_callback).distinct_id == f"message:{UUID}"
    (event,) = mapped(sent(), by_callback)

    assert event.distinct_id == "u1"
    assert event.properties["channel"] == "sms"
    assert event.properties["message_type"] == "welcome"
    assert event.properties["segments"] == 1


def test_a_message_is_told_as_a_whole_once_all_of_it_is_known() -> None:
    call = make_entry(1, message_uuid=UUID, context=Context(user_id="u1", channel="sms"))
    entries = [call, sent(), bound()]
    assert [event.name for event in mapped(*entries)] == ["$ai_generation", "sms_outbound"]

    entries += price(leg(entries), "-0.00790")
    total = mapped(*entries)[-1]

    assert total.name == "message_cost"
    assert total.properties["total_usd_exact"] == "0.011025"  # 0.003125 + 0.0079
    assert total.properties["ai_total_picousd"] == 3_125_000_000
    assert total.properties["sms_total_picousd"] == 7_900_000_000
    assert total.properties["llm_calls"] == 1
    assert (total.properties["input_tokens"], total.properties["output_tokens"]) == (450, 200)
    assert total.timestamp == "2026-01-20T09:30:01.000Z"


def test_a_later_price_makes_a_newer_version_of_the_whole() -> None:
    entries = [sent(), bound()]
    entries += price(leg(entries), "-0.00790")
    first = mapped(*entries)[-1]
    entries += price(leg(entries), "-0.00750", seconds=120)
    second = mapped(*entries)[-1]

    assert (first.properties["version"], second.properties["version"]) == (2, 3)
    assert second.properties["total_usd_exact"] == "0.0075"
    assert first.uuid != second.uuid
    assert first.timestamp == second.timestamp


def test_a_call_after_the_price_of_its_sms_makes_a_newer_version_too() -> None:
    """Such as a summary of the conversation: the message had been told as a whole already."""
    who = Context(user_id="u1", channel="sms")
    entries = [make_entry(1, message_uuid=UUID, context=who), sent(), bound()]
    entries += price(leg(entries), "-0.00790")
    late = make_entry(2, message_uuid=UUID, context=who)

    call, total = EventMapper(messages=lambda _uuid: fold([*entries, late])).events([late])

    assert (call.name, total.name, total.properties["version"]) == ("$ai_generation", "message_cost", 4)
    assert total.properties["total_usd_exact"] == "0.01415"  # 2 x 0.003125 + 0.0079


def test_several_calls_of_a_message_in_one_batch_make_one_total() -> None:
    events = mapped(make_entry(1), make_entry(2), make_entry(3))

    assert [event.name for event in events] == ["$ai_generation"] * 3 + ["message_cost"]
    assert events[-1].properties["total_usd_exact"] == "0.009375"  # 3 x 0.003125
    assert events[-1].entry_id == "llm/run-3/3"


def test_a_message_is_read_once_for_a_batch() -> None:
    asked: list[str] = []

    def messages(uuid: str) -> Message:
        asked.append(uuid)
        return fold(entries)

    entries = [sent(), bound(), status("delivered")]
    entries += price(leg(entries), "-0.00790")

    EventMapper(messages=messages).events(entries)

    assert asked == [UUID]


def test_the_same_entry_makes_the_same_event_whatever_is_known_around_it() -> None:
    """Other settings, an event delivered alone or with others: the uuid and the time stay."""
    entries = [sent(), bound()]
    entries += price(leg(entries), "-0.00790")

    alone = [only(entries[1]), only(entries[2], environment="staging", hasher=HASHER)]
    together = mapped(*entries)

    assert [(e.uuid, e.timestamp) for e in together[:2]] == [(e.uuid, e.timestamp) for e in alone]
    assert newest_prices(together)[SID]["cost_picousd"] == 7_900_000_000


def test_the_environment_of_the_entry_goes_before_that_of_the_exporter() -> None:
    assert only(make_entry(context=Context(environment="staging"))).properties["environment"] == "staging"
    assert "environment" not in only(make_entry(), environment=None).properties


def test_tags_leave_only_where_they_are_named() -> None:
    context = Context(user_id="u1", tags={"plan": "pro", "note": "x"})

    assert not [name for name in only(make_entry(context=context)).properties if name.startswith("tag_")]
    assert only(make_entry(context=context), tags=["plan"]).properties["tag_plan"] == "pro"


def test_times_are_milliseconds_in_utc() -> None:
    moment = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)

    assert only(make_entry(occurred_at=moment, usage=make_usage())).timestamp == "2026-12-31T23:59:59.999Z"
