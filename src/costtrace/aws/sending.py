"""One SMS for one message, however often the job that sends it runs.

The record of an attempt is in the ledger before Twilio is asked, under a name that follows from the message: the first
to write it sends, and everybody else sees that it was sent. An attempt of which nobody knows what became is never made
again; one that Twilio turned down, or that never reached it, bought nothing and may be.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from costtrace.errors import UnknownMessage
from costtrace.ledger import Ledger
from costtrace.twilio.client import fault_of
from costtrace.twilio.legs import Leg, legs
from costtrace.twilio.outcomes import AlreadySent, SendUnknown
from costtrace.twilio.sender import SmsSender

_BAD_REQUEST: Final = 400
_log: Final = logging.getLogger("costtrace")


class Sending(StrEnum):
    """What became of it."""

    SENT = "sent"
    ALREADY_SENT = "already_sent"
    """By an earlier run of the same job: Twilio has named its SID."""
    UNKNOWN = "unknown"
    """Twilio's answer was lost, or whoever began to send it was killed, or is at it just now. Nothing is sent again;
    a status callback tells soon, or else a reconciliation, or a person has to look.
    """
    REFUSED = "refused"
    """Twilio does not send such a message, now or later: the number is none, or its owner has opted out."""


def send_once(
    sender: SmsSender, ledger: Ledger, message_uuid: str, *, numbers: Callable[[], Mapping[str, str]], **message: Any
) -> Sending:
    """Send the message of that uuid unless that was done; `message` is what `SmsSender.send` takes.

    `numbers` says to whom and from whom, and is asked only if something is to be sent. Raises what the ledger and
    `numbers` raise, and what the SDK raises where another try may succeed.
    """
    made = _made(ledger, message_uuid)
    standing = [leg for leg in made if leg.refusal is None]
    if standing:
        return _became(standing)
    addressed: Mapping[str, Any] = numbers()
    try:
        sender.send(message_uuid=message_uuid, send_id=f"{message_uuid}-{len(made) + 1}", **addressed, **message)
    except AlreadySent as error:  # by another process, a moment ago
        _log.info("%s", error)
        return Sending.UNKNOWN
    except SendUnknown as error:
        _log.error("%s", error)
        return Sending.UNKNOWN
    except Exception as error:
        if getattr(error, "status", None) != _BAD_REQUEST:
            raise
        _log.warning("Twilio refuses message %s: %s", message_uuid, fault_of(error))
        return Sending.REFUSED
    return Sending.SENT


def _made(ledger: Ledger, message_uuid: str) -> tuple[Leg, ...]:
    """The attempts so far."""
    try:
        return legs(ledger.message(message_uuid))
    except UnknownMessage:
        return ()


def _became(standing: Sequence[Leg]) -> Sending:
    """What became of the attempts that were not turned down."""
    if any(leg.sid is not None for leg in standing):
        return Sending.ALREADY_SENT
    _log.error("attempt %s was begun, and nobody knows whether Twilio sent it; it is not made again", standing[0].name)
    return Sending.UNKNOWN
