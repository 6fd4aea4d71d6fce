"""What a message is expected to cost: the working in the open, and no amount where no rate is known."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.money import Money
from costtrace.quote import Quote, QuoteLine, QuoteStatus
from costtrace.twilio import CarrierFee, SmsRates, estimate
from costtrace.twilio.estimates import Estimate

NOVEMBER = datetime(2026, 11, 22, 12, tzinfo=UTC)
US = "+14155550100"
TOLL_FREE = "+18005550100"

OWN = """
[[rate]]
country = "US"
kind = "sms"
direction = "outbound"
price = 0.007
carrier_fee = { low = 0.003, high = 0.0045 }
source = "contract of March"
effective_until = 2026-10-31
"""


def _estimate(
    body: str = "hello",
    to: str = US,
    *,
    from_: str | None = None,
    media: int = 0,
    smart_encoding: bool = False,
    direction: str = "outbound",
    at: datetime = NOVEMBER,
    rates: SmsRates | None = None,
) -> Estimate:
    return estimate(
        body,
        to,
        from_=from_,
        media=media,
        smart_encoding=smart_encoding,
        direction=direction,
        at=at,
        rates=rates,
    )


@pytest.fixture
def own(tmp_path: Path) -> SmsRates:
    file = tmp_path / "contract.toml"
    file.write_text(OWN, encoding="utf-8")
    return SmsRates.own(file)


def test_an_sms_costs_its_segments_times_the_countrys_rate() -> None:
    found = _estimate("a" * 159 + "`")
    assert (found.kind, found.country, found.encoding, found.segments) == ("sms", "US", "UCS-2", 3)
    assert [each.name for each in found.forces_ucs2] == ["GRAVE ACCENT"]
    assert found.rate == Money("0.0083")
    assert found.amount == Money("0.0249")  # 3 x 0.0083


def test_smart_encoding_makes_one_segment_of_three() -> None:
    assert _estimate("a" * 159 + "`", smart_encoding=True).amount == Money("0.0083")


@pytest.mark.parametrize(
    ("to", "media", "direction", "kind", "amount"),
    [
        (US, 1, "outbound", "mms", "0.022"),
        (US, 10, "outbound", "mms", "0.022"),
        (US, 1, "inbound", "mms", "0.0165"),
        (TOLL_FREE, 1, "inbound", "mms", "0.02"),
        (US, 0, "inbound", "sms", "0.0166"),
        ("+447400123456", 0, "outbound", "sms", "0.112"),
        ("whatsapp:+6281234567890", 0, "outbound", "whatsapp", "0.005"),
        ("whatsapp:+14155550100", 3, "inbound", "whatsapp", "0.005"),
    ],
)
def test_an_sms_is_billed_by_the_segment_and_all_else_by_the_message(
    to: str, media: int, direction: str, kind: str, amount: str
) -> None:
    found = _estimate("a" * 161, to, media=media, direction=direction)
    assert (found.kind, found.amount) == (kind, Money(amount))
    assert found.segments == (2 if kind == "sms" else 1)


@pytest.mark.parametrize(
    ("to", "media", "at", "reason"),
    [
        ("+66812345678", 0, NOVEMBER, "no rate for outbound sms to TH on 2026-11-22; name yours in a rates file"),
        ("+4915112345678", 1, NOVEMBER, "no rate for outbound mms to DE on 2026-11-22; name yours in a rates file"),
        ("rcs:+14155550100", 0, NOVEMBER, "no rate for outbound rcs to US on 2026-11-22; name yours in a rates file"),
        ("+881612345678", 0, NOVEMBER, "no rate for outbound sms to a number of no known country on 2026-11-22; "),
        (US, 0, datetime(2020, 1, 1, tzinfo=UTC), "no rate for outbound sms to US on 2020-01-01; "),
    ],
)
def test_without_a_rate_there_is_no_amount_but_a_reason(to: str, media: int, at: datetime, reason: str) -> None:
    found = _estimate(to=to, media=media, at=at)
    assert (found.rate, found.amount, found.carrier_fee, found.basis) == (None, None, None, None)
    assert found.reason is not None
    assert found.reason.startswith(reason)
    assert found.quote() == Quote(status=QuoteStatus.PENDING, amount=None, reason=found.reason)


def test_the_quote_is_pending_and_shows_its_working() -> None:
    quote = _estimate("a" * 161, from_="+14155550199").quote()
    assert (quote.status, quote.amount, quote.currency) == (QuoteStatus.PENDING, Decimal("0.0166"), "USD")
    assert quote.lines == (QuoteLine("sms_segment", 2, Decimal("0.0083"), 1),)
    assert quote.assumptions == ("left_out=US carriers charge per segment as well",)
    assert (quote.low, quote.high) == (None, None)
    assert not quote.is_actual
    assert quote.basis is not None
    assert (quote.basis.provider, quote.basis.model, quote.basis.rule) == ("twilio", "sms outbound US", "list price")
    assert (quote.basis.source, quote.basis.url) == (
        "sms_rates.toml",
        "https://www.twilio.com/en-us/sms/pricing/us",
    )
    assert (quote.basis.effective_from, quote.basis.checked_on) == (date(2026, 2, 4), date(2026, 11, 9))
    assert len(quote.basis.data_hash) == 16
    assert quote.basis.rates["sms_segment"].startswith("sms_rates.toml, line ")
    assert Quote.from_dict(quote.to_dict()) == quote


def test_your_own_rate_wins_and_carrier_fees_stand_apart(own: SmsRates) -> None:
    found = _estimate("a" * 161, rates=own, at=datetime(2026, 10, 31, tzinfo=UTC))
    assert found.amount == Money("0.014")  # 2 x 0.007
    assert found.carrier_fee == CarrierFee(low=Money("0.006"), high=Money("0.009"))  # 2 x 0.003, 2 x 0.0045
    assert found.assumptions == ()
    quote = found.quote()
    assert (quote.amount, quote.low, quote.high) == (Decimal("0.014"), Decimal("0.014"), Decimal("0.023"))
    assert quote.basis is not None
    assert (quote.basis.source, quote.basis.rule, quote.basis.url) == ("contract of March", "own rates", None)


def test_a_rate_past_its_last_day_is_used_and_said(own: SmsRates) -> None:
    found = _estimate(rates=own)
    assert found.amount == Money("0.007")
    assert found.assumptions == ("rate of contract of March held until 2026-10-31",)


def test_an_assumed_country_is_said_where_the_rate_depends_on_it() -> None:
    assert _estimate(to="+15555550100").assumptions == (
        "country=US, the main country of +1",
        "left_out=US carriers charge per segment as well",
    )
    assert _estimate(to="whatsapp:+15555550100").assumptions == ("left_out=Meta charges for templates as well",)


def test_a_message_to_your_short_code_is_priced_in_the_senders_country() -> None:
    found = _estimate(to="55555", from_=US, direction="inbound")
    assert (found.country, found.amount) == ("US", Money("0.0083"))
    assert found.assumptions[0] == "country=US, the sender's: a short code works in one country only"
    assert _estimate(to="55555", direction="inbound").amount is None


def test_whoever_writes_to_us_may_bear_any_name_but_we_may_not() -> None:
    assert _estimate(from_="Müller & Söhne GmbH", direction="inbound").amount == Money("0.0083")
    with pytest.raises(InvalidValue, match="from_: expected an E"):
        _estimate(from_="Müller & Söhne GmbH")


def test_now_is_the_moment_where_none_is_named() -> None:
    before = datetime.now(UTC)
    assert before <= estimate("hello", US).at <= datetime.now(UTC)


@pytest.mark.parametrize("media", [-1, True, 1.0, "1"])
def test_media_that_are_no_count_are_refused(media: object) -> None:
    with pytest.raises(InvalidValue, match="media: expected"):
        estimate("hello", US, media=media)  # type: ignore[arg-type]  # what the test is about


def test_a_direction_that_is_none_and_a_moment_without_a_zone_are_refused() -> None:
    with pytest.raises(InvalidValue, match="direction: expected outbound or inbound, got 'out'"):
        estimate("hello", US, direction="out")
    with pytest.raises(InvalidValue, match="at: expected a datetime with a time zone"):
        estimate("hello", US, at=datetime(2026, 11, 22))  # noqa: DTZ001 - what the test is about


@given(st.text(min_size=1, max_size=700), st.integers(0, 3), st.sampled_from(["outbound", "inbound"]))
def test_an_amount_is_the_sum_of_its_lines_whatever_the_text(body: str, media: int, direction: str) -> None:
    found = _estimate(body, media=media, direction=direction)
    quote = found.quote()
    assert quote.amount == sum(line.subtotal for line in quote.lines)
    assert found.amount == (None if found.rate is None else found.rate * found.quantity)


def test_neither_body_nor_numbers_stand_in_the_quote() -> None:
    said = str(_estimate("planted \u2019 body", to="+14155550123", from_="+14155550177").quote().to_dict())
    assert not [
        planted for planted in ("planted", "\u2019", "QUOTATION", "4155550123", "4155550177") if planted in said
    ]
