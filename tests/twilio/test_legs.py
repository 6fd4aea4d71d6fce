"""Legs: several SMS of one message, each known by two names, in any order of what is told of them."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.money import Money
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.entries import bound_entry, status_entry
from costtrace.twilio.legs import leg_of, legs
from tests.factories import make_entry
from tests.twilio.sms_entries import CONTEXT, NOON, SEND_ID, SID, UUID, bound, later, leg, message, price, sent, status

OTHER_SID, OTHER_SEND = "SM" + "2" * 32, "5e4e" * 8


def test_a_message_without_sms_has_no_legs() -> None:
    assert legs(message(make_entry(message_uuid=UUID))) == ()


def test_a_leg_says_what_is_known_of_it() -> None:
    begun = [sent(), bound(), status("queued", 1, source="create"), status("sent", 5)]
    only = leg([*begun, *price(leg(begun), "-0.0079")])
    assert (only.sid, only.send_id, only.name, only.message_uuid) == (SID, SEND_ID, SID, UUID)
    assert (only.direction, only.context, only.started_at) == ("outbound", CONTEXT, NOON)
    assert only.delivery is not None
    assert [seen.status for seen in only.delivery.history] == ["created", "queued", "sent"]
    assert [seen.source for seen in only.delivery.history] == ["local", "create", "callback"]
    assert (only.cost_state, only.price, only.estimate, only.revision) == (
        CostState.FINAL,
        Money("0.0079"),
        Money("0.0083"),
        1,
    )
    assert (only.details["to_country"], only.details["segments"]) == ("US", 1)


def test_two_sms_of_one_message_are_two_legs() -> None:
    entries = [
        sent(),
        bound(),
        sent(send_id=OTHER_SEND),
        bound(OTHER_SID, send_id=OTHER_SEND),
        status_entry(OTHER_SID, "delivered", message_uuid=UUID, source="callback", now=later(9)),
    ]
    both = legs(message(*entries))
    assert [(found.sid, found.send_id) for found in both] == [(SID, SEND_ID), (OTHER_SID, OTHER_SEND)]
    assert [found.delivery and found.delivery.status for found in both] == ["created", "delivered"]


def test_one_attempt_makes_one_sms_whatever_it_is_named_with() -> None:
    entries = [sent(), bound(), bound_entry(OTHER_SID, send_id=SEND_ID, message_uuid=UUID, now=later(2))]
    both = legs(message(*entries))
    assert {(found.sid, found.needs_price) for found in both} == {(SID, True), (OTHER_SID, False)}


def test_a_callback_before_the_create_call_returned_makes_the_same_leg() -> None:
    early = status("sent", 0.5, send_id=SEND_ID)
    assert leg([sent(), early]).sid == SID
    assert leg([sent(), early, bound()]).sid == SID


def test_a_leg_is_found_by_either_name() -> None:
    whole = message(sent(), bound())
    assert leg_of(whole, sid=SID) == leg_of(whole, send_id=SEND_ID) == leg([sent(), bound()])
    assert leg_of(whole, sid=OTHER_SID) is None


def test_only_a_callback_is_known_of_what_was_sent_elsewhere() -> None:
    only = leg([status("delivered")])
    assert (only.direction, only.context, only.cost_state, only.estimate) == (None, Context(), CostState.PENDING, None)


def test_every_order_of_the_same_entries_makes_the_same_leg() -> None:
    begun = [sent(), bound(), status("sent"), status("delivered", 7)]
    entries = [*begun, *price(leg(begun), "-0.0083")]
    assert len({repr(leg(order)) for order in permutations(entries)}) == 1


@given(st.data())
def test_order_and_repetition_never_matter(data: Any) -> None:
    words = data.draw(st.lists(st.sampled_from(["queued", "sent", "delivered", "undelivered", "odd"]), unique=True))
    entries = [sent(), bound(), *(status(word, number) for number, word in enumerate(words))]
    entries += [status("delivered", 20, source="fetch")] if data.draw(st.booleans()) else []
    entries += price(leg(entries), "-0.0083")
    shuffled = data.draw(st.permutations([*entries, *data.draw(st.lists(st.sampled_from(entries), max_size=4))]))
    assert leg(shuffled) == leg(entries)
