"""What the table is to show of a message: sums that are whole or not there at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.chat.projection import Part, parts
from costtrace.entry import Entry, Kind, Standing
from costtrace.ledger import Selection
from costtrace.messages import fold
from costtrace.money import Money
from costtrace.pricing import Catalog
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.repricing import reprice
from costtrace.testing import MemoryLedger
from costtrace.twilio.entries import refused_entry
from costtrace.twilio.legs import legs
from costtrace.twilio.revisions import price_entries
from tests.factories import MESSAGE, make_costs, make_entry, make_usage
from tests.twilio.sms_entries import NOON, bound, later, leg, price, sent, status

UNPRICED = no_quote(QuoteStatus.UNPRICED, "no price for model 'own-1'")


def part(name: str, *entries: Entry) -> Part:
    """The only part of that name."""
    (found,) = (each for each in parts(fold(entries)) if each.name == name)
    return found


def gpt(*entries: Entry) -> Part:
    return part("gpt", *entries)


def twilio(*entries: Entry) -> Part:
    return part("twilio", *entries)


def call(number: int, model: str = "gpt-4o", **changes: Any) -> Entry:
    return make_entry(number, model=model, requested_model=model, **changes)


def priced(*entries: Entry, raw: str = "-0.00750", unit: str = "USD") -> list[Entry]:
    """Those entries and the price of their only SMS."""
    return [*entries, *price(leg(entries), raw, unit)]


def test_a_message_without_costs_shows_nothing() -> None:
    assert parts(fold([make_entry(kind="note", usage=None, quote=None, cost=None)])) == ()


def test_model_calls_are_summed() -> None:
    """Two calls of gpt-4o at 450 x 2.5 + 200 x 10 per million, one of gpt-4o-mini that somebody priced at 0.0002."""
    mini = call(3, "gpt-4o-mini", usage=make_usage(1_000, 50), quote=None, cost=Money("0.0002"))
    assert gpt(call(1), call(2), mini) == Part(
        name="gpt",
        version=3,
        fields={
            "model": "gpt-4o-mini",
            "inputTokens": 450 + 450 + 1_000,
            "outputTokens": 200 + 200 + 50,
            "totalTokens": 1_900 + 450,
            "costUsd": Decimal("0.003125") * 2 + Decimal("0.0002"),
            "timestamp": "2026-01-20T09:30:03.005000Z",
        },
    )


def test_embeddings_count_and_leave_the_name_to_the_chat_model() -> None:
    embedding = make_costs("0.00001", number=9, kind=Kind.EMBEDDING, model="text-embedding-3-small")
    shown = gpt(call(1), embedding)
    assert shown.fields["model"] == "gpt-4o"
    assert shown.fields["costUsd"] == Decimal("0.003125") + Decimal("0.00001")
    assert gpt(embedding).fields["model"] == "text-embedding-3-small"


def test_tools_are_no_model_calls() -> None:
    assert parts(fold([make_costs("0.01", kind=Kind.TOOL)])) == ()
    assert gpt(call(1), make_costs("0.01", number=2, kind=Kind.TOOL)).fields["costUsd"] == Decimal("0.003125")


@pytest.mark.parametrize(
    "unknown",
    [
        call(2, "own-1", quote=UNPRICED, cost=None),
        make_costs(None, number=2, estimate="0.001"),
        make_costs("0.001", number=2, currency="EUR"),
    ],
    ids=["unpriced", "estimated", "in euros"],
)
def test_a_sum_with_a_part_that_is_not_known_in_dollars_is_left_out(unknown: Entry) -> None:
    shown = gpt(call(1), unknown)
    assert "costUsd" not in shown.fields
    assert shown.unknown == {"costUsd"}


def test_a_call_that_was_refused_costs_nothing() -> None:
    refused = call(1, status="failed", error="RateLimitError 429", usage=None, quote=None, cost=None)
    assert gpt(refused).fields == {
        "model": "gpt-4o",
        "inputTokens": 0,
        "outputTokens": 0,
        "totalTokens": 0,
        "costUsd": Decimal(0),
        "timestamp": "2026-01-20T09:30:01.005000Z",
    }


def correction(of: Entry, amount: str, number: int, **changes: Any) -> Entry:
    return make_costs(
        amount, number=number, kind=Kind.CORRECTION, model=of.model, details={"corrects": of.entry_id}, **changes
    )


def test_a_correction_of_a_model_call_is_part_of_the_sum() -> None:
    first, tool = call(1), make_costs("0.01", number=2, kind=Kind.TOOL)
    lowered = correction(first, "-0.000125", 3, replaces=Standing.CALCULATED)
    other = correction(tool, "5", 4, replaces=Standing.SETTLED)
    shown = gpt(first, tool, lowered, other)
    assert (shown.version, shown.fields["costUsd"]) == (2, Decimal("0.003"))


def test_a_correction_that_finds_a_price_makes_the_sum_whole() -> None:
    unpriced = call(2, "own-1", quote=UNPRICED, cost=None)
    quote = Quote(status=QuoteStatus.EXACT, amount=Decimal("0.002"))
    found = replace(correction(unpriced, "0.002", 3, replaces=Standing.UNPRICED), quote=quote)
    assert gpt(call(1), unpriced, found).fields["costUsd"] == Decimal("0.003125") + Decimal("0.002")


def test_an_sms_is_shown_as_far_as_it_is_known() -> None:
    assert twilio(sent()).fields == {"status": "created", "timestamp": "2026-11-22T12:00:00.000000Z"}
    assert twilio(sent(), bound(), status("delivered", 5)).fields == {
        "messageSid": "SM" + "1" * 32,
        "status": "delivered",
        "timestamp": "2026-11-22T12:00:05.000000Z",
    }


def test_the_price_is_twilios_own_text() -> None:
    entries = priced(sent(), bound(), status("delivered"))
    assert twilio(*entries) == Part(
        name="twilio",
        version=4,
        fields={
            "messageSid": "SM" + "1" * 32,
            "price": "-0.00750",
            "priceUnit": "USD",
            "status": "delivered",
            "timestamp": "2026-11-22T12:01:00.000000Z",
        },
    )


def test_segments_are_twilios_and_not_our_own_count() -> None:
    before = [sent(), bound()]
    told = price_entries(
        leg(before), price_raw="-0.02490", price_unit="usd", source="message_fetch", now=later(60), num_segments=3
    )
    assert "numSegments" not in twilio(*before).fields
    assert twilio(*before, *told).fields["numSegments"] == 3


def test_a_price_that_changed_is_the_last_one() -> None:
    entries = priced(sent(), bound())
    entries = [*entries, *price(leg(entries), "-0.00830", seconds=120)]
    assert twilio(*entries).fields["price"] == "-0.00830"
    euros = [*entries, *price(leg(entries), "-0.0071", "EUR", seconds=180)]
    assert {**twilio(*euros).fields, "timestamp": ""} == {
        "messageSid": "SM" + "1" * 32,
        "price": "-0.0071",
        "priceUnit": "EUR",
        "status": "created",
        "timestamp": "",
    }
    between = twilio(*euros[:-1])
    assert "price" not in between.fields
    assert between.unknown == {"price", "priceUnit"}


def test_what_was_refused_costs_nothing() -> None:
    refused = refused_entry(sent(), error="TwilioRestException 21211", now=later(1))
    shown = twilio(sent(), refused).fields
    assert (shown["status"], shown["price"], shown["priceUnit"]) == ("rejected", "0", "USD")
    assert "messageSid" not in shown


def two_sms(*raws: str, unit: str = "USD") -> list[Entry]:
    """Two SMS of one reply; as many of them priced as there are prices."""
    entries: list[Entry] = []
    for number in (1, 2):
        send_id = f"{number}" * 32
        first = replace(sent(send_id=send_id), occurred_at=NOON + timedelta(seconds=number))
        entries += [first, bound(f"SM{number}" + "a" * 31, send_id=send_id)]
    for each, raw in zip(legs(fold(entries)), raws, strict=False):
        entries += price(each, raw, unit)
    return entries


def test_of_several_sms_the_numbers_are_sums_and_the_words_the_last_ones() -> None:
    shown = twilio(*two_sms("-0.00750", "-0.00830"))
    assert (shown.fields["messageSid"], shown.fields["price"]) == ("SM2" + "a" * 31, "-0.01580")
    assert shown.unknown == {"numSegments"}


def test_of_several_sms_one_without_a_price_leaves_the_sum_out() -> None:
    shown = twilio(*two_sms("-0.00750"))
    assert not {"price", "priceUnit"} & shown.fields.keys()
    assert {"price", "priceUnit"} <= shown.unknown


def test_prices_of_two_currencies_have_no_sum() -> None:
    entries = two_sms("-0.00750")
    other = legs(fold(entries))[1]
    assert "price" not in twilio(*entries, *price(other, "-0.0071", "EUR")).fields


def test_what_the_ledger_has_from_the_table_is_not_written_back() -> None:
    imported = make_entry(1, entry_id="import/m1/gpt", details={"aggregate": True})
    sms = replace(sent(), details={**sent().details, "aggregate": True})
    assert parts(fold([imported, sms])) == ()
    assert gpt(imported, call(2)).fields["inputTokens"] == 900


def test_what_the_ledger_has_from_the_table_and_priced_again_is_not_written_back_either() -> None:
    ledger = MemoryLedger()
    claim = Quote(status=QuoteStatus.ESTIMATED, amount=Decimal(1), assumptions=("calculated_by=an earlier system",))
    changes = {"quote": claim, "estimate": claim.money, "cost": None, "details": {"aggregate": True}}
    ledger.append([make_entry(1, provider="openai", **changes)])
    assert reprice(ledger, Catalog.default(), selection=Selection()).total.changed == 1
    assert parts(ledger.message(MESSAGE)) == ()


def shown_values(entries: Sequence[Entry]) -> dict[str, Part]:
    return {each.name: each for each in parts(fold(entries))}


LIFE = [
    call(1),
    call(2, "own-1", quote=UNPRICED, cost=None),
    *priced(sent(), bound(), status("sent"), status("delivered")),
]


@given(st.permutations(LIFE), st.lists(st.sampled_from(LIFE), max_size=4))
def test_order_and_repetition_of_entries_show_the_same(entries: list[Entry], again: list[Entry]) -> None:
    assert all(entry.message_uuid == MESSAGE for entry in entries)
    assert shown_values([*entries, *again]) == shown_values(LIFE)


@given(st.permutations(LIFE))
def test_with_every_entry_the_version_grows_or_nothing_changes(entries: list[Entry]) -> None:
    before: dict[str, Part] = {}
    for count in range(1, len(entries) + 1):
        after = shown_values(entries[:count])
        for name, each in after.items():
            assert name not in before or each == before[name] or each.version > before[name].version
        before = after
