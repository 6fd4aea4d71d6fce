"""What reports fold out of a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from costtrace import Context, Entry, InvalidValue, Ledger, Selection, UnknownMessage, open_ledger
from costtrace.ledger import GROUPS
from costtrace.messages import fold
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.reports import Gap, gaps, newest, report, turn
from costtrace.testing import MemoryLedger
from costtrace.twilio.entries import bound_entry, send_entry, status_entry
from costtrace.twilio.envelope import Envelope
from costtrace.twilio.legs import legs
from costtrace.twilio.revisions import price_entries
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
        "where": {},
        "zone": "UTC",
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


def sms(number: int, *raws: str, estimate: str | None = "0.0083", **changes: Any) -> list[Entry]:
    """An SMS that went out, with the prices Twilio named one after the other."""
    context = Context(user_id="u1", channel="sms", direction="outbound", message_type="chat")
    uuid, sid, send_id = f"m-{number}", f"SM{number:032x}", f"{number:032x}"
    kept = Envelope(
        quote=Quote(status=QuoteStatus.PENDING, amount=None if estimate is None else Decimal(estimate)),
        address_kind="sms",
    )
    found = [
        send_entry(send_id, message_uuid=uuid, context=context, kept=kept, now=NOW, **changes),
        bound_entry(sid, send_id=send_id, message_uuid=uuid, now=NOW, context=context),
        status_entry(sid, "delivered", message_uuid=uuid, source="callback", now=NOW),
    ]
    for raw in raws:
        unit = "EUR" if raw.endswith("E") else "USD"
        (leg,) = legs(fold(found))
        found += price_entries(leg, price_raw=raw.rstrip("E"), price_unit=unit, source="message_fetch", now=NOW)
    return found


def rows(
    ledger: Ledger, *by: str
) -> dict[tuple[str | None, ...], tuple[dict[str, str], dict[str, str], dict[str, int]]]:
    """What a report shows of each group: actual, pending, and the counts that are not zero."""
    return {
        row.key: (
            row.total.known.to_dict(),
            row.total.pending.to_dict(),
            {name: count for name, count in row.total.coverage.items() if count},
        )
        for row in report(ledger, by).rows
    }


def test_a_price_counts_where_the_sms_was_sent_and_what_it_replaced_counts_no_more(ledger: Ledger) -> None:
    ledger.append([make_entry(1), *sms(1, "-0.0075"), *sms(2, "-0.0075", "-0.0083"), *sms(3)])

    assert rows(ledger, "direction", "message_type") == {
        ("outbound", "chat"): ({"USD": "0.0158"}, {"USD": "0.0083"}, {"settled": 2, "pending": 1}),
        (None, None): ({"USD": "0.003125"}, {}, {"calculated": 1}),
    }


def test_no_report_shows_a_count_below_zero_for_what_was_replaced(ledger: Ledger) -> None:
    ledger.append([make_entry(1), unpriced(2), *sms(1, "-0.0075"), *sms(2, "-0.0075", "-0.0083"), *sms(3)])
    ledger.append(sms(4, "-0.0075", estimate=None))

    assert rows(ledger, "kind") == {
        ("sms",): ({"USD": "0.0233"}, {"USD": "0.0083"}, {"settled": 3, "pending": 1}),
        ("llm",): ({"USD": "0.003125"}, {}, {"calculated": 1, "unpriced": 1}),
    }
    assert rows(ledger, "status") == {
        ("provider_reported",): ({"USD": "0.0233"}, {}, {"settled": 3}),
        ("exact",): ({"USD": "0.003125"}, {}, {"calculated": 1}),
        ("pending",): ({}, {"USD": "0.0083"}, {"pending": 1}),
        ("unpriced",): ({}, {}, {"unpriced": 1}),
    }
    for words in product(GROUPS, GROUPS):
        found = report(ledger, words)
        assert min(count for row in found.rows for count in row.total.coverage.values()) >= 0
        assert not [row for row in found.rows if min(row.total.pending.values(), default=0) < 0]
        assert found.total.coverage == {"settled": 3, "calculated": 1, "pending": 1, "unpriced": 1}
        assert (found.total.actual.usd, found.total.pending.usd) == (Decimal("0.026425"), Decimal("0.0083"))


def test_what_one_call_replaced_is_not_taken_from_another_message(ledger: Ledger) -> None:
    """Two calls wait for a price, each in its own way; one of them got it."""
    waiting = no_quote(QuoteStatus.USAGE_MISSING, "no usage was reported for this call")
    ledger.append(
        [
            make_entry(1, message_uuid="m-1", quote=waiting, cost=None),
            make_entry(2, message_uuid="m-2", quote=UNPRICED, cost=None),
            make_entry(3, message_uuid="m-2", kind="correction", usage=None, replaces="unpriced"),
        ]
    )

    assert rows(ledger, "status") == {
        ("exact",): ({"USD": "0.003125"}, {}, {"calculated": 1}),
        ("unpriced",): ({}, {}, {}),
        ("usage_missing",): ({}, {}, {"unpriced": 1}),
    }


def test_money_that_was_taken_back_for_another_currency_leaves_no_negative_row(ledger: Ledger) -> None:
    ledger.append(sms(1, "-0.0075", "-0.0070E"))

    assert rows(ledger, "status") == {
        ("provider_reported",): ({"EUR": "0.007"}, {}, {"settled": 1}),
    }


def test_a_credit_stays_in_its_group(ledger: Ledger) -> None:
    ledger.append([*sms(1, "0.0075"), make_entry(1)])

    assert rows(ledger, "status")["provider_reported",] == ({"USD": "-0.0075"}, {}, {"settled": 1})


def test_callbacks_that_name_nobody_make_no_row(ledger: Ledger) -> None:
    ledger.append([*sms(1), make_entry(1, context=Context(), quote=None, cost=None, usage=None, status="failed")])

    assert list(rows(ledger, "user")) == [("u1",)]
    assert list(rows(ledger, "model")) == [("gpt-4o",), ("sms",)]


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
