"""The entries of an SMS: what happened to it, as values in and an `Entry` out. No clock, no ledger, no Twilio.

What Twilio says of the price later is in `costtrace.twilio.revisions`; until then the estimate stands with the first
entry of an SMS and waits there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from costtrace.context import NOTHING, Context
from costtrace.entry import Entry, Standing
from costtrace.money import ZERO, Money
from costtrace.quote import Quote, QuoteStatus
from costtrace.twilio import delivery
from costtrace.twilio.envelope import INBOUND, OUTBOUND, Envelope, Estimator, Hasher, envelope
from costtrace.twilio.estimates import PROVIDER, estimate
from costtrace.twilio.legs import END, IDENTIFIED, SEND, SMS, STATUS
from costtrace.twilio.revisions import taken_away
from costtrace.twilio.webhooks import InboundMessage, StatusCallback

_SENT: Final = Context(direction=OUTBOUND)
"""What a status callback says of its message: only what was sent has one."""
_FOUND: Final = UUID("b0c2f1f4-3f43-5c5e-9d0e-5f1a6f0f7a11")


def message_uuid_of(sid: str) -> str:
    """The uuid of the message that an SMS nobody here sent makes: the same for the same SID, wherever it is found."""
    return str(uuid5(_FOUND, sid))


def send_entry(
    send_id: str,
    *,
    message_uuid: str,
    context: Context,
    kept: Envelope,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """An SMS that is about to be sent; its estimate waits here for the price."""
    return Entry(
        entry_id=f"{SEND}/{send_id}",
        message_uuid=message_uuid,
        kind=SEND,
        status=delivery.CREATED,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        model=kept.address_kind,
        quote=kept.quote,
        estimate=kept.quote.money,
        context=context,
        details={"send_id": send_id, **kept.details(), **(details or {})},
    )


def refused_entry(send: Entry, *, error: str, now: datetime) -> Entry:
    """The request for that SMS was turned down, or never left: nothing was bought. `error` is class and code."""
    reason = f"not sent: {error}"
    return Entry(
        entry_id=f"{END}/{send.details['send_id']}",
        message_uuid=send.message_uuid,
        kind=END,
        status=delivery.REJECTED,
        occurred_at=send.occurred_at,
        recorded_at=now,
        provider=PROVIDER,
        model=send.model,
        quote=Quote(status=QuoteStatus.NOT_BILLED, amount=ZERO, reason=reason),
        cost=Money(0),
        estimate=taken_away(send),
        replaces=Standing.PENDING,
        context=send.context,
        error=error,
        details={"send_id": send.details["send_id"], "corrects": send.entry_id},
    )


def unknown_entry(send: Entry, *, error: str, now: datetime) -> Entry:
    """Nobody knows whether Twilio took that SMS. It goes on waiting for a price. `error` is class and code."""
    return Entry(
        entry_id=f"{END}/{send.details['send_id']}",
        message_uuid=send.message_uuid,
        kind=END,
        status=delivery.SEND_UNKNOWN,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        model=send.model,
        context=send.context,
        error=error,
        details={"send_id": send.details["send_id"]},
    )


def bound_entry(
    sid: str,
    *,
    send_id: str,
    message_uuid: str,
    now: datetime,
    context: Context = NOTHING,
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """The SMS of that attempt is the one that Twilio calls `sid`. It carries no money and no status."""
    return Entry(
        entry_id=f"{SMS}/{sid}",
        message_uuid=message_uuid,
        kind=SMS,
        status=IDENTIFIED,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        source_id=sid,
        context=context,
        details={"send_id": send_id, **(details or {})},
    )


def inbound_entry(
    value: InboundMessage,
    *,
    now: datetime,
    context: Context = NOTHING,
    hasher: Hasher | None = None,
    estimator: Estimator = estimate,
    message_uuid: str | None = None,
) -> Entry:
    """A message that came in; what it is expected to cost waits here for the price.

    Its uuid follows from its SID, unless one is given.
    """
    kept = envelope(
        to=value.to,
        from_=value.from_,
        body=value.body,
        num_media=value.num_media,
        direction=INBOUND,
        at=now,
        estimator=estimator,
        hasher=hasher,
    )
    return found_entry(
        value.message_sid,
        "received",
        direction=INBOUND,
        kept=kept,
        context=context,
        source=delivery.WEBHOOK,
        occurred_at=now,
        now=now,
        message_uuid=message_uuid,
        details={
            "account_sid": value.account_sid,
            "messaging_service_sid": value.messaging_service_sid,
            "num_segments": value.num_segments,
            "from_country": value.from_country,
            "opt_out_type": value.opt_out_type,
        },
    )


def found_entry(
    sid: str,
    status: str,
    *,
    direction: str,
    kept: Envelope,
    source: str,
    occurred_at: datetime,
    now: datetime,
    context: Context = NOTHING,
    message_uuid: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """An SMS that no attempt of ours is known for: it came in, was found in Twilio's list, or a callback names it.

    `source` is ``webhook``, ``fetch`` or ``callback``; `occurred_at` when Twilio sent or received it. Its uuid follows
    from its SID, unless one is given.
    """
    known = {name: value for name, value in (details or {}).items() if value is not None}
    role = "user" if direction == INBOUND else None
    return Entry(
        entry_id=f"{SMS}/{sid}",
        message_uuid=message_uuid or message_uuid_of(sid),
        kind=SMS,
        status=status,
        occurred_at=occurred_at,
        recorded_at=now,
        provider=PROVIDER,
        model=kept.address_kind,
        source_id=sid,
        quote=kept.quote,
        estimate=kept.quote.money,
        context=Context(direction=direction).over(context).over(Context(channel=channel_of(kept), role=role)),
        details={**kept.details(), "source": source, **known},
    )


def channel_of(kept: Envelope) -> str:
    """The channel of a message, for its context: MMS travel as SMS do."""
    return "sms" if kept.address_kind == "mms" else kept.address_kind


def status_entry(
    sid: str,
    status: str,
    *,
    message_uuid: str,
    source: str,
    now: datetime,
    context: Context = NOTHING,
    send_id: str | None = None,
    error_code: int | None = None,
    raw_dlr_done_date: str | None = None,
) -> Entry:
    """One delivery status. `source` is ``create``, ``callback`` or ``fetch``; a fetch has an entry of its own.

    Repeated, it is the same entry: of one status from one kind of source the first report is kept.
    """
    known = {"send_id": send_id, "error_code": error_code, "raw_dlr_done_date": raw_dlr_done_date}
    suffix = f"/{source}" if source == delivery.FETCH else ""
    return Entry(
        entry_id=f"{STATUS}/{sid}/{status}{suffix}",
        message_uuid=message_uuid,
        kind=STATUS,
        status=status,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        source_id=sid,
        context=context,
        details={"source": source, **{name: value for name, value in known.items() if value is not None}},
    )


def callback_entries(
    callback: StatusCallback,
    *,
    now: datetime,
    message_uuid: str | None = None,
    context: Context = _SENT,
    identified: bool = False,
) -> tuple[Entry, ...]:
    """What a status callback says: the status, and which SID the attempt has, where the address names the attempt.

    `message_uuid` is for a callback whose address does not name the attempt: the message that the ledger knows its SID
    by (``sms/<MessageSid>``), whatever the address says. Without, it is the one the address names, or else the one
    whose uuid follows from the SID. `identified` says that the ledger has the attempt's SID already.
    """
    uuid = message_uuid or callback.message_uuid or message_uuid_of(callback.message_sid)
    status = status_entry(
        callback.message_sid,
        callback.status,
        message_uuid=uuid,
        source=delivery.CALLBACK,
        now=now,
        context=context,
        send_id=callback.send_id,
        error_code=callback.error_code,
        raw_dlr_done_date=callback.raw_dlr_done_date,
    )
    if identified or callback.message_uuid is None or callback.send_id is None:
        return (status,)
    details = {"account_sid": callback.account_sid, "messaging_service_sid": callback.messaging_service_sid}
    bound = bound_entry(
        callback.message_sid,
        send_id=callback.send_id,
        message_uuid=uuid,
        now=now,
        context=context,
        details={name: value for name, value in details.items() if value is not None},
    )
    return bound, status


def claimed_entry(
    callback: StatusCallback,
    *,
    message_uuid: str,
    now: datetime,
    context: Context = NOTHING,
    hasher: Hasher | None = None,
    estimator: Estimator = estimate,
) -> Entry:
    """An SMS that another sender made part of that message, by the address it gave to Twilio; it waits for its price.

    Its text is not known here, so that mostly nothing can be estimated.
    """
    kept = envelope(
        to=callback.to or "",
        from_=callback.from_,
        body=None,
        num_media=int(callback.message_sid.startswith("MM")),
        at=now,
        estimator=estimator,
        hasher=None if callback.to is None else hasher,
    )
    return found_entry(
        callback.message_sid,
        IDENTIFIED,
        direction=OUTBOUND,
        kept=kept,
        context=context,
        source=delivery.CALLBACK,
        occurred_at=now,
        now=now,
        message_uuid=message_uuid,
        details={"account_sid": callback.account_sid, "messaging_service_sid": callback.messaging_service_sid},
    )
