"""Which message in Twilio's list is the SMS whose sending had no clear answer. Pure.

Twilio's list names neither our attempt nor our message. What both sides know is whom it went to (as a keyed hash, where
one is configured), how long it is and when it was asked for; that decides only where nothing else fits as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from costtrace.twilio.legs import Leg
from costtrace.twilio.reading import TwilioMessage

_BEFORE: Final = timedelta(minutes=1)
"""Twilio's clock may be behind ours."""
_AFTER: Final = timedelta(minutes=10)
"""How long after a request began the message of it may have been created."""

Hasher = Callable[[str], str | None]


def could_be(send: Leg, message: TwilioMessage, hasher: Hasher | None) -> bool:
    """Whether that message may be the one that was to be sent."""
    if message.is_inbound or not -_BEFORE <= message.created - send.started_at <= _AFTER:
        return False
    known = send.details
    length, media, to_hash = known.get("body_length"), known.get("num_media", 0), known.get("to_hash")
    if (length is not None and length != len(message.body)) or media != message.num_media:
        return False
    return to_hash is None or hasher is None or message.to is None or hasher(message.to) == to_hash


def matched(sends: Sequence[Leg], messages: Sequence[TwilioMessage], hasher: Hasher | None) -> Mapping[str, Leg]:
    """The sends by the SID of the message that each turned out to be; nothing where it could be more than one.

    To one number the nearest in time are taken for each other, one by one: texts of one length to one person are
    alike enough. Without a hash the receiver is not known, and only a message and a send that fit nobody else do.
    """
    pairs = [(send, message) for message in messages for send in sends if could_be(send, message, hasher)]
    found: dict[str, Leg] = {}
    taken: set[str] = set()
    for send, message in sorted(pairs, key=_apart):
        if message.sid in found or send.name in taken:
            continue
        to_known = hasher is not None and send.details.get("to_hash") is not None
        if to_known or _only(pairs, send, message):
            found[message.sid] = send
            taken.add(send.name)
    return found


def _apart(pair: tuple[Leg, TwilioMessage]) -> tuple[timedelta, str, str]:
    send, message = pair
    return abs(message.created - send.started_at), message.sid, send.name


def _only(pairs: Iterable[tuple[Leg, TwilioMessage]], send: Leg, message: TwilioMessage) -> bool:
    return sum(other is send or found is message for other, found in pairs) == 1
