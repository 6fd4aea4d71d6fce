"""Money is exact, has a currency, and says what is wrong with anything else."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import CurrencyMismatch, InvalidValue
from costtrace.money import Money, amount_pico, amount_text, parse_amount, pico_amount
from tests.strategies import AMOUNTS


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        (0.1, 'amount: expected a Decimal, such as Decimal("0.0079"), got 0.1'),
        (True, 'amount: expected a Decimal, such as Decimal("0.0079"), got True'),
        (None, 'amount: expected a Decimal, such as Decimal("0.0079"), got None'),
        (Decimal("NaN"), "amount: expected a finite amount, got Decimal('NaN')"),
        (Decimal("sNaN"), "amount: expected a finite amount, got Decimal('sNaN')"),
        (Decimal("-Infinity"), "amount: expected a finite amount, got Decimal('-Infinity')"),
        ("inf", "amount: expected a finite amount, got Decimal('Infinity')"),
        ("1,5", "amount: expected an amount written as text, such as '0.0079', got '1,5'"),
        ("", "amount: expected an amount written as text, such as '0.0079', got ''"),
        ("1E+41", "amount: expected at most 40 digits on either side of the decimal point, got Decimal('1E+41')"),
        ("1E-41", "amount: expected at most 40 digits on either side of the decimal point, got Decimal('1E-41')"),
    ],
)
def test_an_amount_that_is_not_exactly_known_is_refused(amount: Any, said: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        Money(amount)
    assert str(refusal.value) == said


@pytest.mark.parametrize("currency", ["usd", "US", "USDT", "US\n", "", None, 1])
def test_a_currency_that_is_no_iso_code_is_refused_by_name_and_value(currency: Any) -> None:
    with pytest.raises(InvalidValue, match="currency: expected a three-letter ISO 4217 code") as refusal:
        Money("1", currency)
    assert refusal.value.value == currency


def test_two_currencies_never_meet_in_a_sum() -> None:
    dollars, euros = Money("1"), Money("1", "EUR")
    for meet in (lambda: dollars + euros, lambda: dollars - euros, lambda: dollars < euros, lambda: dollars <= euros):
        with pytest.raises(CurrencyMismatch, match="currency: expected USD, as in the other amount, got 'EUR'"):
            meet()
    assert dollars != euros


@pytest.mark.parametrize("other", [Decimal(1), 1, "1", None])
def test_money_adds_only_to_money(other: Any) -> None:
    with pytest.raises(InvalidValue, match="money: expected Money"):
        Money("1") + other


@pytest.mark.parametrize("factor", [0.5, True, Decimal("NaN"), "2"])
def test_money_is_multiplied_only_by_exact_numbers(factor: Any) -> None:
    with pytest.raises(InvalidValue, match="factor: expected a"):
        Money("1") * factor


def test_arithmetic_is_that_of_the_decimals() -> None:
    assert Money("0.0079") + Money("0.0001") == Money("0.008")
    assert Money("0.0079") - Money("0.01") == Money("-0.0021")
    assert -Money("0.0075") == Money("-0.0075")
    assert 3 * Money("0.0079") == Money("0.0079") * 3 == Money("0.0237")
    assert Money("0.0079") * Decimal("0.5") == Money("0.00395")
    assert Money("1") < Money("1.01") <= Money("1.010")


def test_equal_amounts_are_equal_however_they_were_written() -> None:
    assert Money("0.10") == Money("0.1") == Money(Decimal("1E-1"))
    assert hash(Money("0.10")) == hash(Money("0.1"))
    assert len({Money("1"), Money(1), Money("1.00"), Money("1", "EUR")}) == 2


def test_money_shows_itself_plainly() -> None:
    assert str(Money("0.0031250")) == "0.003125 USD"
    assert repr(Money("1E+3", "EUR")) == "Money('1000', 'EUR')"


@pytest.mark.parametrize("sum_of", [0.25, Decimal("0.25").as_tuple(), b"1", 1])
def test_only_text_is_parsed(sum_of: Any) -> None:
    with pytest.raises(InvalidValue, match=r"entry\.cost: expected an amount written as text"):
        parse_amount(sum_of, "entry.cost")


@given(st.lists(AMOUNTS, max_size=30), st.randoms(use_true_random=False))
def test_a_sum_is_exact_in_any_order(amounts: list[Decimal], shuffle: random.Random) -> None:
    expected = sum(map(Fraction, amounts), Fraction(0))
    shuffle.shuffle(amounts)
    assert Fraction(sum(map(Money, amounts), Money(0)).amount) == expected


@given(AMOUNTS)
def test_an_amount_survives_its_text(amount: Decimal) -> None:
    text = amount_text(amount)
    assert parse_amount(text, "amount") == amount
    assert amount_text(parse_amount(text, "amount")) == text


@given(AMOUNTS)
def test_the_text_of_an_amount_is_plain_and_shortest(amount: Decimal) -> None:
    text = amount_text(amount)
    assert set(text) <= set("-0123456789.")
    assert text != "-0"
    assert not ("." in text and text.endswith(("0", ".")))


@given(AMOUNTS)
def test_an_integer_of_1e_12_is_the_amount_or_there_is_none(amount: Decimal) -> None:
    pico = amount_pico(amount)
    exact = Fraction(amount) * 10**12
    if pico is None:
        assert exact.denominator != 1 or abs(exact) >= 2**63
    else:
        assert pico == exact
        assert pico_amount(pico) == amount


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_every_64_bit_integer_of_1e_12_is_an_amount(pico: int) -> None:
    assert amount_pico(pico_amount(pico)) == pico
