"""The queue of answers to be sent by SMS: the agent writes one, it is saved, and it is sent once.

A job of which nobody knows whether its SMS went out stays in the queue. Mostly a status callback tells before it comes
again; otherwise it ends among the dead letters, where a person hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costtrace.aws.invocation import Invocation
from costtrace.aws.queues import Job, NotYet, take_each, text_of
from costtrace.aws.replies import Assistant, Question
from costtrace.aws.sending import Sending, send_once
from costtrace.aws.turns import ASSISTANT
from costtrace.chat import ChatMessage
from costtrace.context import message_scope
from costtrace.errors import InvalidValue
from costtrace.ledger import Ledger
from costtrace.twilio.envelope import INBOUND, OUTBOUND
from costtrace.twilio.legs import Leg, legs
from costtrace.twilio.sender import SmsSender

_CHANNEL: Final = "sms"
_RESERVE_S: Final = 45.0
"""What the agent and a send may take at worst: cut off in the middle, nobody would know whether the SMS went out."""


class SmsReplies:
    """Answers the messages that jobs of `SmsInbound` name. `client` is the SDK's: it knows who wrote the message."""

    def __init__(self, ledger: Ledger, assistant: Assistant, sender: SmsSender, client: Any) -> None:
        self._ledger = ledger
        self._assistant = assistant
        self._sender = sender
        self._client = client

    def __call__(self, event: Mapping[str, Any], invocation: Invocation) -> Mapping[str, Any]:
        """The answer to that batch of the queue."""
        return take_each(event, invocation, lambda job: self._take(job, invocation), reserve_s=_RESERVE_S)

    def _take(self, job: Job, invocation: Invocation) -> None:
        came = self._came(text_of(job, "message_uuid"))
        question = Question(
            message_uuid=came.message_uuid,
            thread_id=text_of(job, "thread_id"),
            user_id=came.context.user_id,
            channel=came.context.channel or _CHANNEL,
            environment=came.context.environment,
        )
        if job.get("reply_uuid") != question.reply_uuid:
            raise InvalidValue("reply_uuid", job.get("reply_uuid"), "the uuid that follows from the message's own")
        conversation = self._assistant.conversation(question.thread_id)
        self._send(question, self._assistant.answer(question, conversation, invocation), came)

    def _came(self, message_uuid: str) -> Leg:
        """The SMS that is to be answered. Raises UnknownMessage."""
        for leg in legs(self._ledger.message(message_uuid)):
            if leg.direction == INBOUND and leg.sid is not None:
                return leg
        raise InvalidValue("message_uuid", message_uuid, "the uuid of an SMS that came in")

    def _send(self, question: Question, answer: ChatMessage, came: Leg) -> None:
        with message_scope(
            question.reply_uuid,
            user_id=question.user_id,
            thread_id=question.thread_id,
            channel=question.channel,
            direction=OUTBOUND,
            role=ASSISTANT,
            environment=question.environment,
            reply_to=question.message_uuid,
        ):
            outcome = send_once(
                self._sender,
                self._ledger,
                question.reply_uuid,
                body=answer.content,
                numbers=lambda: self._numbers(came),
            )
        if outcome is Sending.UNKNOWN:
            raise NotYet(f"whether Twilio sent message {question.reply_uuid} is not known")

    def _numbers(self, came: Leg) -> Mapping[str, str]:
        """To whom, and from which of our numbers: the two that Twilio knows of the message, the other way round."""
        account = came.details.get("account_sid") or self._client.account_sid
        message = self._client.api.v2010.accounts(account).messages(came.sid).fetch()
        return {"to": message.from_, "from_": message.to}
