"""One attempt to send a message: written down before Twilio is asked, and then what became of it.

What is written first says that an SMS may have been sent; a process that dies at any moment later leaves that behind.
Its span begins before that, because the place of the span is written down with it: whoever hears of the SMS later, in
another process, finds there what to link to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Self
from uuid import uuid4

from costtrace.context import Context, check_text, current_message, new_message_uuid
from costtrace.entry import Entry, Kind, SpanRef
from costtrace.errors import InvalidValue, LedgerError, UnknownMessage
from costtrace.recorder import Recorder
from costtrace.times import from_micros, moment_text, utc
from costtrace.tracing.sms import SendSpan, server_of
from costtrace.twilio import delivery
from costtrace.twilio.callback_url import callback_url
from costtrace.twilio.entries import bound_entry, channel_of, refused_entry, send_entry, status_entry, unknown_entry
from costtrace.twilio.envelope import OUTBOUND, Envelope, Estimator, Hasher, envelope
from costtrace.twilio.outcomes import AlreadySent

MAX_LINKS: Final = 32
"""How many model calls an SMS can name as those that made it: the latest."""

_CHAT: Final = "chat"
_SEND_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message as the application wants it sent: what `SmsSender.send` takes."""

    to: str = field(repr=False)
    body: str | None = field(repr=False)
    from_: str | None = field(repr=False)
    messaging_service_sid: str | None
    message_type: str | None
    message_uuid: str | None
    said: Context
    media_url: Sequence[str] = field(repr=False)
    smart_encoded: bool | None
    status_callback: str | None
    send_id: str | None
    options: Mapping[str, Any] = field(repr=False)

    @property
    def media(self) -> list[str]:
        """The addresses of its media; one alone may have been given as a text."""
        return [self.media_url] if isinstance(self.media_url, str) else list(self.media_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that is written down."""

    entry: Entry
    parameters: Mapping[str, Any] = field(repr=False)
    """For the SDK's ``messages.create``."""
    span: SendSpan

    @property
    def send_id(self) -> str:
        """Our name for it."""
        return str(self.entry.details["send_id"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _MadeBy:
    """The model calls recorded under the message so far."""

    run_ids: Sequence[str] = ()
    spans: Sequence[SpanRef] = ()

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        calls = [entry for entry in entries if entry.kind == Kind.LLM]
        return cls(
            run_ids=[entry.source_id for entry in calls if entry.source_id][-MAX_LINKS:],
            spans=list(dict.fromkeys(entry.span for entry in calls if entry.span))[-MAX_LINKS:],
        )


class Attempts:
    """Writes attempts and their outcomes down, and shows them as spans.

    `account_sid` is whose attempts they are, `address` where Twilio's API is; the others are as `SmsSender` has them.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        account_sid: str | None,
        address: str,
        status_callback: str | None,
        estimator: Estimator,
        hasher: Hasher | None,
    ) -> None:
        self._recorder = recorder
        self._account_sid = account_sid
        self._server = server_of(address)
        self._status_callback = status_callback
        self._estimator = estimator
        self._hasher = hasher

    def begin(self, wanted: Outgoing) -> Attempt:
        """The attempt to send that: recorded from here on.

        Raises InvalidValue for what cannot be right. One with a name of its own raises AlreadySent if there was one of
        that name, and what the ledger raises.
        """
        send_id, now = uuid4().hex if wanted.send_id is None else _checked_id(wanted.send_id), self._now()
        uuid, scope = _message(wanted.message_uuid)
        kept = self._kept(wanted, now)
        context = _context(wanted, scope, kept)
        parameters = self._parameters(wanted, uuid, send_id)
        scheduled_for = _moment(wanted.options.get("send_at"))
        made_by = self._made_by(uuid)
        entry = send_entry(
            send_id,
            message_uuid=uuid,
            context=context,
            kept=kept,
            now=now,
            details=_known(
                account_sid=self._account_sid,
                messaging_service_sid=wanted.messaging_service_sid,
                scheduled_for=scheduled_for,
                links=made_by.run_ids or None,
            ),
        )
        span = SendSpan(self._recorder.tracing, entry, server=self._server, made_by=made_by.spans)
        if span.traceparent is not None:
            entry = replace(entry, span=span.ref, details={**entry.details, "traceparent": span.traceparent})
        self._write(entry, span, named=wanted.send_id is not None)
        return Attempt(entry=entry, parameters=parameters, span=span)

    def sent(self, attempt: Attempt, sid: str, status: str, answer: Any) -> None:
        """Twilio has taken it under that SID; `answer` is the SDK's. Never raises: the SMS is on its way."""
        segments = _count(answer.num_segments)
        try:
            self._bind(attempt, sid, status, segments, answer)
        except Exception:  # noqa: BLE001 - the SMS is on its way, whatever is wrong here
            self._recorder.fault("recording that an SMS was sent")
        attempt.span.sent(sid, status, segments=segments)

    def refused(self, attempt: Attempt, *, error: str, code: str) -> None:
        """Nothing was bought. `error` is class and code, `code` what names the failure in a trace."""
        self._recorder.record(refused_entry(attempt.entry, error=error, now=self._now()))
        attempt.span.failed(delivery.REJECTED, error=code)

    def unknown(self, attempt: Attempt, *, error: str) -> None:
        """Nobody knows whether Twilio took it. `error` is class and code."""
        self._recorder.record(unknown_entry(attempt.entry, error=error, now=self._now()))
        attempt.span.failed(delivery.SEND_UNKNOWN, error=delivery.SEND_UNKNOWN)

    def _write(self, entry: Entry, span: SendSpan, *, named: bool) -> None:
        try:
            if named:
                self._claim(entry)
            else:
                self._recorder.record(entry)
        except AlreadySent:
            span.not_made()
            raise
        except BaseException as error:
            span.not_made(error=type(error).__name__)
            raise

    def _claim(self, entry: Entry) -> None:
        """The first of a name has it; the ledger decides between processes."""
        if entry.entry_id not in self._recorder.ledger.append([entry]):
            raise AlreadySent(entry.message_uuid, entry.details["send_id"])
        self._recorder.tracing.count(entry)

    def _kept(self, wanted: Outgoing, now: datetime) -> Envelope:
        return envelope(
            to=wanted.to,
            from_=wanted.from_,
            body=wanted.body,
            num_media=len(wanted.media),
            smart_encoded=wanted.smart_encoded,
            at=now,
            estimator=self._estimator,
            hasher=self._hasher,
        )

    def _parameters(self, wanted: Outgoing, uuid: str, send_id: str) -> dict[str, Any]:
        address = wanted.status_callback or self._status_callback
        ours = _known(
            to=wanted.to,
            body=wanted.body,
            from_=wanted.from_,
            messaging_service_sid=wanted.messaging_service_sid,
            media_url=wanted.media or None,
            smart_encoded=wanted.smart_encoded,
            status_callback=address and callback_url(address, message_uuid=uuid, send_id=send_id),
        )
        return {**ours, **wanted.options}

    def _bind(self, attempt: Attempt, sid: str, status: str, segments: int | None, answer: Any) -> None:
        now, entry = self._now(), attempt.entry
        details = _known(
            account_sid=answer.account_sid,
            messaging_service_sid=answer.messaging_service_sid,
            num_segments=segments,
            traceparent=attempt.span.traceparent,
        )
        bound = bound_entry(
            sid,
            send_id=attempt.send_id,
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
                send_id=attempt.send_id,
            )
            self._recorder.record(first)

    def _made_by(self, message_uuid: str) -> _MadeBy:
        try:
            return _MadeBy.of(self._recorder.ledger.message(message_uuid).entries)
        except (UnknownMessage, LedgerError):
            return _MadeBy()
        except Exception:  # noqa: BLE001 - a ledger may be anybody's, and no SMS waits for its links
            self._recorder.fault("reading the model calls of a message")
            return _MadeBy()

    def _now(self) -> datetime:
        return from_micros(self._recorder.clock() // 1000)


def _message(message_uuid: str | None) -> tuple[str, Context]:
    """The message that was named, or the open one, or a new one; and what is known of it here."""
    scope = current_message()
    if scope is not None and message_uuid in (None, scope.uuid):
        return scope.uuid, scope.context
    return new_message_uuid() if message_uuid is None else check_text(message_uuid, "message_uuid"), Context()


def _context(wanted: Outgoing, scope: Context, kept: Envelope) -> Context:
    """The caller's word before that of the open message, and that before what the message itself shows."""
    own = Context(direction=OUTBOUND, message_type=wanted.message_type)
    return own.over(wanted.said).over(scope).over(Context(channel=channel_of(kept), message_type=_CHAT))


def _checked_id(send_id: object) -> str:
    """The name as the callback's address will carry it."""
    if not isinstance(send_id, str) or not _SEND_ID.fullmatch(send_id):
        raise InvalidValue("send_id", send_id, "1 to 64 letters, digits, dashes and underscores")
    return send_id


def _count(text: object) -> int | None:
    """Twilio says "0" for what it does not know yet."""
    return int(text) or None if isinstance(text, str) and text.isdecimal() else None


def _moment(value: object) -> str | None:
    return moment_text(utc(value, "send_at")) if isinstance(value, datetime) else None


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
