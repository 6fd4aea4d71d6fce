"""What an address asks for, and the addresses that ask for the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from costtrace.errors import InvalidValue
from costtrace.web.dashboard.asked import FILTERS, RANGES, Asked, asked, page_number

NOW = datetime(2026, 1, 22, 12, 34, 56, 789, tzinfo=UTC)


def read(query: str, now: datetime = NOW) -> Asked:
    return asked(QueryParams(query), now)


def test_a_week_is_what_nobody_has_to_ask_for() -> None:
    assert read("") == read("range=7d")
    assert read("").since == datetime(2026, 1, 15, 12, 34, tzinfo=UTC)


@pytest.mark.parametrize(
    ("word", "back"),
    [("24h", timedelta(days=1)), ("7d", timedelta(days=7)), ("30d", timedelta(days=30)), ("all", None)],
)
def test_a_range_reaches_so_far_back_to_the_minute(word: str, back: timedelta | None) -> None:
    whole_minute = NOW.replace(second=0, microsecond=0)
    found = read(f"range={word}")
    assert (found.since, found.until) == (None if back is None else whole_minute - back, None)


def test_a_date_of_ones_own_is_one_of_the_zone() -> None:
    found = read("since=2026-01-20&until=2026-01-21T12:00&zone=Europe/Berlin")
    assert found.range == "custom"
    assert found.since == datetime(2026, 1, 19, 23, 0, tzinfo=UTC)
    assert found.until == datetime(2026, 1, 21, 11, 0, tzinfo=UTC)


def test_a_moment_that_names_its_zone_keeps_it() -> None:
    assert read("since=2026-01-20T00:00:00Z&zone=Asia/Tokyo").since == datetime(2026, 1, 20, tzinfo=UTC)


def test_days_that_are_few_are_shown_by_the_hour() -> None:
    assert read("range=24h").period_word == "hour"
    assert read("range=7d").period_word == "day"
    assert read("range=all").period_word == "day"
    assert read("since=2026-01-20&until=2026-01-23").period_word == "hour"


def test_a_range_leaves_the_dates_before_it_behind() -> None:
    found = read(read("since=2026-01-20&until=2026-01-21&user=anna").query(range="all"))
    assert (found.since, found.until, dict(found.where)) == (None, None, {"user": "anna"})


def test_entries_that_say_nothing_of_it_can_be_asked_for() -> None:
    assert dict(read("without=user&without=tag:team&channel=web").where) == {
        "user": None,
        "tag:team": None,
        "channel": "web",
    }


def test_an_exact_query_names_the_same_entries_tomorrow() -> None:
    found = read("range=7d&user=anna&zone=Europe/Berlin")
    again = read(found.exact_query(), NOW + timedelta(days=1))
    assert again.selection == found.selection
    assert again.zone == found.zone


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    word=st.sampled_from([*RANGES, "custom"]),
    since=st.dates(min_value=datetime(2000, 1, 1).date(), max_value=datetime(2020, 1, 1).date()),  # noqa: DTZ001 - days
    where=st.dictionaries(st.sampled_from([*FILTERS, "tag:team"]), st.none() | texts),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
)
def test_a_query_asks_for_what_it_was_made_of(
    word: str, since: object, where: dict[str, str | None], zone: str
) -> None:
    first = read(f"range={word}&since={since}&zone={zone}")
    for name, value in where.items():
        first = read(first.with_group(name, value))
    assert dict(first.where) == where
    assert read(first.query()) == first
    for name in where:
        assert name not in read(first.without_filter(name)).where


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x", "", "٣", "1" * 9])
def test_a_page_is_a_number_from_one(text: str) -> None:
    with pytest.raises(InvalidValue, match="page: expected a page number, such as 2"):
        page_number(QueryParams({"page": text}))


@pytest.mark.parametrize("word", RANGES)
def test_a_link_says_its_range_because_pages_differ_in_what_goes_without_saying(word: str) -> None:
    on_overview = read(f"range={word}")
    for query in (on_overview.query(), on_overview.with_group("user", "anna"), on_overview.without_filter("user")):
        assert asked(QueryParams(query), NOW, default="all").range == word
