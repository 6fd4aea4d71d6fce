"""Addresses: channel, kind of number and country of each; hashes that need a key; no number in any error."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.twilio import Address, NumberHasher, NumberKind, parse_address

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("text", "channel", "kind", "country"),
    [
        ("+14155550100", "sms", "long_code", "US"),
        ("+15005550006", "sms", "long_code", "US"),
        ("+14165550100", "sms", "long_code", "CA"),
        ("+17875550100", "sms", "long_code", "PR"),
        ("+18005550100", "sms", "toll_free", "US"),
        ("+447400123456", "sms", "long_code", "GB"),
        ("+4915112345678", "sms", "long_code", "DE"),
        ("+77012345678", "sms", "long_code", "KZ"),
        ("+881612345678", "sms", "long_code", None),
        ("+999123456789", "sms", "long_code", None),
        ("whatsapp:+4915112345678", "whatsapp", "long_code", "DE"),
        ("WhatsApp:+4915112345678", "whatsapp", "long_code", "DE"),
        ("rcs:+33612345678", "rcs", "long_code", "FR"),
        ("rcs:acme_agent", "rcs", "other", None),
        ("messenger:1234567890", "messenger", "other", None),
        ("55555", "sms", "short_code", None),
        ("MYSHOP", "sms", "sender_id", None),
        ("My Shop 24", "sms", "sender_id", None),
    ],
)
def test_an_address_says_its_channel_its_kind_and_its_country(
    text: str, channel: str, kind: str, country: str | None
) -> None:
    address = parse_address(text)
    assert (address.channel, address.number_kind, address.country) == (channel, kind, country)
    assert address.assumption is None


def test_a_number_in_no_known_range_is_taken_for_one_of_the_main_country_and_says_so() -> None:
    assert parse_address("+15555550100") == Address(
        channel="sms",
        identifier="+15555550100",
        number_kind=NumberKind.LONG_CODE,
        country="US",
        assumption="country=US, the main country of +1",
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "+", "4165550177", "+04165550177", "+1416", "+1416555017712345", "+1 416 555 0177", "(416) 555-0177"),
        *("12", "123456789", "twelve letters", "whatsapp:4165550177", "whatsapp:", "+14165550177\n", "+١٤١٦٥٥٥٠١٧٧"),
    ],
)
def test_what_is_no_address_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_address(text, "from_")
    assert refused.value.field == "from_"
    assert str(refused.value).endswith(f", got '{len(text)} characters'")
    assert "416" not in str(refused.value)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidValue, match="to: expected an address written as text, got 'int'"):
        parse_address(14155550100)


@given(st.text(max_size=30) | st.from_regex(r"\A\+[0-9]{1,16}\Z"))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidValue):
        assert text.endswith(parse_address(text).identifier)


def test_media_make_an_sms_an_mms_and_leave_other_channels_alone() -> None:
    assert [parse_address("+14155550100").kind(media) for media in (0, 1)] == ["sms", "mms"]
    assert [parse_address("whatsapp:+14155550100").kind(media) for media in (0, 1)] == ["whatsapp", "whatsapp"]


def test_no_number_stands_in_the_text_of_an_address() -> None:
    assert "4155550100" not in repr(parse_address("whatsapp:+14155550100"))


def test_a_hash_is_hmac_sha_256_of_the_number_under_the_key() -> None:
    expected = hmac.new(KEY, b"+14155550100", hashlib.sha256).hexdigest()
    hasher = NumberHasher(KEY)
    assert hasher("+14155550100") == expected
    assert hasher("whatsapp:+14155550100") == expected
    assert hasher("+14155550101") != expected
    assert NumberHasher(KEY[::-1])("+14155550100") != expected
    assert hasher(None) is None


@pytest.mark.parametrize("key", [b"", b"fifteen bytes !", "a text of more than sixteen characters"])
def test_a_key_that_hides_nothing_is_refused_without_being_quoted(key: bytes | str) -> None:
    with pytest.raises(InvalidValue, match="number hash key: expected at least 16 random bytes") as refused:
        NumberHasher(key)  # type: ignore[arg-type]  # what the test is about
    assert not key or str(key)[2:-1] not in str(refused.value)


def test_a_key_stands_in_no_text() -> None:
    assert repr(NumberHasher(b"sixteen secrets!")) == "NumberHasher()"


def test_without_phonenumbers_the_error_names_the_extra() -> None:
    blocked = """
import sys
sys.modules["phonenumbers"] = None
from costtrace.errors import MissingExtra
from costtrace.twilio import parse_address
try:
    parse_address("+14155550100")
except MissingExtra as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=True)
    assert said.stdout == (
        "the country of a number needs the package 'phonenumberslite': pip install 'langchain-costtrace[twilio]'\n"
    )
