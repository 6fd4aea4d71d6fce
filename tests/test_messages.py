"""A message is the fold of its entries: any order, any repetition, the same message."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry, Standing
from costtrace.errors import InvalidValue
from costtrace.messages import Amounts, Totals, as_of, encode_message, fold, totals_of
from costtrace.money import Money
from costtrace.quote import Quote, QuoteStatus
from tests.factories import MESSAGE, make_costs, make_entry, make_usage
from tests.strategies import AMOUNTS, entries

UNPRICED = Quote(status=QuoteStatus.UNPRICED, amount=None, reason="no price")

ENTRY_LISTS = st.lists(entries(), min_size=1, max_size=6, unique_by=lambda entry: entry.entry_id)


def of_one_message(found: list[Entry]) -> list[Entry]:
    return [make_entry(**{name: getattr(entry, name) for name in _FIELDS}) for entry in found]


_FIELDS = [name for name in Entry.__dataclass_fields__ if name != "message_uuid"]


@given(ENTRY_LISTS, st.randoms(use_true_random=False))
def test_order_and_repetition_never_matter(found: list[Entry], chance: random.Random) -> None:
    own = of_one_message(found)
    again = own + chance.choices(own, k=len(own))
    chance.shuffle(again)
    assert fold(again) == fold(own)


@given(ENTRY_LISTS)
def test_the_total_is_the_exact_sum_of_actual_money_and_apart_from_it_of_expected_money(found: list[Entry]) -> None:
    message = fold(of_one_message(found))
    for currency in ("USD", "EUR"):
        for part, money in (("cost", message.total.actual), ("estimate", message.total.pending)):
            sums = [getattr(entry, part) for entry in found if getattr(entry, part) is not None]
            expected = sum((Fraction(s.amount) for s in sums if s.currency == currency), Fraction(0))
            assert Fraction(money.get(currency, Decimal(0))) == expected
    assert message.total.entries <= len(message.entries)


def test_entries_stand_in_the_order_of_time_each_once() -> None:
    first, second, third = (make_entry(number) for number in (1, 2, 3))
    message = fold([third, first, second, first])
    assert message.uuid == MESSAGE
    assert message.entries == (first, second, third)
    assert message.started_at == first.occurred_at
    assert message.total == Totals(
        actual=Amounts({"USD": Decimal("0.009375")}), calculated=3, input_tokens=1350, output_tokens=600
    )


def test_the_earliest_entry_that_says_whose_message_it_is_wins() -> None:
    message = fold(
        [
            make_entry(3, context=Context(user_id="late", reply_to="m0", tags={"team": "red", "b": "2"})),
            make_entry(1, context=Context(channel="sms", tags={"team": "blue"})),
            make_entry(2, context=Context(user_id="early")),
        ]
    )
    assert message.context == Context(user_id="early", channel="sms", reply_to="m0", tags={"team": "blue", "b": "2"})


@pytest.mark.parametrize("found", [[], [make_entry(1), make_entry(2, message_uuid="another")]])
def test_a_fold_of_no_message_or_of_two_is_refused(found: list[Entry]) -> None:
    with pytest.raises(InvalidValue, match="entries: expected entries of exactly one message"):
        fold(found)


@pytest.mark.parametrize(
    ("entry", "coverage"),
    [
        (make_entry(), {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0}),
        (make_costs("0.0079"), {"settled": 1, "calculated": 0, "pending": 0, "unpriced": 0}),
        (make_costs(estimate="0.0079"), {"settled": 0, "calculated": 0, "pending": 1, "unpriced": 0}),
        (make_entry(quote=UNPRICED, cost=None), {"settled": 0, "calculated": 0, "pending": 0, "unpriced": 1}),
        (make_entry(quote=None, cost=None), {"settled": 0, "calculated": 0, "pending": 0, "unpriced": 0}),
    ],
)
def test_every_entry_that_costs_something_stands_in_the_coverage_once(entry: Entry, coverage: dict[str, int]) -> None:
    totals = totals_of(entry)
    assert totals.coverage == coverage
    assert totals.entries == sum(coverage.values())
    assert totals.complete is (coverage["pending"] == coverage["unpriced"] == 0)


@pytest.mark.parametrize(
    ("later", "actual", "pending", "coverage"),
    [
        # the seller names the price that was estimated at 0.0083, in another currency even
        ({"cost": "0.0079 USD", "estimate": "-0.0083 USD"}, {"USD": "0.0079"}, {}, "settled"),
        ({"cost": "0.0070 EUR", "estimate": "-0.0083 USD"}, {"EUR": "0.007"}, {}, "settled"),
        # a better estimate
        ({"estimate": "0.0002 USD"}, {}, {"USD": "0.0085"}, "pending"),
        # it will never be known
        ({"estimate": "-0.0083 USD", "quote": UNPRICED}, {}, {}, "unpriced"),
        # it was free
        ({"cost": "0 USD", "estimate": "-0.0083 USD"}, {"USD": "0"}, {}, "settled"),
    ],
)
def test_an_entry_that_takes_the_place_of_an_estimate_leaves_only_itself(
    later: dict[str, Any], actual: dict[str, str], pending: dict[str, str], coverage: str
) -> None:
    money: dict[str, Any] = {part: Money(*later[part].split()) for part in ("cost", "estimate") if part in later}
    known: dict[str, Any] = {"usage": None, "quote": None, "cost": None, **later, **money}
    replacing = make_entry(2, **known, replaces=Standing.PENDING)
    total = fold([replacing, make_costs(estimate="0.0083", number=1)]).total
    assert total.to_dict()["actual"] == actual
    assert total.to_dict()["pending"] == pending
    assert {name: count for name, count in total.coverage.items() if count} == {coverage: 1}
    assert total.complete is (coverage == "settled")
    assert total.entries == 1


def test_money_that_was_taken_back_leaves_no_zero_behind() -> None:
    """What nobody can price any more is unknown, and unknown is not zero."""
    taken_back = make_costs("-0.003125", number=2, replaces=Standing.CALCULATED)
    no_more = make_entry(2, usage=None, quote=UNPRICED, cost=taken_back.cost, replaces=Standing.CALCULATED)
    total = fold([make_entry(1), no_more]).total
    assert total.known == {}
    assert total.to_dict()["actual"] == {}
    assert total.coverage == {"settled": 0, "calculated": 0, "pending": 0, "unpriced": 1}


def test_money_that_came_back_in_another_currency_leaves_no_zero_beside_it() -> None:
    total = Totals(actual=Amounts({"EUR": Decimal("0.07"), "USD": Decimal(0)}), settled=1)
    assert total.known == {"EUR": Decimal("0.07")}
    assert Totals(actual=Amounts({"USD": Decimal(0)}), settled=1).known == {"USD": Decimal(0)}


def test_what_the_seller_will_name_later_is_pending_without_any_estimate() -> None:
    later = Quote(status=QuoteStatus.PENDING, amount=None, reason="the carrier says later")
    entry = make_entry(quote=later, cost=None)
    assert entry.standing is Standing.PENDING
    total = totals_of(entry)
    assert total.coverage == {"settled": 0, "calculated": 0, "pending": 1, "unpriced": 0}
    assert total.pending == {}
    assert not total.complete


@pytest.mark.parametrize(
    ("status", "amount", "standing"),
    [
        ("exact", "1", "calculated"),
        ("provider_reported", "1", "settled"),
        ("not_billed", "0", "settled"),
        ("estimated", "1", "pending"),
        ("partial", "1", "pending"),
        ("pending", None, "pending"),
        ("pending", "1", "pending"),
        ("unpriced", None, "unpriced"),
        ("usage_missing", None, "unpriced"),
        ("invalid_usage", None, "unpriced"),
    ],
)
def test_what_takes_the_place_of_another_stands_as_its_quote_says_even_if_the_money_stays(
    status: str, amount: str | None, standing: str
) -> None:
    quote = Quote(status=QuoteStatus(status), amount=None if amount is None else Decimal(amount))
    assert make_entry(quote=quote, cost=None, replaces="unpriced").standing == standing


def test_as_of_a_moment_a_message_is_what_had_been_recorded_by_then() -> None:
    first, second = make_entry(1), make_entry(2)
    message = fold([first, second])
    assert as_of(message, second.recorded_at) == message
    assert as_of(message, second.recorded_at - timedelta(microseconds=1)) == fold([first])
    with pytest.raises(
        InvalidValue,
        match=rf"as of: expected 2026-01-20T09:30:01.005000Z or later, when the first entry of message '{MESSAGE}' was",
    ):
        as_of(message, first.recorded_at - timedelta(microseconds=1))


def test_actual_and_expected_money_and_currencies_are_never_mixed() -> None:
    message = fold(
        [
            make_costs("0.5", number=1),
            make_costs("-0.1", number=2),
            make_costs("2", number=3, currency="EUR"),
            make_costs(estimate="0.0079", number=4),
            make_costs(estimate="3", number=5, currency="EUR"),
        ]
    )
    assert message.total.actual == {"USD": Decimal("0.4"), "EUR": Decimal(2)}
    assert message.total.actual.usd == Decimal("0.4")
    assert message.total.pending == {"USD": Decimal("0.0079"), "EUR": Decimal(3)}
    assert str(message.total.actual) == "2 EUR + 0.4 USD"
    assert str(Amounts()) == "0"


@given(st.lists(st.tuples(AMOUNTS, st.sampled_from(["USD", "EUR", "GBP"])), max_size=12), st.randoms())
def test_amounts_add_up_exactly_in_any_order(pairs: list[tuple[Decimal, str]], chance: random.Random) -> None:
    def total() -> Amounts:
        amounts = Amounts()
        for amount, currency in pairs:
            amounts = amounts.plus({currency: amount})
        return amounts

    before = total()
    chance.shuffle(pairs)
    assert total() == before
    assert hash(total()) == hash(before)


def test_an_encoded_message_holds_money_as_text() -> None:
    encoded: dict[str, Any] = encode_message(fold([make_entry(1), make_costs(estimate="0.0079", number=2)]))
    assert encoded["message_uuid"] == MESSAGE
    assert encoded["context"] == {"user_id": "u1", "channel": "web", "thread_id": "t1"}
    assert encoded["total"] == {
        "actual": {"USD": "0.003125"},
        "pending": {"USD": "0.0079"},
        "coverage": {"settled": 0, "calculated": 1, "pending": 1, "unpriced": 0},
        "complete": False,
        "input_tokens": make_usage().input_tokens,
        "output_tokens": make_usage().output_tokens,
    }
    assert [entry["entry_id"] for entry in encoded["entries"]] == ["llm/run-1/1", "llm/run-2/2"]
