"""Amounts for a glance never pretend to be the whole."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.messages import Totals
from costtrace.web.dashboard.figures import coverage_shares, figure


@pytest.mark.parametrize(
    ("amount", "short", "rounded"),
    [
        ("0", "0", False),
        ("12", "12", False),
        ("12.3456", "12.3456", False),
        ("12.34567", "12.35", True),
        ("1234567.891234", "1,234,567.89", True),
        ("1000", "1,000", False),
        ("0.003125", "0.00312", True),
        ("0.00000004567", "0.0000000457", True),
        ("-0.003125", "-0.00312", True),
        ("-1234.567891", "-1,234.57", True),
        ("0.99999", "1.00", True),
    ],
)
def test_an_amount_is_short_and_says_whether_it_is_whole(amount: str, short: str, rounded: bool) -> None:  # noqa: FBT001 - of the table
    found = figure(Decimal(amount), "USD")
    assert (found.short, found.rounded, found.exact) == (short, rounded, amount)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12, min_value=-(10**15), max_value=10**15))
def test_what_is_not_marked_as_rounded_is_exact(amount: Decimal) -> None:
    found = figure(amount)
    assert Decimal(found.exact) == amount
    assert found.rounded or Decimal(found.short.replace(",", "")) == amount
    assert abs(Decimal(found.short.replace(",", "")) - amount) <= max(Decimal("0.005"), abs(amount) / 200)


def test_shares_fill_the_bar_and_leave_out_what_is_not_there() -> None:
    shares = coverage_shares(Totals(settled=1, calculated=2, unpriced=1))
    assert [(share.name, share.count, share.start, share.width) for share in shares] == [
        ("settled", 1, 0, 25),
        ("calculated", 2, 25, 50),
        ("unpriced", 1, 75, 25),
    ]
    assert coverage_shares(Totals()) == []
