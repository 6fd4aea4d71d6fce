"""One SMS for one message, however often the job that sends it runs.

The record of an attempt is in the ledger before Twilio is asked, under a name that follows from the message: the first
to write it sends, and everybody else sees that it was sent. An attempt of which nobody knows what became is never made
again; one that Twilio turned down, or that never reached it, bought nothing and may be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from costtrace.errors import UnknownMessage
from costtrace.ledger import Ledger
from costtrace.twilio.client import fault_of
from costtrace.twilio.legs import legs
from costtrace.twilio.sender import AlreadySent, SendUnknown, SmsSender

_BAD_REQUEST: Final = 400
_log: Final = logging.getLogger("costtrace")


class Sending(StrEnum):
    """What became of it."""

    SENT = "sent"
    ALREADY_SENT = "already_sent"
    """By an earlier run of the same job."""
    UNKNOWN = "unknown"
    """Twilio's answer was lost; a reconciliation finds out, and nothing is sent again."""
    REFUSED = "refused"
    """Twilio does not send such a message, now or later: the number is none, or its owner has opted out."""


def send_once(
    sender: SmsSender, ledger: Ledger, message_uuid: str, *, numbers: Callable[[], Mapping[str, str]], **message: Any
) -> Sending:
    """Send the message of that uuid unless that was done; `message` is what `SmsSender.send` takes.

    `numbers` says to whom and from whom, and is asked only if something is to be sent. Raises what the ledger and
    `numbers` raise, and what the SDK raises where another try may succeed.
    """
    attempt = _next_attempt(ledger, message_uuid)
    if attempt is None:
        return Sending.ALREADY_SENT
    addressed: Mapping[str, Any] = numbers()
    try:
        sender.send(message_uuid=message_uuid, send_id=f"{message_uuid}-{attempt}", **addressed, **message)
    except AlreadySent:
        return Sending.ALREADY_SENT
    except SendUnknown as error:
        _log.error("%s", error)
        return Sending.UNKNOWN
    except Exception as error:
        if getattr(error, "status", None) != _BAD_REQUEST:
            raise
        _log.warning("Twilio refuses message %s: %s", message_uuid, fault_of(error))
        return Sending.REFUSED
    return Sending.SENT


def _next_attempt(ledger: Ledger, message_uuid: str) -> int | None:
    """The number of the attempt to make now; None where one was made that was not turned down."""
    try:
        made = legs(ledger.message(message_uuid))
    except UnknownMessage:
        return 1
    return None if any(leg.refusal is None for leg in made) else len(made) + 1
