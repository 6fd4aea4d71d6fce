"""``POST /sms/inbound``: a customer's SMS, stored as entry and as chat message, and its answer put on the way.

Every step may be done again under the same names, so a webhook that Twilio repeats, after a lost answer or a fault of
ours, completes what is missing and changes nothing else. The job for the answer holds no number: who writes it asks
Twilio, where the number is in any case, so that it stands in no queue, no dead letter and no row of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from costtrace.aws.failures import shown
from costtrace.aws.http import NO_REPLY, twilio_answer
from costtrace.aws.invocation import Invocation
from costtrace.aws.queues import Queue
from costtrace.aws.spans import webhook_spans
from costtrace.aws.turns import USER, reply_uuid_of
from costtrace.chat import ChatMessage, ChatMessages
from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.ledger import Ledger
from costtrace.times import moment_text
from costtrace.tracing import Tracing
from costtrace.twilio.arrivals import parties
from costtrace.twilio.entries import inbound_entry
from costtrace.twilio.envelope import Hasher
from costtrace.twilio.requests import WebhookRequest
from costtrace.twilio.signature import Verifier
from costtrace.twilio.webhooks import InboundMessage

Identify = Callable[[InboundMessage], Mapping[str, Any]]
"""Who wrote, as far as the application knows: fields of `Context`."""

_log: Final = logging.getLogger("costtrace")
_AGAIN_S: Final = 60
"""A repeated webhook's job comes when the first one's is done, and finds its answer."""


def _nobody(_: InboundMessage) -> Mapping[str, Any]:
    return {}


class SmsInbound:
    """Verifies a message that came in and answers with empty TwiML once all of it is stored; 503 otherwise.

    `hasher` makes user and thread from the two numbers. Where the application knows them better, `identify` says so in
    fields of `Context`, such as ``{"user_id": "u1"}``; if it fails, the message is taken all the same. `tracing` shows
    what came in as a span: the process's own unless given.
    """

    def __init__(
        self,
        ledger: Ledger,
        chat: ChatMessages,
        verifier: Verifier,
        *,
        replies: Queue,
        hasher: Hasher,
        now: Callable[[], datetime],
        environment: str | None = None,
        identify: Identify = _nobody,
        tracing: Tracing | None = None,
    ) -> None:
        self._ledger = ledger
        self._spans = webhook_spans(ledger, tracing)
        self._chat = chat
        self._verifier = verifier
        self._replies = replies
        self._hasher = hasher
        self._now = now
        self._environment = environment
        self._identify = identify

    def __call__(self, event: Mapping[str, Any], _: Invocation) -> Mapping[str, Any]:
        """The answer to that event of HTTP API."""
        return twilio_answer(event, self._take)

    def _take(self, request: WebhookRequest) -> Mapping[str, Any]:
        inbound = InboundMessage.of(self._verifier.verify(request))
        arrival = self._spans.arrived()
        entry, is_new = self._stored(inbound)
        self._spans.came_in(arrival, entry, is_new=is_new)
        self._chat.save(_row(inbound, entry))
        if inbound.opt_out_type is None:  # otherwise Twilio has answered, and lets nobody else answer
            self._replies.put(_job(entry), delay_s=0 if is_new else _AGAIN_S)
        return NO_REPLY

    def _stored(self, inbound: InboundMessage) -> tuple[Entry, bool]:
        """The message's entry as the ledger has it, and whether it was new there."""
        entry = inbound_entry(inbound, now=self._now(), context=self._context(inbound), hasher=self._hasher)
        if self._ledger.append([entry]):
            return entry, True
        return self._ledger.find(entry.entry_id) or entry, False

    def _context(self, inbound: InboundMessage) -> Context:
        known: dict[str, Any] = {**parties(inbound, self._hasher), "environment": self._environment}
        try:
            return Context(**{**known, **self._identify(inbound)})
        except Exception as error:  # noqa: BLE001 - the application's own fault must not cost us the message
            _log.error("identify failed for %s: %s", inbound.message_sid, shown(error))
            return Context(**known)


def _row(inbound: InboundMessage, entry: Entry) -> ChatMessage:
    """The message as the chat table has it, at the moment when it was first heard of."""
    return ChatMessage(
        thread_id=str(entry.context.thread_id),
        timestamp=moment_text(entry.occurred_at),
        message_uuid=entry.message_uuid,
        role=USER,
        content=inbound.body,
        channel=entry.context.channel,
    )


def _job(entry: Entry) -> Mapping[str, Any]:
    return {
        "message_uuid": entry.message_uuid,
        "reply_uuid": reply_uuid_of(entry.message_uuid),
        "thread_id": entry.context.thread_id,
    }
