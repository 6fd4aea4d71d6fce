"""A quote shows its working, and cannot claim an amount it does not have."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.money import Money
from costtrace.quote import (
    ACTUAL,
    PriceBasis,
    Quote,
    QuoteLine,
    QuoteStatus,
    no_quote,
    unit_price,
)
from tests.factories import make_basis, make_quote
from tests.strategies import BASES, quotes


@pytest.mark.parametrize("amount", [0.003125, 1, "0.003125", Decimal("NaN"), Decimal("Infinity"), True])
def test_an_amount_that_is_no_finite_decimal_is_refused_by_name_and_value(amount: Any) -> None:
    with pytest.raises(InvalidValue, match=r"quote\.amount: expected a") as refusal:
        Quote(status=QuoteStatus.EXACT, amount=amount)
    assert refusal.value.value is amount


@pytest.mark.parametrize("status", sorted(ACTUAL))
def test_a_status_that_claims_actual_money_needs_an_amount(status: QuoteStatus) -> None:
    with pytest.raises(InvalidValue, match=rf"quote\.amount: expected an amount, since the status is '{status}'"):
        Quote(status=status, amount=None)


def test_what_was_not_billed_cost_nothing() -> None:
    assert Quote(status=QuoteStatus.NOT_BILLED, amount=Decimal("0.00")).is_actual
    with pytest.raises(InvalidValue, match=r"quote\.amount: expected zero, since nothing was billed"):
        Quote(status=QuoteStatus.NOT_BILLED, amount=Decimal("0.01"))


def test_only_exact_reported_and_unbilled_amounts_are_actual_money() -> None:
    assert {status for status in QuoteStatus if Quote(status=status, amount=Decimal(0)).is_actual} == {
        QuoteStatus.EXACT,
        QuoteStatus.PROVIDER_REPORTED,
        QuoteStatus.NOT_BILLED,
    }


def test_a_quote_without_an_amount_has_no_money_and_says_why() -> None:
    quote = no_quote(QuoteStatus.UNPRICED, "no price for model 'gpt-9'")
    assert quote.money is None
    assert quote.reason == "no price for model 'gpt-9'"
    assert not quote.is_actual


def test_the_amount_travels_with_its_currency() -> None:
    assert make_quote().money == Money("0.003125")
    assert Quote(status=QuoteStatus.EXACT, amount=Decimal(1), currency="EUR").money == Money("1", "EUR")


def test_a_line_shows_its_arithmetic() -> None:
    line = QuoteLine("input", 450, Decimal("2.50"), 1_000_000)
    assert str(line) == "450 input x 2.5 / 1000000 = 0.001125"


@given(st.integers(0, 2**53), st.decimals(0, 10_000, places=6), st.sampled_from([1, 1_000, 1_000_000]))
def test_a_subtotal_is_quantity_times_rate_by_exact_division(quantity: int, rate: Decimal, per: int) -> None:
    assert QuoteLine("input", quantity, rate, per).subtotal * per == rate * quantity
    assert unit_price(rate, per) * per == rate


@pytest.mark.parametrize("per", [0, 10, -1, 1_000_000_000])
def test_a_unit_that_no_price_list_uses_is_refused(per: int) -> None:
    with pytest.raises(InvalidValue, match=r"rate\.per: expected 1, 1000 or 1000000"):
        unit_price(Decimal(1), per)


@given(quotes())
def test_a_quote_survives_its_json_objects(quote: Quote) -> None:
    record = quote.to_dict()
    assert Quote.from_dict(record) == quote
    assert Quote.from_dict(quote.to_dict(with_basis=False), quote.basis) == quote
    assert Quote.from_dict({**record, "of_a_later_version": 1}) == quote


@given(BASES)
def test_a_basis_survives_its_json_objects(basis: PriceBasis) -> None:
    record = basis.to_dict()
    assert PriceBasis.from_dict(record) == basis
    assert PriceBasis.from_dict({**record, "of_a_later_version": {"a": 1}}) == basis


def test_a_basis_writes_its_day_as_iso_text() -> None:
    assert make_basis(effective_from=date(2026, 3, 13)).to_dict()["effective_from"] == "2026-03-13"
