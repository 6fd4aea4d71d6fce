"""The delivery status: whatever came in whatever order, as often as it likes, the same status stands."""

from __future__ import annotations

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.twilio import delivery
from costtrace.twilio.delivery import CALLBACK, FETCH, TABLE, Delivery, Report, is_final, rank
from tests.twilio.sms_entries import NOON, later

TWILIO_SAYS = (
    "accepted",
    "canceled",
    "delivered",
    "failed",
    "partially_delivered",
    "queued",
    "read",
    "received",
    "receiving",
    "scheduled",
    "sending",
    "sent",
    "undelivered",
)

REPORTS = st.builds(
    Report,
    status=st.sampled_from([row.word for row in TABLE] + ["beamed", "enchanted"]),
    source=st.sampled_from([CALLBACK, FETCH, delivery.CREATE]),
    reported_at=st.integers(0, 5).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    error_code=st.none() | st.sampled_from([30003, 30007]),
    raw_dlr_done_date=st.none() | st.just("2611221200"),
)


def report(status: str, seconds: float = 0, source: str = CALLBACK, **known: Any) -> Report:
    return Report(status=status, source=source, reported_at=later(seconds), **known)


def became(*reports: Report) -> Delivery:
    result = delivery.delivery(reports)
    assert result is not None
    return result


def test_the_table_has_every_word_of_twilio_and_three_of_ours() -> None:
    words = [row.word for row in TABLE]
    assert sorted(words) == sorted([*TWILIO_SAYS, "created", "rejected", "send_unknown"])


def test_ranks_rise_along_every_usual_way() -> None:
    ranks = {row.word: row.rank for row in TABLE}
    assert list(ranks.values()) == sorted(ranks.values())
    for row in TABLE:
        assert all(ranks[before] < row.rank for before in row.after), row.word


@pytest.mark.parametrize("order", list(permutations(["queued", "sent", "delivered"])))
def test_a_late_callback_takes_nothing_back(order: tuple[str, ...]) -> None:
    result = became(*(report(status, seconds) for seconds, status in enumerate(order)))
    assert (result.status, result.conflict, result.is_final) == ("delivered", False, True)
    assert [seen.status for seen in result.history] == list(order)


def test_an_opened_message_was_delivered_before() -> None:
    assert became(report("read"), report("delivered", 1)).status == "read"


def test_a_status_nobody_knows_is_kept_and_changes_nothing() -> None:
    result = became(report("sent"), report("teleported", 1))
    assert (result.status, rank("teleported"), is_final("teleported")) == ("sent", None, False)
    assert [seen.status for seen in result.history] == ["sent", "teleported"]
    assert became(report("teleported")).status == "teleported"


@pytest.mark.parametrize("first", ["delivered", "undelivered"])
def test_of_two_final_words_the_worse_one_stands_and_the_contradiction_is_shown(first: str) -> None:
    second = {"delivered": "undelivered", "undelivered": "delivered"}[first]
    result = became(report(first, 0), report(second, 1))
    assert (result.status, result.conflict) == ("undelivered", True)


def test_a_fetch_decides_between_two_final_words() -> None:
    result = became(report("delivered"), report("failed", 1), report("delivered", 2, FETCH))
    assert (result.status, result.conflict) == ("delivered", False)


def test_a_fetch_that_came_too_early_decides_nothing() -> None:
    result = became(report("sent", 0, FETCH), report("delivered", 1), report("undelivered", 2))
    assert (result.status, result.conflict) == ("undelivered", True)


def test_the_last_fetch_is_the_authority() -> None:
    result = became(report("failed", 1, FETCH, error_code=30003), report("delivered", 2, FETCH))
    assert result.status == "delivered"


def test_an_error_code_is_not_erased_by_a_report_without_one() -> None:
    result = became(report("undelivered", 0, error_code=30007), report("undelivered", 1, FETCH))
    assert (result.status, result.error_code) == ("undelivered", 30007)


def test_nothing_reported_is_nothing_known() -> None:
    assert delivery.delivery([]) is None


@given(st.lists(REPORTS, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_order_and_repetition_never_matter(reports: list[Report], random: Any) -> None:
    shuffled = [*reports, *random.choices(reports, k=3)]
    random.shuffle(shuffled)
    assert became(*shuffled) == became(*reports)


@given(st.lists(REPORTS, min_size=1, max_size=8), REPORTS)
def test_the_rank_never_falls(reports: list[Report], another: Report) -> None:
    before, after = became(*reports), became(*reports, another)
    assert (rank(after.status) or -1) >= (rank(before.status) or -1)
