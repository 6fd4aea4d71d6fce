"""What an SMS costs, entry by entry: estimates that wait, prices that take their place, and sums that are right."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry, decode_entry, encode_entry
from costtrace.errors import InvalidValue
from costtrace.messages import Totals
from costtrace.money import Money
from costtrace.twilio.addresses import NumberHasher
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.entries import (
    callback_entries,
    found_entry,
    inbound_entry,
    message_uuid_of,
    refused_entry,
    status_entry,
    unknown_entry,
)
from costtrace.twilio.revisions import check_entry, not_billable_entries, price_of, unavailable_entries
from costtrace.twilio.webhooks import InboundMessage, StatusCallback
from tests.factories import make_costs
from tests.twilio.sms_entries import (
    CONTEXT,
    NOON,
    SEND_ID,
    SID,
    UUID,
    bound,
    kept,
    later,
    leg,
    message,
    price,
    sent,
    status,
)

ACCOUNT = "AC" + "0" * 32


def total(*entries: Entry) -> Any:
    """The totals, whose amounts compare with plain mappings."""
    return message(*entries).total


def settled(raw: str = "-0.00750", unit: str = "USD") -> list[Entry]:
    """An SMS that was expected to cost 0.0083 and has that price."""
    begun = [sent(), bound()]
    return [*begun, *price(leg(begun), raw, unit)]


def test_an_estimate_is_pending_and_no_cost() -> None:
    assert total(sent()) == Totals(pending=Totals().pending.plus({"USD": Decimal("0.0083")}), estimated=1)


def test_an_sms_without_a_rate_is_pending_without_an_amount() -> None:
    result = total(sent(None))
    assert (result.pending, result.actual, result.complete, result.coverage["pending"]) == ({}, {}, False, 1)


def test_the_price_takes_the_place_of_the_estimate() -> None:
    result = total(*settled())
    assert (result.actual, result.pending) == ({"USD": Decimal("0.00750")}, {})
    assert result.coverage == {"settled": 1, "calculated": 0, "pending": 0, "unpriced": 0}
    assert result.complete


def test_a_price_entry_says_where_it_comes_from() -> None:
    (entry,) = price(leg([sent(), bound()]), "-0.00750", "usd")
    assert (entry.entry_id, entry.source_id, entry.occurred_at) == (f"sms-price/{SID}/1", SID, NOON)
    assert (entry.cost, entry.estimate, entry.replaces) == (Money("0.0075"), Money("-0.0083"), "pending")
    assert entry.context == CONTEXT
    assert entry.details == {
        "source": "message_fetch",
        "price_raw": "-0.00750",
        "price_unit": "usd",
        "cost_scope": "provider_reported",
        "revision": 1,
        "send_id": SEND_ID,
        "corrects": f"sms-send/{SEND_ID}",
    }


def test_what_the_model_and_the_sms_cost_is_added_though_twilio_writes_prices_below_zero() -> None:
    model = make_costs("0.01000", message_uuid=UUID)
    assert total(model, *settled("-0.00750")).actual == {"USD": Decimal("0.01750")}


def test_a_credit_stays_a_credit() -> None:
    entries = settled("0.00750")
    assert total(*entries).actual == {"USD": Decimal("-0.00750")}
    assert entries[-1].details["credit"] is True


def test_zero_is_a_price() -> None:
    entries = settled("-0.00000")
    assert total(*entries).actual == {"USD": Decimal(0)}
    assert (leg(entries).cost_state, leg(entries).price) == (CostState.FINAL, Money(0))
    assert price(leg(entries), "0") == ()


@pytest.mark.parametrize("raw", [None, "", "free", "NaN", "-Infinity", "1E-3", "-7.5e-3", 0, -0.0075, "٣", "-0.0075\n"])
def test_what_is_no_price_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidValue, match="price"):
        price_of(raw)


@pytest.mark.parametrize("unit", [None, "", "US", "dollars", 1])
def test_a_price_without_a_currency_is_refused(unit: Any) -> None:
    with pytest.raises(InvalidValue, match="price_unit"):
        price(leg([sent(), bound()]), "-0.0075", unit)


def test_an_sms_nobody_knows_the_sid_of_has_no_price() -> None:
    with pytest.raises(InvalidValue, match="MessageSid"):
        price(leg([sent()]), "-0.0075")


def test_a_price_in_another_currency_than_the_estimate_is_not_converted() -> None:
    result = total(*settled("-0.0071", "EUR"))
    assert (result.actual, result.pending) == ({"EUR": Decimal("0.0071")}, {})


def test_a_later_price_is_a_revision_with_the_difference() -> None:
    first = settled("-0.0075")
    (second,) = price(leg(first), "-0.0105", seconds=90)
    assert (second.entry_id, second.cost, second.replaces) == (f"sms-price/{SID}/2", Money("0.0030"), "settled")
    assert second.details["corrects"] == f"sms-price/{SID}/1"
    result = total(*first, second)
    assert (result.actual, result.settled, result.entries) == ({"USD": Decimal("0.0105")}, 1, 1)


def test_the_same_price_again_is_nothing_to_write() -> None:
    assert price(leg(settled("-0.0075")), "-0.00750") == ()


def test_a_price_that_changes_its_currency_takes_the_old_one_back() -> None:
    first = settled("-0.0075")
    entries = [*first, *price(leg(first), "-0.0071", "EUR")]
    assert (total(*entries).actual.without_zeros(), total(*entries).settled) == ({"EUR": Decimal("0.0071")}, 1)
    assert total(*entries).complete
    assert leg(entries).price == Money("0.0071", "EUR")


def test_a_price_nobody_named_in_time_is_unknown_not_zero() -> None:
    begun = [sent(), bound()]
    entries = [*begun, *unavailable_entries(leg(begun), reason="deadline", now=later(60))]
    result = total(*entries)
    assert (result.known, result.pending, result.unpriced, result.estimated) == ({}, {}, 1, 0)
    assert (leg(entries).cost_state, leg(entries).price) == (CostState.UNAVAILABLE, None)
    assert entries[-1].reason == "Twilio named no price: deadline"
    assert unavailable_entries(leg(entries), reason="deadline", now=later(61)) == ()


def test_a_price_after_the_deadline_counts_all_the_same() -> None:
    begun = [sent(), bound()]
    late = [*begun, *unavailable_entries(leg(begun), reason="deadline", now=later(60))]
    (entry,) = price(leg(late), "-0.0083", seconds=90)
    assert (entry.replaces, entry.cost, entry.estimate) == ("unpriced", Money("0.0083"), None)
    result = total(*late, entry)
    assert (result.actual, result.coverage) == (
        {"USD": Decimal("0.0083")},
        {"settled": 1, "calculated": 0, "pending": 0, "unpriced": 0},
    )


def test_giving_up_takes_no_known_price_away() -> None:
    entries = settled()
    assert unavailable_entries(leg(entries), reason="not_found", now=later(90)) == ()
    assert not_billable_entries(leg(entries), reason="canceled", source="message_fetch", now=later(90)) == ()


def test_a_canceled_message_without_a_price_costs_nothing_until_twilio_says_otherwise() -> None:
    begun = [sent(), bound(), status("canceled")]
    free = [*begun, *not_billable_entries(leg(begun), reason="canceled", source="message_fetch", now=later(60))]
    assert (leg(free).cost_state, total(*free).actual) == (CostState.NOT_BILLABLE, {"USD": Decimal(0)})
    charged = [*free, *price(leg(free), "-0.001", seconds=90)]
    assert (leg(charged).cost_state, total(*charged).actual) == (CostState.FINAL, {"USD": Decimal("0.001")})
    assert total(*charged).settled == 1


def test_a_refused_request_costs_nothing() -> None:
    entries = [sent(), refused_entry(sent(), error="TwilioRestException 21211", now=later(1))]
    result, only = total(*entries), leg(entries)
    assert (result.actual, result.pending, result.settled, result.estimated) == ({"USD": Decimal(0)}, {}, 1, 0)
    assert (only.cost_state, only.needs_price) == (CostState.NOT_BILLABLE, False)
    assert only.delivery is not None
    assert only.delivery.status == "rejected"


def test_an_unknown_outcome_stays_pending_and_can_be_found_later() -> None:
    lost = [sent(), unknown_entry(sent(), error="ReadTimeout", now=later(1))]
    only = leg(lost)
    assert only.delivery is not None
    assert (only.delivery.status, only.cost_state, only.needs_price) == ("send_unknown", CostState.ESTIMATED, True)
    assert total(*lost).pending == {"USD": Decimal("0.0083")}
    found = [*lost, bound()]
    entries = [*found, *price(leg(found), "-0.0083")]
    assert (total(*entries).actual, total(*entries).complete) == ({"USD": Decimal("0.0083")}, True)


def test_an_attempt_that_was_never_found_can_be_given_up() -> None:
    lost = [sent(), unknown_entry(sent(), error="ReadTimeout", now=later(1))]
    entries = [*lost, *unavailable_entries(leg(lost), reason="not_found", now=later(90))]
    assert (leg(entries).cost_state, total(*entries).pending, total(*entries).unpriced) == ("unavailable", {}, 1)
    found = [*entries, bound()]
    assert total(*found, *price(leg(found), "-0.0083")).coverage["settled"] == 1


def test_a_price_known_before_its_estimate_arrives_is_not_added_to_it() -> None:
    """The entry written before sending may have waited in another process's memory until now."""
    begun = [bound(), status("sent")]
    early = [*begun, *price(leg(begun), "-0.0083")]
    assert (early[-1].replaces, total(*early).actual) == (None, {"USD": Decimal("0.0083")})
    arrived = [*early, sent()]
    assert (leg(arrived).cost_state, leg(arrived).needs_price) == (CostState.FINAL, True)
    assert total(*arrived).actual == {"USD": Decimal("0.0083")}
    entries = [*arrived, *price(leg(arrived), "-0.0083", seconds=90)]
    assert (total(*entries).actual, total(*entries).pending) == ({"USD": Decimal("0.0083")}, {})
    assert (total(*entries).complete, leg(entries).needs_price) == (True, False)


def test_an_sms_found_twice_is_settled_once() -> None:
    """Reconcile may have found it in Twilio's list, and only later does what was written before sending arrive."""
    found = found_entry(
        SID,
        "sent",
        direction="outbound",
        kept=kept(),
        source="fetch",
        occurred_at=NOON,
        now=later(9),
        message_uuid=UUID,
    )
    begun = [found, sent(), status("sent", send_id=SEND_ID)]
    entries = [*begun, *price(leg(begun), "-0.0083")]
    assert len(leg(begun).waiting) == 2
    assert (total(*entries).actual, total(*entries).pending) == ({"USD": Decimal("0.0083")}, {})
    assert total(*entries).complete


def test_two_settlers_that_learn_the_same_write_the_same() -> None:
    begun = [sent(), bound()]
    one, other = price(leg(begun), "-0.0083", seconds=60), price(leg(begun), "-0.0083", seconds=61)
    assert [entry.entry_id for entry in one] == [entry.entry_id for entry in other]
    assert total(*begun, *one, *other).actual == {"USD": Decimal("0.0083")}


def test_of_two_settlers_that_learn_different_things_the_second_goes_on_from_the_first() -> None:
    begun = [sent(), bound()]
    gave_up = unavailable_entries(leg(begun), reason="deadline", now=later(60))
    learned = price(leg(begun), "-0.0083", seconds=61)
    assert gave_up[0].entry_id == learned[0].entry_id
    stored = [*begun, *gave_up]
    entries = [*stored, *price(leg(stored), "-0.0083", seconds=90)]
    assert (total(*entries).actual, total(*entries).complete) == ({"USD": Decimal("0.0083")}, True)


def test_a_question_in_vain_is_numbered_and_costs_nothing() -> None:
    begun = [sent(), bound()]
    first = check_entry(leg(begun), outcome="no_price", now=later(30))
    second = check_entry(leg([*begun, first]), outcome="not_found", now=later(60))
    assert [first.entry_id, second.entry_id] == [f"sms-check/{SID}/1", f"sms-check/{SID}/2"]
    assert [entry.status for entry in leg([*begun, first, second]).checks] == ["no_price", "not_found"]
    assert total(*begun, first, second) == total(*begun)


def test_a_callback_is_a_status_and_tells_which_sid_the_attempt_has() -> None:
    callback = StatusCallback(
        message_sid=SID,
        account_sid=ACCOUNT,
        status="undelivered",
        error_code=30007,
        raw_dlr_done_date="2611221200",
        message_uuid=UUID,
        send_id=SEND_ID,
        from_="+14155550199",
        to="+14155550123",
    )
    identified, reported = callback_entries(callback, now=later(5))
    assert (identified.entry_id, identified.source_id, identified.standing) == (f"sms/{SID}", SID, None)
    assert identified.details == {"send_id": SEND_ID, "account_sid": ACCOUNT}
    assert (reported.entry_id, reported.status, reported.standing) == (
        f"sms-status/{SID}/undelivered",
        "undelivered",
        None,
    )
    assert reported.details == {
        "source": "callback",
        "send_id": SEND_ID,
        "error_code": 30007,
        "raw_dlr_done_date": "2611221200",
    }
    only = leg([sent(), identified, reported])
    assert (only.sid, only.send_id, only.cost_state) == (SID, SEND_ID, CostState.PENDING)
    assert only.delivery is not None
    assert (only.delivery.status, only.delivery.error_code) == ("undelivered", 30007)


def test_a_callback_that_names_no_message_goes_to_the_one_of_its_sid() -> None:
    callback = StatusCallback(message_sid=SID, account_sid=ACCOUNT, status="sent")
    assert [entry.message_uuid for entry in callback_entries(callback, now=NOON)] == [message_uuid_of(SID)]
    assert [entry.message_uuid for entry in callback_entries(callback, now=NOON, message_uuid=UUID)] == [UUID]


def test_a_fetched_status_has_an_entry_of_its_own() -> None:
    callback, fetched = status("sent"), status("sent", source="fetch")
    assert [callback.entry_id, fetched.entry_id] == [f"sms-status/{SID}/sent", f"sms-status/{SID}/sent/fetch"]


def incoming(**changes: Any) -> InboundMessage:
    known = {
        "message_sid": SID,
        "account_sid": ACCOUNT,
        "from_": "+14155550123",
        "to": "+14155550199",
        "body": "Where is my order?",
        "num_segments": 1,
        "from_country": "US",
    }
    return InboundMessage(**{**known, **changes})


def test_an_incoming_message_waits_for_its_price_under_a_uuid_of_its_own() -> None:
    hasher = NumberHasher(b"0123456789abcdef")
    entry = inbound_entry(incoming(), now=NOON, context=Context(user_id="u1"), hasher=hasher)
    assert (entry.entry_id, entry.message_uuid, entry.status) == (f"sms/{SID}", message_uuid_of(SID), "received")
    assert entry.estimate == Money("0.0083")
    assert entry.context == Context(user_id="u1", channel="sms", direction="inbound", role="user")
    assert entry.details == {
        "address_kind": "sms",
        "to_country": "US",
        "to_hash": hasher("+14155550199"),
        "from_hash": hasher("+14155550123"),
        "segments": 1,
        "encoding": "GSM-7",
        "num_media": 0,
        "body_length": 18,
        "source": "webhook",
        "account_sid": ACCOUNT,
        "num_segments": 1,
        "from_country": "US",
    }
    only = leg([entry])
    assert only.delivery is not None
    assert (only.direction, only.cost_state, only.delivery.status) == ("inbound", CostState.PENDING, "received")
    entries = [entry, *price(only, "-0.0079")]
    assert (total(*entries).actual, total(*entries).complete) == ({"USD": Decimal("0.0079")}, True)


def test_nothing_of_an_incoming_message_is_kept_without_a_key() -> None:
    text = str(encode_entry(inbound_entry(incoming(), now=NOON)))
    for planted in ("4155550123", "4155550199", "Where is my order"):
        assert planted not in text


def test_entries_come_back_from_their_records() -> None:
    begun = [sent(), bound(), unknown_entry(sent(), error="ReadTimeout", now=later(1)), status("sent")]
    entries = [*begun, *price(leg(begun), "-0.0071", "EUR"), inbound_entry(incoming(), now=NOON)]
    assert [decode_entry(encode_entry(entry)) for entry in entries] == entries


PRICES = st.one_of(
    st.none(),
    st.tuples(
        st.decimals("-9", "9", places=5, allow_nan=False).map(lambda amount: f"{amount:.5f}"),
        st.sampled_from(["USD", "USD", "EUR"]),
    ),
    st.sampled_from(["canceled", "unavailable"]),
)


@given(
    said=st.lists(PRICES, max_size=8),
    random=st.randoms(use_true_random=False),
    estimate=st.none() | st.just("0.0083"),
    late=st.booleans(),
)
def test_the_costs_always_add_up_to_the_last_known_price(
    said: list[Any], random: Any, estimate: str | None, *, late: bool
) -> None:
    """Whatever Twilio says one time after the other, in any order and repetition of the entries it makes."""
    entries = [bound(), status("sent")] if late else [sent(estimate), bound()]
    known: Money | None = None
    for seconds, what in enumerate(said):
        now = later(60 + seconds)
        if what is None:
            entries.append(check_entry(leg(entries), outcome="no_price", now=now))
        elif what == "unavailable":
            entries += unavailable_entries(leg(entries), reason="deadline", now=now)
        elif what == "canceled":
            entries += not_billable_entries(leg(entries), reason="canceled", source="message_fetch", now=now)
            known = Money(0) if known is None else known
        else:
            entries += price(leg(entries), *what, seconds=60 + seconds)
            known = Money(-Decimal(what[0]), what[1])
    entries += [sent(estimate)] if late else []
    entries += random.choices(entries, k=3)
    random.shuffle(entries)
    result, only = total(*entries), leg(entries)
    assert only.price == known
    assert result.actual.without_zeros() == (
        {} if known is None or not known.amount else {known.currency: known.amount}
    )
    waiting = [what for what in said if what is not None] == [] or late
    assert only.needs_price is waiting
    assert result.pending == ({"USD": Decimal("0.0083")} if waiting and estimate else {})
    assert result.coverage["pending"] == int(waiting)
    assert result.settled + result.unpriced == int(any(what is not None for what in said))


def test_a_status_may_be_of_any_word() -> None:
    entry = status_entry(SID, "teleported", message_uuid=UUID, source="callback", now=NOON)
    assert leg([sent(), bound(), entry]).cost_state is CostState.PENDING
