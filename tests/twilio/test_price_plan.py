"""The plan by which prices are asked for: pure, in order, the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.twilio.price_plan import PricePlan

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLAN = PricePlan()
SIDS = st.text(alphabet="0123456789abcdef", min_size=32, max_size=32).map(lambda digits: f"SM{digits}")
MOMENTS = st.datetimes(  # naive bounds are what hypothesis asks for beside a time zone
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001 - as above
    max_value=datetime(2027, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)


def test_without_jitter_the_moments_are_those_written_down() -> None:
    plan = PricePlan(jitter=0)
    assert [moment - NOON for moment in plan.moments("SM1", NOON)] == [
        timedelta(0),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=10),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=6),
        timedelta(hours=24),
        timedelta(hours=48),
        timedelta(hours=72),
    ]


@given(SIDS, MOMENTS)
def test_each_moment_lies_within_a_fifth_of_its_offset_and_after_the_one_before(sid: str, trigger: datetime) -> None:
    moments = PLAN.moments(sid, trigger)
    assert list(moments) == sorted(set(moments))
    assert moments[0] == trigger
    assert moments[-1] == PLAN.deadline(trigger) == trigger + timedelta(hours=72)
    for moment, offset in zip(moments, PLAN.offsets, strict=True):
        assert abs(moment - trigger - offset) <= offset / 5


@given(SIDS, MOMENTS)
def test_the_same_message_has_the_same_moments_every_time(sid: str, trigger: datetime) -> None:
    assert PLAN.moments(sid, trigger) == PricePlan().moments(sid, trigger)


def test_messages_of_one_second_are_asked_for_at_different_moments() -> None:
    assert len({PLAN.moments(f"SM{number:032x}", NOON)[5] for number in range(100)}) == 100


@given(SIDS, MOMENTS, st.lists(st.timedeltas(min_value=timedelta(0), max_value=timedelta(hours=20)), max_size=30))
def test_a_price_that_never_comes_is_asked_for_at_most_once_for_each_moment_and_the_plan_ends(
    sid: str, trigger: datetime, delays: list[timedelta]
) -> None:
    """However late each question is, the next one lies ahead of it, and there are no more than the plan has moments."""
    asked, questions, late = None, 0, iter(delays)
    while (due := PLAN.due(sid, trigger, asked)) is not None:
        assert asked is None or due > asked
        asked = due + next(late, timedelta(0))
        questions += 1
    assert 1 <= questions <= len(PLAN.offsets)
    assert asked is not None
    assert asked >= PLAN.deadline(trigger)


def test_what_was_missed_while_nobody_ran_is_asked_once() -> None:
    plan = PricePlan(jitter=0)
    assert plan.due("SM1", NOON, None) == NOON
    assert plan.due("SM1", NOON, NOON + timedelta(hours=3)) == NOON + timedelta(hours=6)
    assert plan.due("SM1", NOON, NOON + timedelta(hours=72)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"offsets": ()},
        {"offsets": (timedelta(0),)},
        {"offsets": (timedelta(seconds=10), timedelta(seconds=10))},
        {"offsets": (timedelta(seconds=10), timedelta(seconds=14), timedelta(hours=1))},
        {"jitter": 1.0},
        {"jitter": -0.1},
    ],
)
def test_a_plan_out_of_order_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match=r"plan\.(offsets|jitter)"):
        PricePlan(**changes)  # type: ignore[arg-type]  # the values are what is tested
