"""What reports fold out of a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from costtrace import Context, Entry, InvalidValue, Ledger, Selection, UnknownMessage, open_ledger
from costtrace.quote import QuoteStatus, no_quote
from costtrace.reports import Gap, gaps, newest, report, turn
from costtrace.testing import MemoryLedger
from tests.factories import MESSAGE, NOW, make_costs, make_entry

QUESTION = "0199d3a0-0000-7000-8000-0000000000aa"
UNPRICED = no_quote(QuoteStatus.UNPRICED, "no price for model 'own-1'")


def unpriced(number: int) -> Entry:
    return make_entry(number, model="own-1", quote=UNPRICED, cost=None)


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    store: Ledger = MemoryLedger() if request.param == "memory" else open_ledger(f"sqlite:///{tmp_path}/costs.db")
    yield store
    store.close()


def by_user(number: int, user: str | None, amount: str, currency: str = "USD") -> Entry:
    return make_costs(amount, number=number, currency=currency, context=Context(user_id=user))


def test_a_turn_as_of_a_moment_is_what_both_messages_were_known_to_be(ledger: Ledger) -> None:
    question = make_entry(1, message_uuid=QUESTION)
    reply = make_entry(2, context=Context(reply_to=QUESTION))
    late = make_entry(3, message_uuid=QUESTION, recorded_at=NOW + timedelta(days=1))
    ledger.append([question, reply, late])

    found = turn(ledger, MESSAGE, at=NOW + timedelta(hours=1))

    assert found.reply_to is not None
    assert found.reply_to.entries == (question,)
    assert found.total.calculated == 2
    assert turn(ledger, MESSAGE, at=reply.recorded_at).reply_to is not None
    with pytest.raises(InvalidValue, match="as of: expected 2026-01-20T09:30:02"):
        turn(ledger, MESSAGE, at=NOW)


def test_groups_are_sorted_by_what_they_actually_cost(ledger: Ledger) -> None:
    ledger.append(
        [
            by_user(1, "anna", "0.01"),
            by_user(2, "bert", "0.02"),
            by_user(3, "bert", "0.005"),
            by_user(4, "cleo", "0.01"),
            by_user(5, None, "0.01"),
        ]
    )

    found = report(ledger, ["user"])

    assert [(row.key, row.total.actual.usd) for row in found.rows] == [
        (("bert",), Decimal("0.025")),
        (("anna",), Decimal("0.01")),
        (("cleo",), Decimal("0.01")),
        ((None,), Decimal("0.01")),
    ]


def test_the_grand_total_is_the_exact_sum_of_the_groups_in_each_currency(ledger: Ledger) -> None:
    ledger.append([by_user(1, "anna", "0.1"), by_user(2, "bert", "0.2"), by_user(3, "anna", "0.3", "EUR"), unpriced(4)])

    total = report(ledger, ["user", "model"]).total

    assert total.actual == {"EUR": Decimal("0.3"), "USD": Decimal("0.3")}
    assert total.coverage == {"settled": 3, "calculated": 0, "pending": 0, "unpriced": 1}


def test_without_a_group_there_is_one_row(ledger: Ledger) -> None:
    ledger.append([make_entry(1), make_entry(2)])

    found = report(ledger)

    assert [row.key for row in found.rows] == [()]
    assert found.rows[0].total == found.total


def test_a_word_said_twice_counts_once(ledger: Ledger) -> None:
    ledger.append([make_entry(1)])

    assert report(ledger, ["user", "channel", "user"]).by == ("user", "channel")


def test_an_unknown_word_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidValue, match=r"by: expected one of channel, .*got 'colour'"):
        report(ledger, ["colour"])


def test_only_selected_entries_count(ledger: Ledger) -> None:
    ledger.append([make_entry(1), make_entry(2), make_entry(3)])  # a second apart

    found = report(ledger, ["user"], Selection(since=NOW + timedelta(seconds=2)))

    assert found.total.calculated == 2


def test_the_json_of_a_report_carries_money_as_text(ledger: Ledger) -> None:
    ledger.append([make_entry(1)])

    assert report(ledger, ["user", "channel"], Selection(since=NOW)).to_dict() == {
        "by": ["user", "channel"],
        "since": "2026-01-20T09:30:00+00:00",
        "until": None,
        "groups": [
            {
                "group": {"user": "u1", "channel": "web"},
                "actual": {"USD": "0.003125"},
                "pending": {},
                "coverage": {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0},
                "complete": True,
                "input_tokens": 450,
                "output_tokens": 200,
            }
        ],
        "total": {
            "actual": {"USD": "0.003125"},
            "pending": {},
            "coverage": {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0},
            "complete": True,
            "input_tokens": 450,
            "output_tokens": 200,
        },
    }


def test_a_turn_is_a_message_and_what_it_answers(ledger: Ledger) -> None:
    ledger.append([make_costs("0.001", number=1, message_uuid=QUESTION)])
    ledger.append([make_costs("0.002", number=2, context=Context(reply_to=QUESTION))])

    found = turn(ledger, MESSAGE)

    assert (found.message.uuid, found.reply_to and found.reply_to.uuid) == (MESSAGE, QUESTION)
    assert found.total.actual.usd == Decimal("0.003")


def test_a_message_that_answers_something_unrecorded_is_a_turn_of_its_own(ledger: Ledger) -> None:
    ledger.append([make_costs("0.002", context=Context(reply_to=QUESTION))])

    found = turn(ledger, MESSAGE)

    assert found.reply_to is None
    assert found.total == found.message.total


def test_a_message_that_names_itself_as_its_question_is_counted_once(ledger: Ledger) -> None:
    ledger.append([make_costs("0.002", context=Context(reply_to=MESSAGE))])

    assert turn(ledger, MESSAGE).total.actual.usd == Decimal("0.002")


def test_there_is_no_turn_of_an_unknown_message(ledger: Ledger) -> None:
    with pytest.raises(UnknownMessage):
        turn(ledger, QUESTION)


def test_the_newest_entries_come_oldest_first(ledger: Ledger) -> None:
    ledger.append([make_entry(number) for number in range(1, 8)])

    assert [entry.source_id for _, entry in newest(ledger, 3)] == ["run-5", "run-6", "run-7"]
    assert len(newest(ledger, 100)) == 7
    assert newest(ledger, 0) == []


def test_the_newest_entries_are_found_across_missing_numbers(ledger: Ledger) -> None:
    """Numbers of entries that were appended again can stay unused."""
    for number in (1, 2, 2, 2, 2, 2, 2, 2, 3):
        ledger.append([make_entry(number), make_entry(number, entry_id=f"other/{number}")])

    assert [entry.entry_id for _, entry in newest(ledger, 3)] == ["other/2", "llm/run-3/3", "other/3"]


def test_an_empty_ledger_has_no_newest_entries(ledger: Ledger) -> None:
    assert newest(ledger, 3) == []


def test_a_gap_that_a_later_entry_closed_is_none(ledger: Ledger) -> None:
    missing = no_quote(QuoteStatus.USAGE_MISSING, "no usage was reported for this call")
    ledger.append(
        [
            unpriced(1),
            unpriced(2),
            make_entry(3, model="own-1", quote=missing, cost=None),
            make_entry(4, model="own-1", kind="correction", usage=None, replaces="unpriced"),
        ]
    )

    assert gaps(ledger) == [
        Gap(provider="openai", model="own-1", status="unpriced", calls=1),
        Gap(provider="openai", model="own-1", status="usage_missing", calls=1),
    ]
    ledger.append(make_entry(n, model="own-1", kind="correction", usage=None, replaces="unpriced") for n in (5, 6))
    assert gaps(ledger) == []


def test_gaps_name_what_has_no_exact_cost_most_calls_first(ledger: Ledger) -> None:
    missing = no_quote(QuoteStatus.USAGE_MISSING, "no usage was reported for this call")
    ledger.append([make_entry(1), make_entry(2, quote=missing, cost=None), unpriced(3), unpriced(4)])

    assert gaps(ledger) == [
        Gap(provider="openai", model="own-1", status="unpriced", calls=2),
        Gap(provider="openai", model="gpt-4o", status="usage_missing", calls=1),
    ]
