"""Moments are aware, in UTC, exact to the microsecond, and sort as text."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.times import EPOCH, from_micros, moment_text, parse_moment, to_micros, utc
from tests.strategies import MOMENTS


@pytest.mark.parametrize(
    "moment",
    [datetime(2026, 1, 20, 9, 30), date(2026, 1, 20), "2026-01-20T09:30:00Z", 1768901400, None],  # noqa: DTZ001 - naive is the point
)
def test_what_is_no_aware_moment_is_refused_by_field_and_value(moment: Any) -> None:
    with pytest.raises(InvalidValue, match="since: expected a datetime with a time zone") as refusal:
        utc(moment, "since")
    assert refusal.value.value == moment


def test_a_moment_of_another_zone_is_the_same_moment_in_utc() -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    moment = utc(datetime(2026, 1, 20, 2, 15, tzinfo=nepal), "at")
    assert moment == datetime(2026, 1, 19, 20, 30, tzinfo=UTC)
    assert moment.tzinfo is UTC


@given(MOMENTS)
def test_a_moment_survives_its_microseconds_and_its_text(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment
    assert parse_moment(moment_text(moment), "at") == moment
    assert parse_moment(moment_text(moment), "at").tzinfo is UTC


@given(MOMENTS)
def test_microseconds_are_those_of_exact_division(moment: datetime) -> None:
    assert to_micros(moment) == (moment - EPOCH) // timedelta(microseconds=1)


@given(st.lists(MOMENTS, min_size=2, max_size=6))
def test_texts_sort_as_their_moments_do(moments: list[datetime]) -> None:
    assert sorted(moment_text(moment) for moment in moments) == [moment_text(moment) for moment in sorted(moments)]


def test_the_text_is_iso_8601_with_a_z() -> None:
    assert moment_text(datetime(2026, 1, 20, 9, 30, tzinfo=UTC)) == "2026-01-20T09:30:00.000000Z"


def test_a_bare_date_is_its_first_moment_in_utc() -> None:
    assert parse_moment("2026-01-20", "since") == datetime(2026, 1, 20, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-01-20T09:30:00", "yesterday", "", None, 20260120, b"2026-01-20"])
def test_a_text_that_names_no_moment_is_refused_by_field_and_value(text: Any) -> None:
    with pytest.raises(InvalidValue, match="since: expected a date"):
        parse_moment(text, "since")
