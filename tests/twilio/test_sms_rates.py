"""The rate table: which row holds for a message, and every file that is refused with its line and key."""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import pytest

from costtrace.errors import InvalidRates
from costtrace.money import Money
from costtrace.twilio import NumberKind, SmsRates
from costtrace.twilio.sms_rates import SmsRate

NOVEMBER = datetime(2026, 11, 22, 12, tzinfo=UTC)

OWN = """
version = "7"

[[rate]]
country = ["DE", "AT"]
kind = "sms"
direction = "outbound"
price = 0.0712
currency = "EUR"
source = "contract of March"
effective_from = 2026-03-01

[[rate]]
country = "DE"
kind = "sms"
direction = "outbound"
price = 0.0700000000000000000000000001
effective_from = 2026-06-01
effective_until = 2026-09-30

[[rate]]
country = "*"
kind = "sms"
direction = ["outbound", "inbound"]
price = 0.3

[[rate]]
country = "DE"
kind = "sms"
direction = "outbound"
number = "short_code"
price = 0.05

[[rate]]
country = "US"
kind = "sms"
direction = "outbound"
price = 0
carrier_fee = { low = 0.003, high = 0.0045 }
"""


@pytest.fixture
def own(tmp_path: Path) -> SmsRates:
    return SmsRates.own(_written(tmp_path, OWN))


def _written(folder: Path, text: str) -> Path:
    file = folder / "my_rates.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _rate(
    rates: SmsRates,
    country: str | None = "DE",
    *,
    kind: str = "sms",
    direction: str = "outbound",
    number: NumberKind | None = None,
    at: datetime = NOVEMBER,
) -> SmsRate | None:
    return rates.rate(kind=kind, direction=direction, country=country, number=number, at=at)


def _price(rate: SmsRate | None) -> tuple[Decimal, str] | None:
    return None if rate is None else (rate.price, rate.currency)


@pytest.mark.parametrize(
    ("kind", "direction", "country", "number", "price"),
    [
        ("sms", "outbound", "US", None, "0.0083"),
        ("sms", "inbound", "US", NumberKind.TOLL_FREE, "0.0083"),
        ("mms", "outbound", "US", None, "0.022"),
        ("mms", "inbound", "US", NumberKind.LONG_CODE, "0.0165"),
        ("mms", "inbound", "US", NumberKind.TOLL_FREE, "0.02"),
        ("sms", "outbound", "CA", None, "0.0083"),
        ("sms", "outbound", "GB", None, "0.056"),
        ("sms", "inbound", "GB", None, "0.0075"),
        ("sms", "outbound", "DE", None, "0.112"),
        ("whatsapp", "outbound", "NG", None, "0.005"),
        ("whatsapp", "inbound", None, None, "0.005"),
    ],
)
def test_the_list_prices_are_those_of_twilios_pages(
    kind: str, direction: str, country: str | None, number: NumberKind | None, price: str
) -> None:
    found = _rate(SmsRates.published(), country, kind=kind, direction=direction, number=number)
    assert _price(found) == (Decimal(price), "USD")


@pytest.mark.parametrize(
    ("kind", "country"), [("sms", "TH"), ("sms", None), ("mms", "DE"), ("rcs", "US"), ("messenger", None)]
)
def test_what_the_table_does_not_name_has_no_rate(kind: str, country: str | None) -> None:
    assert _rate(SmsRates.published(), country, kind=kind) is None


def test_before_the_first_day_on_which_a_price_was_seen_there_is_none() -> None:
    published = SmsRates.published()
    assert _rate(published, "US", at=datetime(2026, 2, 3, 23, 59, tzinfo=UTC)) is None
    assert _rate(published, "US", at=datetime(2026, 2, 4, tzinfo=UTC)) is not None


def test_every_published_row_names_a_page_of_twilios_and_was_checked_after_its_first_day() -> None:
    rows = tomllib.loads(files("costtrace.twilio").joinpath("sms_rates.toml").read_text())["rate"]
    for row in rows:
        assert row["source"].startswith("https://www.twilio.com/en-us/")
        assert row["effective_from"] <= row["checked_on"] <= date(2026, 11, 22)


@pytest.mark.parametrize(
    ("country", "number", "at", "price"),
    [
        ("DE", None, datetime(2026, 4, 1, tzinfo=UTC), "0.0712 EUR"),
        ("DE", None, datetime(2026, 9, 30, 23, 59, tzinfo=UTC), "0.0700000000000000000000000001 USD"),
        ("DE", None, NOVEMBER, "0.0712 EUR"),
        ("AT", None, NOVEMBER, "0.0712 EUR"),
        ("DE", NumberKind.SHORT_CODE, NOVEMBER, "0.05 USD"),
        ("DE", None, datetime(2025, 1, 1, tzinfo=UTC), "0.3 USD"),
        ("FR", None, NOVEMBER, "0.3 USD"),
        (None, None, NOVEMBER, "0.3 USD"),
        ("US", None, NOVEMBER, "0 USD"),
    ],
)
def test_of_your_own_rows_the_most_fitting_holds(
    own: SmsRates, country: str | None, number: NumberKind | None, at: datetime, price: str
) -> None:
    found = _rate(own, country, number=number, at=at)
    assert found is not None
    assert str(Money(found.price, found.currency)) == price


def test_what_your_own_rates_do_not_name_is_at_list_price(own: SmsRates) -> None:
    assert _price(_rate(own, "US", kind="mms")) == (Decimal("0.022"), "USD")


def test_a_row_that_has_ended_is_used_where_no_other_holds(tmp_path: Path) -> None:
    row = '[[rate]]\ncountry = "TH"\nkind = "sms"\ndirection = "outbound"\nprice = 0.03\n'
    rates = SmsRates.own(_written(tmp_path, row + "effective_until = 2026-01-31\n"))
    found = _rate(rates, "TH")
    assert found is not None
    assert found.ended(NOVEMBER.date())
    assert not found.ended(date(2026, 1, 31))


GOOD = '[[rate]]\ncountry = "DE"\nkind = "sms"\ndirection = "outbound"\nprice = 0.07\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (GOOD + "prise = 1", 6, "prise is not a known key of [[rate]]; known are "),
        (GOOD.replace('"DE"', '"Germany"'), 2, "country must be an ISO 3166 code such as 'DE', or '*', got 'Germany'"),
        (GOOD.replace('"DE"', "49"), 2, "country must be a text or a list of texts, got 49"),
        (GOOD.replace('"sms"', '"SMS"'), 3, "kind must be sms, mms, whatsapp, rcs or another channel's name, got 'SMS"),
        (GOOD.replace('"outbound"', '"out"'), 4, "direction must be among outbound, inbound, got 'out'"),
        (GOOD.replace("0.07", "-0.07"), 5, "price must be a price of zero or more, got Decimal('-0.07')"),
        (GOOD.replace("0.07", '"0.07"'), 5, "price must be a price of zero or more, got '0.07'"),
        (GOOD.replace("price = 0.07\n", ""), 1, "price is missing from this [[rate]]"),
        (GOOD.replace('kind = "sms"\n', ""), 1, "kind is missing from this [[rate]]"),
        (GOOD + 'currency = "dollars"', 6, "currency must be an ISO 4217 code such as 'USD', got 'dollars'"),
        (GOOD + 'number = "landline"', 6, "number must be among long_code, toll_free, short_code, sender_id, other, "),
        (GOOD + "effective_from = 2026-03-01\neffective_until = 2026-02-28", 7, "effective_until must not be before"),
        (GOOD + 'effective_from = "March"', 6, "effective_from must be a date such as 2026-03-01, got 'March'"),
        (GOOD + "carrier_fee = { low = 0.02, high = 0.01 }", 6, "high must not be below low, got 0.01"),
        (GOOD + "carrier_fee = { low = 0.02 }", 6, "high is missing from this [[rate.carrier_fee]]"),
        (GOOD + "carrier_fee = -1", 6, "carrier_fee must be a price of zero or more, got -1"),
        (GOOD + "\n" + GOOD, 7, "says the same messages as line 1: one of the two must go"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_file_line_and_key(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    file = _written(tmp_path, text)
    with pytest.raises(InvalidRates) as refused:
        SmsRates.own(file)
    assert str(refused.value).startswith(f"rates file {str(file)!r}, line {line}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("country = ", " is not TOML: "),
        ('version = "1"', " has no [[rate]] table"),
        ('[[adjust]]\nprovider = "openai"', ", line 1: adjust is not a known key"),
        ('rate = "cheap"', ", line 1: rate must be [[rate]] tables, got 'cheap'"),
    ],
)
def test_a_file_that_is_no_rates_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = _written(tmp_path, text)
    with pytest.raises(InvalidRates) as refused:
        SmsRates.own(file)
    assert str(refused.value).startswith(f"rates file {str(file)!r}{said}")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRates, match="cannot be read: No such file or directory"):
        SmsRates.own(tmp_path / "none.toml")
