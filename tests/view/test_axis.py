"""The time axis: later is never further left, what is kept is to one scale, and every silence that is cut is named."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.view.axis import Axis, Interval, axis, length_text

MS = 1_000
S = 1_000 * MS
MIN = 60 * S
H = 60 * MIN
DAY = 24 * H

MOMENTS = st.integers(min_value=0, max_value=400 * DAY)
INTERVALS = st.one_of(
    st.tuples(MOMENTS, MOMENTS),  # clocks may say that something ended before it began
    st.tuples(MOMENTS, st.integers(min_value=0, max_value=3 * S)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    MOMENTS.map(lambda moment: (moment, moment)),
)


def whole(found: Axis) -> list[tuple[float, float]]:
    """Stretches and breaks from left to right."""
    stretches = [(one.left, one.right) for one in found.stretches]
    return sorted([*stretches, *((one.left, one.right) for one in found.breaks)])


@given(st.lists(INTERVALS, min_size=1, max_size=60))
def test_later_is_never_further_left_and_all_stays_within_the_width(intervals: list[Interval]) -> None:
    found = axis(intervals)
    moments = sorted(moment for interval in intervals for moment in interval)
    places = [found.at(moment) for moment in (moments[0] - 1, *moments, moments[-1] + 1)]

    assert all(0 <= place <= 1 for place in places)
    assert all(here <= then for here, then in pairwise(places))


@given(st.lists(INTERVALS, min_size=1, max_size=60))
def test_stretches_and_breaks_do_not_overlap(intervals: list[Interval]) -> None:
    found = axis(intervals)

    assert all(here[1] <= then[0] for here, then in pairwise(whole(found)))
    assert len(found.breaks) == len(found.stretches) - 1
    assert all(one.left < one.right for one in found.breaks)


@given(st.lists(INTERVALS, min_size=1, max_size=60))
def test_every_stretch_has_the_same_scale_and_holds_all_that_happened(intervals: list[Interval]) -> None:
    found = axis(intervals)
    length = sum(one.end - one.start for one in found.stretches)
    width = sum(one.right - one.left for one in found.stretches)

    for one in found.stretches:
        assert one.right - one.left == pytest.approx((one.end - one.start) / length * width if length else 0)
    for interval in intervals:
        assert any(one.start <= min(interval) and max(interval) <= one.end for one in found.stretches)
    for here, then, gap in zip(found.stretches, found.stretches[1:], found.breaks, strict=False):
        assert gap.gap_us == then.start - here.end > 0


@given(st.lists(INTERVALS, min_size=1, max_size=20), st.randoms())
def test_the_order_of_the_intervals_does_not_matter(intervals: list[Interval], random: object) -> None:
    shuffled = list(intervals)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random

    assert axis(shuffled) == axis(intervals)


def test_what_comes_a_minute_and_an_hour_after_a_second_of_work_stands_behind_breaks() -> None:
    found = axis([(0, S), (52 * S, 52 * S), (H, H)])

    assert [one.gap_us for one in found.breaks] == [51 * S, H - 52 * S]
    assert found.at(S) - found.at(0) > 0.7  # the work has most of the width
    assert found.at(0) < found.at(S) < found.at(52 * S) < found.at(H)


def test_a_pause_no_longer_than_the_work_is_kept_to_scale() -> None:
    found = axis([(0, S), (2 * S, 3 * S)])

    assert found.breaks == ()
    assert found.at(2 * S) - found.at(S) == pytest.approx(found.at(S) - found.at(0))


def test_one_instant_makes_an_axis() -> None:
    found = axis([(5, 5)])

    assert found.breaks == ()
    assert 0 <= found.at(5) <= 1
    assert list(found.ticks()) == [0]


def test_instants_alone_take_their_shortest_distance_for_the_scale() -> None:
    found = axis([(moment, moment) for moment in (0, S, 2 * S, H)])

    assert [one.gap_us for one in found.breaks] == [H - 2 * S]


def test_500_steps_each_a_day_after_the_other_leave_room_for_all() -> None:
    found = axis([(number * DAY, number * DAY + number * S) for number in range(500)])
    places = [found.at(number * DAY) for number in range(500)]

    assert all(here < then for here, then in pairwise(places))
    assert sum(one.right - one.left for one in found.breaks) < 0.46


def test_nothing_makes_no_axis() -> None:
    with pytest.raises(ValueError, match="at least one moment"):
        axis([])


@given(st.integers(min_value=0, max_value=4_000 * DAY))
def test_ticks_are_few_whatever_the_length(length: int) -> None:
    found = list(axis([(0, length)]).ticks())

    assert 1 <= len(found) <= 9
    assert all(0 <= tick <= length for tick in found)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "0 s"),
        (400, "0.4 ms"),
        (5_000, "5 ms"),
        (340 * MS, "340 ms"),
        (1_240 * MS, "1.24 s"),
        (48_100 * MS, "48.1 s"),
        (51 * S, "51 s"),
        (3 * MIN + 20 * S, "3 min 20 s"),
        (2 * H, "2 h"),
        (2 * H + 5 * MIN, "2 h 5 min"),
        (3 * DAY + 4 * H, "3 d 4 h"),
        (-S, "-1 s"),
    ],
)
def test_lengths_read_as_people_say_them(microseconds: int, text: str) -> None:
    assert length_text(microseconds) == text
