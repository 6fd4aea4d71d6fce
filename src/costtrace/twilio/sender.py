"""Sends messages through the real Twilio client, each written down before Twilio is asked.

A request without a clear answer is never repeated, because that could send the SMS twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from costtrace.context import Context
from costtrace.errors import InvalidValue
from costtrace.recorder import Recorder
from costtrace.twilio.attempts import Attempt, Attempts, Outgoing
from costtrace.twilio.client import (
    TIMEOUT_S,
    address_of,
    error_code,
    fault_of,
    never_left,
    refused,
    sending_client,
    watched,
)
from costtrace.twilio.envelope import Estimator, Hasher
from costtrace.twilio.estimates import estimate
from costtrace.twilio.outcomes import SendUnknown, SentMessage


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
        self._attempts = Attempts(
            recorder,
            account_sid=self._client.account_sid,
            address=address_of(self._client),
            status_callback=status_callback,
            estimator=estimator,
            hasher=hasher,
        )

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
        wanted = Outgoing(
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
        return self._send(wanted)

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
        wanted = Outgoing(
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
        if not self._client.http_client.is_async:
            return await asyncio.to_thread(self._send, wanted)
        attempt = await self._begun(wanted)
        with self._outcome(attempt):
            answer = await self._client.messages.create_async(**attempt.parameters)
            sid = _sid(answer)
        return self._sent(attempt, sid, answer)

    async def _begun(self, wanted: Outgoing) -> Attempt:
        """The attempt; where it is cancelled before Twilio is asked, it is written down that it was not made."""
        begun = Future[Attempt]()

        def begin() -> Attempt:
            begun.set_result(attempt := self._attempts.begin(wanted))
            return attempt

        try:
            return await asyncio.to_thread(begin)
        except asyncio.CancelledError as error:
            fault, code = fault_of(error), error_code(error)
            begun.add_done_callback(lambda done: self._attempts.refused(done.result(), error=fault, code=code))
            raise

    def _send(self, wanted: Outgoing) -> SentMessage:
        attempt = self._attempts.begin(wanted)
        with self._outcome(attempt):
            answer = self._client.messages.create(**attempt.parameters)
            sid = _sid(answer)
        return self._sent(attempt, sid, answer)

    @contextmanager
    def _outcome(self, attempt: Attempt) -> Iterator[None]:
        """Records what became of the request where it did not succeed."""
        with watched() as request:
            try:
                yield
            except BaseException as error:
                fault = fault_of(error)
                if not request.begun or refused(error) or never_left(error):
                    self._attempts.refused(attempt, error=fault, code=error_code(error))
                    raise
                self._attempts.unknown(attempt, error=fault)
                if not isinstance(error, Exception):  # cancelled or interrupted: whoever did that is to see it
                    raise
                raise SendUnknown(attempt.entry.message_uuid, attempt.send_id, fault) from error

    def _sent(self, attempt: Attempt, sid: str, answer: Any) -> SentMessage:
        status = answer.status if isinstance(answer.status, str) else str(answer.status or "")
        self._attempts.sent(attempt, sid, status, answer)
        return SentMessage(
            message_uuid=attempt.entry.message_uuid,
            send_id=attempt.send_id,
            sid=sid,
            status=status,
            estimate=attempt.entry.estimate,
            message=answer,
        )


def _sid(answer: Any) -> str:
    """The SID in Twilio's answer; an answer without one says nothing of what was done."""
    if not isinstance(answer.sid, str) or not answer.sid:
        raise TypeError("an answer without a MessageSid")
    return answer.sid
