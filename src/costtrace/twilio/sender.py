"""Sends messages through the real Twilio client, and records each before Twilio is asked.

What is written first says that an SMS may have been sent; a process that dies at any moment later leaves that behind.
A request without a clear answer is never repeated, because that could send the SMS twice.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from costtrace.context import Context, check_text, current_message, new_message_uuid
from costtrace.entry import Entry, Kind
from costtrace.errors import CostTraceError, InvalidValue, LedgerError, UnknownMessage
from costtrace.money import Money
from costtrace.recorder import Recorder
from costtrace.times import from_micros, moment_text, utc
from costtrace.tracing import traceparent
from costtrace.twilio import delivery
from costtrace.twilio.callback_url import callback_url
from costtrace.twilio.client import TIMEOUT_S, fault_of, never_left, refused, sending_client, watched
from costtrace.twilio.entries import (
    bound_entry,
    channel_of,
    refused_entry,
    send_entry,
    status_entry,
    unknown_entry,
)
from costtrace.twilio.envelope import OUTBOUND, Estimator, Hasher, envelope
from costtrace.twilio.estimates import estimate

MAX_LINKS: Final = 32
"""How many model calls an SMS can name as those that made it: the latest."""

_CHAT: Final = "chat"
_SEND_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


class AlreadySent(CostTraceError):  # noqa: N818 - names what happened, as the other errors do
    """The ledger has that attempt already: nothing was sent now."""

    def __init__(self, message_uuid: str, send_id: str) -> None:
        self.message_uuid = message_uuid
        self.send_id = send_id
        super().__init__(f"attempt {send_id} of message {message_uuid!r} was made before; nothing was sent now")


class SendUnknown(CostTraceError):  # noqa: N818 - names what happened, as the other errors do
    """Twilio may have sent the SMS, or not: the answer was lost. Do not send it again on the strength of this.

    It stands in the ledger as ``send_unknown`` until its status callback, or a reconciliation, finds out.
    """

    def __init__(self, message_uuid: str, send_id: str, fault: str) -> None:
        self.message_uuid = message_uuid
        self.send_id = send_id
        super().__init__(
            f"whether Twilio sent attempt {send_id} of message {message_uuid!r} is unknown ({fault}); "
            "`costtrace sms reconcile` finds out"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """A message that Twilio has taken."""

    message_uuid: str
    send_id: str
    """Our name for this attempt."""
    sid: str
    """Twilio's MessageSid."""
    status: str
    """``queued``, ``accepted`` or ``scheduled``."""
    estimate: Money | None
    """What it is expected to cost; None where no rate is known. Twilio names the price later."""
    message: Any = field(repr=False)
    """The SDK's own ``MessageInstance``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Send:
    entry: Entry
    parameters: Mapping[str, Any] = field(repr=False)

    @property
    def send_id(self) -> str:
        return str(self.entry.details["send_id"])


class SmsSender:
    """Sends SMS, MMS and WhatsApp messages, and records what they are expected to cost until Twilio says what they did.

        sender = SmsSender(Client(sid, token), recorder, status_callback="https://example.com/sms/callback")
        with costtrace.message(user_id="u1", channel="sms"):
            answer = agent.invoke(…)
            sender.send(to="+14155550100", from_="+14155550199", body=answer)

    `client` is the SDK's, left as it is; requests without a time limit of their own get `timeout_s`. `status_callback`
    is the public address of ``/sms/callback``, for messages that name none. `estimator` is `costtrace.twilio.estimate`
    unless given; `hasher`, such as `NumberHasher`, makes what is kept of phone numbers, and without it nothing is. A
    store that is down keeps no message from being sent: the recorder holds its entries until it is back.

    Raises InvalidValue for a client that would repeat a POST.
    """

    def __init__(
        self,
        client: Any,
        recorder: Recorder,
        *,
        status_callback: str | None = None,
        estimator: Estimator = estimate,
        hasher: Hasher | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._client = sending_client(client, timeout_s=timeout_s)
        self._recorder = recorder
        self._status_callback = status_callback
        self._estimator = estimator
        self._hasher = hasher

    def send(
        self,
        *,
        to: str,
        body: str | None = None,
        from_: str | None = None,
        messaging_service_sid: str | None = None,
        message_type: str | None = None,
        message_uuid: str | None = None,
        user_id: str | None = None,
        thread_id: str | None = None,
        media_url: Sequence[str] = (),
        smart_encoded: bool | None = None,
        status_callback: str | None = None,
        send_id: str | None = None,
        **options: Any,
    ) -> SentMessage:
        """Send one message; it is in the ledger, or in the recorder's memory, before Twilio is asked.

        It belongs to `message_uuid`, or to the open message, or makes a message of its own. `message_type` is ``chat``
        unless the open message or the caller says otherwise: ``welcome``, ``notification``, ``subscription``,
        ``cancellation`` or another word. `options` go to the SDK as they are: ``send_at``, ``content_sid`` and others.

        `send_id` names the attempt, where a job may run twice: of one name there is one attempt, whichever process
        makes it, and AlreadySent is raised for the others. Such an attempt is not made while the ledger is down: what
        the ledger raises comes first.

        Raises what the SDK raises where Twilio refused, or was never reached: nothing was bought then. Raises
        SendUnknown where nobody can tell. Raises InvalidValue, before anything is sent, for what cannot be right.
        """
        if self._client.http_client.is_async:
            raise InvalidValue("client", "an asynchronous one", "a synchronous client; with this one, await asend()")
        send = self._prepared(
            to=to,
            body=body,
            from_=from_,
            messaging_service_sid=messaging_service_sid,
            message_type=message_type,
            message_uuid=message_uuid,
            said=Context(user_id=user_id, thread_id=thread_id),
            media_url=media_url,
            smart_encoded=smart_encoded,
            status_callback=status_callback,
            send_id=send_id,
            options=options,
        )
        with self._outcome(send):
            answer = self._client.messages.create(**send.parameters)
            sid = _sid(answer)
        return self._sent(send, sid, answer)

    async def asend(
        self,
        *,
        to: str,
        body: str | None = None,
        from_: str | None = None,
        messaging_service_sid: str | None = None,
        message_type: str | None = None,
        message_uuid: str | None = None,
        user_id: str | None = None,
        thread_id: str | None = None,
        media_url: Sequence[str] = (),
        smart_encoded: bool | None = None,
        status_callback: str | None = None,
        send_id: str | None = None,
        **options: Any,
    ) -> SentMessage:
        """As `send`, without keeping the event loop waiting: over an asynchronous client, or in a thread."""
        given: dict[str, Any] = {
            "to": to,
            "body": body,
            "from_": from_,
            "messaging_service_sid": messaging_service_sid,
            "message_type": message_type,
            "message_uuid": message_uuid,
            "media_url": media_url,
            "smart_encoded": smart_encoded,
            "status_callback": status_callback,
            "send_id": send_id,
        }
        if not self._client.http_client.is_async:
            return await asyncio.to_thread(self.send, user_id=user_id, thread_id=thread_id, **given, **options)
        said = Context(user_id=user_id, thread_id=thread_id)
        send = await asyncio.to_thread(self._prepared, said=said, options=options, **given)
        with self._outcome(send):
            answer = await self._client.messages.create_async(**send.parameters)
            sid = _sid(answer)
        return self._sent(send, sid, answer)

    def _prepared(
        self,
        *,
        to: str,
        body: str | None,
        from_: str | None,
        messaging_service_sid: str | None,
        message_type: str | None,
        message_uuid: str | None,
        said: Context,
        media_url: Sequence[str],
        smart_encoded: bool | None,
        status_callback: str | None,
        send_id: str | None,
        options: Mapping[str, Any],
    ) -> _Send:
        """The SMS as it is recorded, which it is from here on, and as the SDK takes it."""
        record = self._recorder.record if send_id is None else self._claim
        send_id, now = uuid4().hex if send_id is None else _checked_id(send_id), self._now()
        uuid, scope = _message(message_uuid)
        media = [media_url] if isinstance(media_url, str) else list(media_url)
        kept = envelope(
            to=to,
            from_=from_,
            body=body,
            num_media=len(media),
            smart_encoded=smart_encoded,
            at=now,
            estimator=self._estimator,
            hasher=self._hasher,
        )
        address = status_callback or self._status_callback
        parameters = {
            "to": to,
            "body": body,
            "from_": from_,
            "messaging_service_sid": messaging_service_sid,
            "media_url": media or None,
            "smart_encoded": smart_encoded,
            "status_callback": address and callback_url(address, message_uuid=uuid, send_id=send_id),
        }
        entry = send_entry(
            send_id,
            message_uuid=uuid,
            context=Context(direction=OUTBOUND, message_type=message_type)
            .over(said)
            .over(scope)
            .over(Context(channel=channel_of(kept), message_type=_CHAT)),
            kept=kept,
            now=now,
            details=_known(
                account_sid=self._client.account_sid,
                messaging_service_sid=messaging_service_sid,
                scheduled_for=_moment(options.get("send_at")),
                traceparent=traceparent(),
                links=self._links(uuid),
            ),
        )
        record(entry)
        return _Send(entry=entry, parameters={**_known(**parameters), **options})

    def _claim(self, entry: Entry) -> None:
        """The first of a name has it; the ledger decides between processes."""
        if entry.entry_id not in self._recorder.ledger.append([entry]):
            raise AlreadySent(entry.message_uuid, entry.details["send_id"])

    @contextmanager
    def _outcome(self, send: _Send) -> Iterator[None]:
        """Records what became of the request where it did not succeed."""
        with watched() as attempt:
            try:
                yield
            except BaseException as error:
                fault = fault_of(error)
                if not attempt.begun or refused(error) or never_left(error):
                    self._recorder.record(refused_entry(send.entry, error=fault, now=self._now()))
                    raise
                self._recorder.record(unknown_entry(send.entry, error=fault, now=self._now()))
                if not isinstance(error, Exception):  # cancelled or interrupted: whoever did that is to see it
                    raise
                raise SendUnknown(send.entry.message_uuid, send.send_id, fault) from error

    def _sent(self, send: _Send, sid: str, answer: Any) -> SentMessage:
        entry, status = send.entry, answer.status if isinstance(answer.status, str) else str(answer.status or "")
        try:
            self._bind(send, sid, status, answer)
        except Exception:  # noqa: BLE001 - the SMS is on its way, whatever is wrong here
            self._recorder.fault("recording that an SMS was sent")
        return SentMessage(
            message_uuid=entry.message_uuid,
            send_id=send.send_id,
            sid=sid,
            status=status,
            estimate=entry.estimate,
            message=answer,
        )

    def _bind(self, send: _Send, sid: str, status: str, answer: Any) -> None:
        now, entry = self._now(), send.entry
        details = _known(
            account_sid=answer.account_sid,
            messaging_service_sid=answer.messaging_service_sid,
            num_segments=_count(answer.num_segments),
        )
        bound = bound_entry(
            sid,
            send_id=send.send_id,
            message_uuid=entry.message_uuid,
            now=now,
            context=entry.context,
            details=details,
        )
        self._recorder.record(bound)
        if status:
            first = status_entry(
                sid,
                status,
                message_uuid=entry.message_uuid,
                source=delivery.CREATE,
                now=now,
                context=entry.context,
                send_id=send.send_id,
            )
            self._recorder.record(first)

    def _links(self, message_uuid: str) -> list[str] | None:
        """The run ids of the model calls recorded under this message so far."""
        try:
            entries = self._recorder.ledger.message(message_uuid).entries
        except (UnknownMessage, LedgerError):
            return None
        except Exception:  # noqa: BLE001 - a ledger may be anybody's, and no SMS waits for its links
            self._recorder.fault("reading the model calls of a message")
            return None
        return [entry.source_id for entry in entries if entry.kind == Kind.LLM and entry.source_id][-MAX_LINKS:] or None

    def _now(self) -> datetime:
        return from_micros(self._recorder.clock() // 1000)


def _message(message_uuid: str | None) -> tuple[str, Context]:
    """The message that was named, or the open one, or a new one; and what is known of it here."""
    scope = current_message()
    if scope is not None and message_uuid in (None, scope.uuid):
        return scope.uuid, scope.context
    return new_message_uuid() if message_uuid is None else check_text(message_uuid, "message_uuid"), Context()


def _checked_id(send_id: object) -> str:
    """The name as the callback's address will carry it."""
    if not isinstance(send_id, str) or not _SEND_ID.fullmatch(send_id):
        raise InvalidValue("send_id", send_id, "1 to 64 letters, digits, dashes and underscores")
    return send_id


def _sid(answer: Any) -> str:
    """The SID in Twilio's answer; an answer without one says nothing of what was done."""
    if not isinstance(answer.sid, str) or not answer.sid:
        raise TypeError("an answer without a MessageSid")
    return answer.sid


def _count(text: object) -> int | None:
    """Twilio says "0" for what it does not know yet."""
    return int(text) or None if isinstance(text, str) and text.isdecimal() else None


def _moment(value: object) -> str | None:
    return moment_text(utc(value, "send_at")) if isinstance(value, datetime) else None


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
