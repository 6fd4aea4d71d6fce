"""What was replaced counts no more, and nothing is lost or made up on the way."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from costtrace.messages import Amounts, Totals
from costtrace.replaced import set_off

COUNTS = ("settled", "calculated", "estimated", "unpriced")

amounts = st.dictionaries(st.sampled_from(["EUR", "USD"]), st.decimals(-1, 1, places=5), max_size=2).map(Amounts)
totals = st.builds(
    Totals,
    actual=amounts,
    pending=amounts.map(Amounts.without_zeros),
    **{name: st.integers(-3, 3) for name in COUNTS},
    input_tokens=st.integers(0, 9),
)


def summed(groups: Sequence[Totals]) -> Totals:
    return reduce(Totals.plus, groups, Totals())


@given(st.lists(totals, min_size=1, max_size=5))
def test_the_sum_stays_what_it_was(groups: list[Totals]) -> None:
    before, after = summed(groups), summed(list(set_off(groups)))

    assert (after.coverage, after.pending, after.input_tokens) == (before.coverage, before.pending, before.input_tokens)
    assert after.actual.without_zeros() == before.actual.without_zeros()


@given(st.lists(totals, min_size=1, max_size=5))
def test_no_count_is_below_zero_where_their_sum_is_not(groups: list[Totals]) -> None:
    after = list(set_off(groups))

    for name in COUNTS:
        if sum(getattr(group, name) for group in groups) >= 0:
            assert min(getattr(group, name) for group in after) >= 0


@given(st.lists(totals, min_size=1, max_size=5))
def test_set_off_twice_is_set_off_once(groups: list[Totals]) -> None:
    once = list(set_off(groups))

    assert [total.coverage for total in set_off(once)] == [total.coverage for total in once]


def test_money_that_is_owed_moves_only_where_a_group_takes_back_more_than_it_has() -> None:
    price = Totals(actual=Amounts({"USD": Decimal("0.0083")}), settled=1)
    credit = Totals(actual=Amounts({"USD": Decimal("-0.0010")}), settled=1)
    taken_back = Totals(actual=Amounts({"USD": Decimal("-0.0083")}), settled=-1, unpriced=1)

    assert list(set_off([price, credit])) == [price, credit]
    assert list(set_off([price, taken_back])) == [Totals(), Totals(unpriced=1)]
