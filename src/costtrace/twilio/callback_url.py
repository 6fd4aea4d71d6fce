"""The address that Twilio is to report a message's status to."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote_plus

from costtrace.errors import InvalidValue
from costtrace.twilio.webhooks import MESSAGE_UUID_KEY, SEND_KEY

_RETRY: Final = {"rc": "3", "rp": "ct,rt,5xx"}
"""Three more tries, also after a slow answer and a 5xx; without this Twilio repeats only what it could not connect."""
_ADDRESS: Final = re.compile(r"https?://[\x21-\x7e]+")
_CARRIED: Final = re.compile(r"[\x21-\x7e]{1,512}")


def callback_url(address: str, *, message_uuid: str, send_id: str) -> str:
    """The caller's address, naming the message and the attempt, and asking Twilio to try again when it fails.

    Query and fragment of the caller are kept as they are; what their fragment says of retries stands. Raises
    InvalidValue for what Twilio could not call, and for an address that names a message already.
    """
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        expected = "an absolute address such as https://example.com/sms/callback"
        raise InvalidValue("status_callback", str(address).rpartition("@")[2], expected)
    if not _CARRIED.fullmatch(message_uuid):
        raise InvalidValue("message_uuid", message_uuid, "printable ASCII without spaces: Twilio gives it back to us")
    before, _, fragment = address.partition("#")
    base, _, query = before.partition("?")
    for taken in (MESSAGE_UUID_KEY, SEND_KEY):
        if taken in _names(query):
            raise InvalidValue("status_callback", taken, f"an address whose query has no {taken!r} of its own")
    own = f"{MESSAGE_UUID_KEY}={quote(message_uuid, safe='')}&{SEND_KEY}={quote(send_id, safe='')}"
    kept = "&".join(part for part in (query, own) if part)
    return f"{base}?{kept}#{_with_retries(fragment)}"


def _names(query: str) -> frozenset[str]:
    return frozenset(unquote_plus(part.partition("=")[0]) for part in query.split("&"))


def _with_retries(fragment: str) -> str:
    said = {part.partition("=")[0] for part in fragment.split("&")}
    missing = [f"{key}={value}" for key, value in _RETRY.items() if key not in said]
    return "&".join(part for part in (fragment, *missing) if part)
