"""Which listed message is the SMS whose sending had no clear answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.legs import Leg
from costtrace.twilio.matching import could_be, matched
from costtrace.twilio.reading import TwilioMessage
from tests.twilio.account import HASHER, NOON

NUMBERS = ("+14155550123", "+14155550177")


def send(name: str, at: datetime = NOON, **details: Any) -> Leg:
    return Leg(
        message_uuid=f"m-{name}",
        sid=None,
        send_id=name,
        direction="outbound",
        context=Context(),
        started_at=at,
        delivery=None,
        cost_state=CostState.ESTIMATED,
        quote=None,
        price=None,
        estimate=None,
        checks=(),
        revisions=(),
        refusal=None,
        waiting=(),
        details={"body_length": 5, "num_media": 0, **details},
    )


def message(number: int, at: datetime = NOON, **changes: Any) -> TwilioMessage:
    known: dict[str, Any] = {
        "sid": f"SM{number:032x}",
        "account_sid": None,
        "status": "delivered",
        "direction": "outbound-api",
        "price": None,
        "price_unit": None,
        "num_segments": 1,
        "num_media": 0,
        "error_code": None,
        "created": at,
        "sent": at,
        "from_": None,
        "to": NUMBERS[0],
        "body": "hello",
    }
    return TwilioMessage(**{**known, **changes})


def hashed(name: str, at: datetime = NOON, to: str = NUMBERS[0]) -> Leg:
    return send(name, at, to_hash=HASHER(to))


def names(found: Any) -> dict[str, str]:
    return {sid: leg.name for sid, leg in found.items()}


def test_time_length_media_direction_and_number_have_to_fit() -> None:
    fits = hashed("a")
    assert could_be(fits, message(1), HASHER)
    for other in (
        message(1, NOON - timedelta(minutes=2)),
        message(1, NOON + timedelta(minutes=11)),
        message(1, body="hello!"),
        message(1, num_media=1),
        message(1, direction="inbound"),
        message(1, to=NUMBERS[1]),
    ):
        assert not could_be(fits, other, HASHER)
    assert could_be(send("a"), message(1, to=NUMBERS[1]), HASHER)
    assert could_be(fits, message(1, to=NUMBERS[1]), None)


def test_to_one_number_the_nearest_in_time_belong_together() -> None:
    sends = [hashed("a"), hashed("b", NOON + timedelta(minutes=5))]
    listed = [message(1, NOON + timedelta(minutes=5, seconds=1)), message(2, NOON + timedelta(seconds=1))]
    assert names(matched(sends, listed, HASHER)) == {listed[0].sid: "b", listed[1].sid: "a"}


def test_one_that_never_left_takes_nobody_elses_message() -> None:
    sends = [hashed("lost"), hashed("sent", NOON + timedelta(minutes=5))]
    listed = [message(1, NOON + timedelta(minutes=5))]
    assert names(matched(sends, listed, HASHER)) == {listed[0].sid: "sent"}


def test_without_a_hash_only_a_single_fit_counts() -> None:
    assert names(matched([send("a")], [message(1)], None)) == {message(1).sid: "a"}
    assert matched([send("a")], [message(1), message(2, to=NUMBERS[1])], None) == {}
    assert matched([send("a"), send("b")], [message(1)], None) == {}


MOMENTS = st.integers(min_value=0, max_value=1200).map(lambda seconds: NOON + timedelta(seconds=seconds))


@given(
    st.lists(st.tuples(MOMENTS, st.sampled_from(NUMBERS)), max_size=6),
    st.lists(st.tuples(MOMENTS, st.sampled_from(NUMBERS)), max_size=6),
    st.booleans(),
)
def test_each_send_and_each_message_is_taken_at_most_once_and_only_where_they_fit(
    sent: list[tuple[datetime, str]],
    listed: list[tuple[datetime, str]],
    keyed: bool,  # noqa: FBT001 - hypothesis passes it by name
) -> None:
    hasher = HASHER if keyed else None
    sends = [hashed(str(number), at, to) for number, (at, to) in enumerate(sent)]
    messages = [message(number, at, to=to) for number, (at, to) in enumerate(listed)]
    found = matched(sends, messages, hasher)
    assert len({leg.name for leg in found.values()}) == len(found)
    by_sid = {each.sid: each for each in messages}
    assert all(could_be(leg, by_sid[sid], hasher) for sid, leg in found.items())
    assert found == matched(sends[::-1], messages[::-1], hasher)
