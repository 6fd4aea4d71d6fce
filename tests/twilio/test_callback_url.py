"""The address of the status callback: the caller's own, with two names and a wish for retries added."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.twilio.callback_url import callback_url

OWN = "message_uuid=u-1&send=s-1"
RETRY = "rc=3&rp=ct,rt,5xx"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://a.example/cb", f"https://a.example/cb?{OWN}#{RETRY}"),
        ("https://a.example", f"https://a.example?{OWN}#{RETRY}"),
        ("https://a.example/cb?", f"https://a.example/cb?{OWN}#{RETRY}"),
        ("https://a.example/cb?b=%2F&a=x+y", f"https://a.example/cb?b=%2F&a=x+y&{OWN}#{RETRY}"),
        ("https://a.example/cb#ct=2000", f"https://a.example/cb?{OWN}#ct=2000&{RETRY}"),
        ("https://a.example/cb?x=1#rc=1", f"https://a.example/cb?x=1&{OWN}#rc=1&rp=ct,rt,5xx"),
        ("http://127.0.0.1:8000/cb#rp=all&rc=0", f"http://127.0.0.1:8000/cb?{OWN}#rp=all&rc=0"),
    ],
)
def test_what_the_caller_wrote_is_kept(address: str, expected: str) -> None:
    assert callback_url(address, message_uuid="u-1", send_id="s-1") == expected


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40))
def test_every_uuid_that_can_be_carried_comes_back(uuid: str) -> None:
    url = callback_url("https://a.example/cb?x=1", message_uuid=uuid, send_id="s-1")
    assert parse_qsl(urlsplit(url).query) == [("x", "1"), ("message_uuid", uuid), ("send", "s-1")]
    assert urlsplit(url).fragment == RETRY


@pytest.mark.parametrize("query", ["message_uuid=x", "a=1&send=2", "message%5Fuuid=x"])
def test_an_address_that_names_a_message_already_is_refused(query: str) -> None:
    with pytest.raises(InvalidValue, match="status_callback"):
        callback_url(f"https://a.example/cb?{query}", message_uuid="u-1", send_id="s-1")


@pytest.mark.parametrize("address", ["/sms/callback", "ftp://a.example", "https://a.example/a b", "", None, 7])
def test_what_twilio_could_not_call_is_refused(address: object) -> None:
    with pytest.raises(InvalidValue, match="absolute address"):
        callback_url(address, message_uuid="u-1", send_id="s-1")  # type: ignore[arg-type]  # what the test is about


def test_a_refused_address_is_named_without_its_password() -> None:
    with pytest.raises(InvalidValue) as caught:
        callback_url("ftp://user:s3cret@a.example/cb", message_uuid="u-1", send_id="s-1")
    assert "s3cret" not in str(caught.value)


def test_a_uuid_that_could_not_come_back_is_refused() -> None:
    with pytest.raises(InvalidValue, match="message_uuid"):
        callback_url("https://a.example/cb", message_uuid="chat 42", send_id="s-1")
