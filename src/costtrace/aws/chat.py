"""``POST /chat``: a message of a user on the web, the assistant's answer, and what it cost."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from costtrace.aws.failures import shown
from costtrace.aws.http import json_answer
from costtrace.aws.invocation import Invocation
from costtrace.aws.replies import Assistant, Question
from costtrace.aws.turns import USER
from costtrace.chat import ChatMessage, ChatMessages
from costtrace.context import check_text, new_message_uuid
from costtrace.errors import CostTraceError, InvalidValue, LedgerError, UnknownMessage
from costtrace.messages import Message
from costtrace.recorder import Recorder

MAX_MESSAGE: Final = 20_000
"""Characters of one message."""
_CHANNEL: Final = "web"
_log: Final = logging.getLogger("costtrace")
_FIELDS: Final = frozenset({"thread_id", "user_id", "message", "message_uuid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a client asks: ``{"thread_id": …, "user_id": …, "message": …, "message_uuid": …}``."""

    thread_id: str
    user_id: str
    message: str = field(repr=False)
    message_uuid: str
    """The client's own uuid for the message, with which it may ask again; a new one where it names none."""

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ChatRequest:
        """The request of that JSON object. Raises InvalidValue naming the field."""
        unknown = sorted(body.keys() - _FIELDS)
        if unknown:
            raise InvalidValue("body", body, f"only {', '.join(sorted(_FIELDS))}")
        text = body.get("message")
        if not isinstance(text, str) or not text.strip() or len(text) > MAX_MESSAGE:
            raise InvalidValue("message", text, f"a text of 1 to {MAX_MESSAGE} characters")
        if not _storable(text):
            raise InvalidValue("message", text, "a text without lone surrogates, which no store can hold")
        return cls(
            thread_id=check_text(body.get("thread_id"), "thread_id"),
            user_id=check_text(body.get("user_id"), "user_id"),
            message=text,
            message_uuid=_uuid(body["message_uuid"]) if body.get("message_uuid") is not None else new_message_uuid(),
        )


class Chat:
    """Saves the message, lets the assistant answer, and answers ``{message_uuid, reply_to, text, cost}``.

    Who may write as which user and into which thread is the gateway's authorizer and the application to decide: what
    the request says of that is taken as it is.
    """

    def __init__(
        self,
        recorder: Recorder,
        chat: ChatMessages,
        assistant: Assistant,
        *,
        environment: str | None = None,
    ) -> None:
        self._recorder = recorder
        self._chat = chat
        self._assistant = assistant
        self._environment = environment

    def __call__(self, event: Mapping[str, Any], invocation: Invocation) -> Mapping[str, Any]:
        """The answer to that event of HTTP API: 400 for a bad request, 502 where the model gave no answer."""
        return json_answer(event, ChatRequest.of, lambda request: self._take(request, invocation))

    def _take(self, request: ChatRequest, invocation: Invocation) -> Mapping[str, Any]:
        question = Question(
            message_uuid=request.message_uuid,
            thread_id=request.thread_id,
            user_id=request.user_id,
            channel=_CHANNEL,
            environment=self._environment,
        )
        conversation = self._assistant.conversation(request.thread_id)
        if all(known.message_uuid != request.message_uuid for known in conversation):
            conversation.append(self._chat.save(self._asked(request)))
        answer = self._assistant.answer(question, conversation, invocation)
        return {
            "message_uuid": question.reply_uuid,
            "reply_to": request.message_uuid,
            "text": answer.content,
            "cost": self._cost(question.reply_uuid, answer),
        }

    def _asked(self, request: ChatRequest) -> ChatMessage:
        return self._chat.new(
            thread_id=request.thread_id,
            role=USER,
            content=request.message,
            channel=_CHANNEL,
            message_uuid=request.message_uuid,
        )

    def _cost(self, uuid: str, answer: ChatMessage) -> Mapping[str, Any] | None:
        """What the answer costs as far as the ledger knows; None where it cannot say, which is not nothing."""
        if self._recorder.buffered:  # it would not be the whole, and the ledger has just shown that it does not answer
            return None
        ledger = self._recorder.ledger
        try:
            ledger.flush()  # raises for what a scope could not write, and asks nothing where there is no such thing
            known = ledger.message(uuid)
        except (LedgerError, UnknownMessage):
            return None
        self._show(known, answer)
        total = known.total.to_dict()
        return {name: total[name] for name in ("actual", "pending", "coverage")}

    def _show(self, known: Message, answer: ChatMessage) -> None:
        """Its cost in the chat table: the stream was told of the model calls before there was a row to show it in."""
        try:
            self._chat.project(known, row=answer)
        except CostTraceError as error:
            _log.warning("the cost of message %s is not shown in the chat table: %s", known.uuid, shown(error))


def _storable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _uuid(value: object) -> str:
    try:
        return str(UUID(value))  # type: ignore[arg-type]  # raises for what is no text
    except (AttributeError, TypeError, ValueError):
        raise InvalidValue("message_uuid", value, "a UUID, or nothing") from None
