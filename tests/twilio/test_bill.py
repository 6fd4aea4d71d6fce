"""Our sums beside Twilio's bill, and what they say of carriers' fees."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from costtrace.messages import Amounts
from costtrace.money import Money
from costtrace.twilio.bill import Bill, BillLine, FeesIncluded

MONDAY, TUESDAY = date(2026, 11, 16), date(2026, 11, 17)
CENTS = st.integers(min_value=1, max_value=10**6).map(lambda number: Decimal(number).scaleb(-5))


def usd(text: str) -> Amounts:
    return Amounts({"USD": Decimal(text)})


def test_each_category_and_day_has_its_own_drift() -> None:
    bill = Bill()
    bill.record("sms", MONDAY, Money("0.0083"), inbound=False)
    bill.record("sms", MONDAY, Money("0.0083"), inbound=False)
    bill.record("sms", MONDAY, Money("0.0083"), inbound=True)
    bill.bill("sms-outbound", MONDAY, Money("0.0249"))
    bill.bill("sms-inbound", MONDAY, Money("0.0083"))
    bill.bill("mms-outbound", TUESDAY, Money("0.022"))
    bill.bill("mms-inbound", TUESDAY, Money("0"))
    assert [(line.day, line.category, line.messages, line.drift) for line in bill.lines] == [
        (MONDAY, "sms-inbound", 1, Amounts()),
        (MONDAY, "sms-outbound", 2, usd("-0.0083")),
        (TUESDAY, "mms-outbound", 0, usd("-0.022")),
    ]


def test_a_sum_without_all_prices_has_no_drift() -> None:
    bill = Bill()
    bill.record("sms", MONDAY, Money("0.0083"), inbound=False)
    bill.record("sms", MONDAY, None, inbound=False)
    bill.bill("sms-outbound", MONDAY, Money("0.0166"))
    assert bill.lines == (
        BillLine(
            category="sms-outbound",
            day=MONDAY,
            messages=2,
            unpriced=1,
            recorded=usd("0.0083"),
            billed=usd("0.0166"),
        ),
    )
    assert bill.lines[0].drift is None
    assert bill.lines[0].to_dict()["drift"] is None


def test_another_currency_is_drift_and_never_converted() -> None:
    bill = Bill()
    bill.record("sms", MONDAY, Money("0.07", "EUR"), inbound=False)
    bill.bill("sms-outbound", MONDAY, Money("0.08"))
    assert bill.lines[0].drift == Amounts({"EUR": Decimal("0.07"), "USD": Decimal("-0.08")})


def test_a_kind_without_a_category_of_its_own_is_left_out() -> None:
    bill = Bill()
    assert not bill.record("rcs", MONDAY, Money("0.01"), inbound=False)
    assert bill.record("whatsapp", MONDAY, Money("0.005"), inbound=True)
    assert [line.category for line in bill.lines] == ["channels-whatsapp-inbound"]


def test_the_bill_is_asked_for_whatsapp_only_where_there_was_some() -> None:
    bill = Bill()
    always = ("sms-inbound", "sms-outbound", "mms-inbound", "mms-outbound")
    its_fees = ("sms-messages-carrierfees", "mms-messages-carrierfees")
    assert list(bill.categories) == [*always, *its_fees]
    bill.record("whatsapp", MONDAY, Money("0.005"), inbound=True)
    assert list(bill.categories) == [
        *always,
        "channels-whatsapp-inbound",
        "channels-whatsapp-outbound",
        *its_fees,
    ]


def test_a_category_that_the_account_does_not_have_is_left_out() -> None:
    bill = Bill()
    bill.record("whatsapp", MONDAY, Money("0.005"), inbound=True)
    bill.record("sms", MONDAY, Money("0.0083"), inbound=True)
    bill.leave_out("channels-whatsapp-inbound")
    assert [line.category for line in bill.lines] == ["sms-inbound"]


def fees(
    *, price: str, unpriced: bool = False, fee: str = "0.003", day: date = MONDAY, bill: Bill | None = None
) -> Bill:
    """Two messages: one out for that price where the bill says 0.0083 and the fee, one in for 0.0075."""
    bill = bill or Bill()
    bill.record("sms", day, None if unpriced else Money(price), inbound=False)
    bill.record("sms", day, Money("0.0075"), inbound=True)
    bill.bill("sms-outbound", day, Money("0.0083"))
    bill.bill("sms-inbound", day, Money("0.0075"))
    bill.bill("sms-messages-carrierfees", day, Money(fee))
    return bill


def test_prices_that_add_up_to_the_bill_without_its_fees_do_not_hold_them() -> None:
    assert fees(price="0.0083").fees_included is FeesIncluded.NO


def test_prices_that_add_up_to_the_bill_with_its_fees_hold_them() -> None:
    assert fees(price="0.0113").fees_included is FeesIncluded.YES


def test_what_adds_up_to_neither_or_has_no_fees_or_no_prices_tells_nothing() -> None:
    assert fees(price="0.01130001").fees_included is FeesIncluded.UNKNOWN
    assert fees(price="0.0083", fee="0").fees_included is FeesIncluded.UNKNOWN
    assert fees(price="0.0083", unpriced=True).fees_included is FeesIncluded.UNKNOWN
    assert Bill().fees_included is FeesIncluded.UNKNOWN


def test_days_that_contradict_each_other_tell_nothing_and_one_that_cannot_tell_does_not_hinder() -> None:
    both = fees(price="0.0083")
    assert fees(price="9", day=TUESDAY, bill=both).fees_included is FeesIncluded.NO
    contradicted = fees(price="0.0083")
    assert fees(price="0.0113", day=TUESDAY, bill=contradicted).fees_included is FeesIncluded.UNKNOWN


@given(st.lists(CENTS, min_size=1, max_size=20), CENTS, st.booleans())
def test_the_verdict_holds_for_any_amounts(prices: list[Decimal], fee: Decimal, included: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
    bill = Bill()
    for number, price in enumerate(prices):
        held = fee if included and number == 0 else Decimal(0)
        bill.record("sms", MONDAY, Money(price + held), inbound=bool(number % 2))
    for inbound, category in ((False, "sms-outbound"), (True, "sms-inbound")):
        own = sum((price for number, price in enumerate(prices) if bool(number % 2) is inbound), Decimal(0))
        bill.bill(category, MONDAY, Money(own))
    bill.bill("sms-messages-carrierfees", MONDAY, Money(fee))
    assert bill.fees_included is (FeesIncluded.YES if included else FeesIncluded.NO)
