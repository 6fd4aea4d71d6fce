"""What arrives from Twilio without our own names in it: a status that another sender asked for, a message that came in.

The ledger may know a SID all the same, and two numbers say who talks with whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from costtrace.context import NOTHING
from costtrace.entry import Entry
from costtrace.errors import UnknownMessage
from costtrace.ledger import Ledger
from costtrace.twilio.entries import callback_entries, claimed_entry
from costtrace.twilio.envelope import Estimator, Hasher
from costtrace.twilio.estimates import estimate
from costtrace.twilio.legs import SMS
from costtrace.twilio.webhooks import InboundMessage, StatusCallback


def unattempted_entries(
    callback: StatusCallback,
    ledger: Ledger,
    *,
    now: datetime,
    hasher: Hasher | None = None,
    estimator: Estimator = estimate,
) -> Sequence[Entry] | None:
    """The entries of a callback whose address does not name the attempt; None where nobody knows its message.

    Its message is the one the ledger knows the SID by, or else the one its address names: then it is an SMS that
    another sender made part of that message. Raises what the ledger raises.
    """
    known = ledger.find(f"{SMS}/{callback.message_sid}")
    if known is not None:
        return callback_entries(callback, now=now, message_uuid=known.message_uuid)
    uuid = callback.message_uuid
    if uuid is None:
        return None
    try:
        context = ledger.message(uuid).context
    except UnknownMessage:
        context = NOTHING
    claimed = claimed_entry(callback, message_uuid=uuid, now=now, context=context, hasher=hasher, estimator=estimator)
    return claimed, *callback_entries(callback, now=now)


def parties(inbound: InboundMessage, hasher: Hasher | None) -> dict[str, str | None]:
    """User and thread where nobody names any: one user per number, one thread per pair of numbers."""
    if hasher is None:
        return {}
    user = hasher(inbound.from_)
    return {"user_id": user, "thread_id": f"{user}-{hasher(inbound.to)}"}
