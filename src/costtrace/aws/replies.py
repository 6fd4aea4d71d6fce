"""Writing the assistant's answer: one message of its own, joined to what it answers, its model calls recorded.

The answer's uuid follows from that of the message it answers. So whoever asks twice, a client after a broken
connection or a queue that delivers again, means the same answer, and finds it where it was written already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

from costtrace.aws.failures import ModelFailed
from costtrace.aws.invocation import Invocation
from costtrace.aws.turns import ASSISTANT, reply_uuid_of
from costtrace.chat import ChatMessage, ChatMessages
from costtrace.langchain import CostCallbackHandler, message
from costtrace.recorder import Recorder

Agent = Callable[[Sequence[ChatMessage]], str]
"""The application's own part: the conversation so far in, oldest message first, and the text of the answer out."""
Writes = Callable[[Invocation], AbstractContextManager[object]]

HISTORY: Final = 40
"""How many messages of a conversation the agent is given, the latest."""
_MEANWHILE: Final = 8
"""How many of the latest are looked through for an answer that somebody else wrote while the model was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A message of a user that is to be answered."""

    message_uuid: str
    thread_id: str = field(repr=False)
    user_id: str | None = field(repr=False)
    channel: str
    environment: str | None = None

    @property
    def reply_uuid(self) -> str:
        """The uuid of its answer."""
        return reply_uuid_of(self.message_uuid)


class Assistant:
    """Answers messages by the application's agent, each answer once in the chat table."""

    def __init__(self, recorder: Recorder, chat: ChatMessages, agent: Agent, *, writes: Writes) -> None:
        self._handler = CostCallbackHandler(recorder)
        self._chat = chat
        self._agent = agent
        self._writes = writes

    def conversation(self, thread_id: str) -> list[ChatMessage]:
        """The latest messages of the thread, oldest first."""
        return self._chat.history(thread_id, limit=HISTORY)

    def answer(self, question: Question, conversation: Sequence[ChatMessage], invocation: Invocation) -> ChatMessage:
        """The answer, as it stands in the chat table; written by the agent unless it stands there already.

        The agent is given the conversation up to the question: what was said since has answers of its own. Raises
        ModelFailed where the agent fails: what it cost until then is recorded. Raises what the table raises.
        """
        written = _written(question, conversation)
        if written is None:
            text = self._text(question, _up_to(question, conversation), invocation)
            meanwhile = self._chat.history(question.thread_id, limit=_MEANWHILE)
            written = _written(question, meanwhile) or self._saved(question, text)
        return written

    def _saved(self, question: Question, text: str) -> ChatMessage:
        return self._chat.save(
            self._chat.new(
                thread_id=question.thread_id,
                role=ASSISTANT,
                content=text,
                channel=question.channel,
                message_uuid=question.reply_uuid,
            )
        )

    def _text(self, question: Question, conversation: Sequence[ChatMessage], invocation: Invocation) -> str:
        opened = message(
            question.reply_uuid,
            handler=self._handler,
            user_id=question.user_id,
            thread_id=question.thread_id,
            channel=question.channel,
            direction="outbound",
            role=ASSISTANT,
            environment=question.environment,
            reply_to=question.message_uuid,
        )
        # A call that the process does not live to see the end of has cost something all the same.
        with invocation.before_end(self._handler.close), self._writes(invocation), opened:
            try:
                text = self._agent(conversation)
            except Exception as error:
                raise ModelFailed(type(error).__name__) from error
        if not isinstance(text, str) or not text.strip():
            raise ModelFailed("an empty answer")
        return text.encode(errors="replace").decode()  # no store takes half a surrogate pair


def _written(question: Question, conversation: Sequence[ChatMessage]) -> ChatMessage | None:
    return next((known for known in conversation if known.message_uuid == question.reply_uuid), None)


def _up_to(question: Question, conversation: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    places = [place for place, known in enumerate(conversation, 1) if known.message_uuid == question.message_uuid]
    return conversation[: places[-1]] if places else conversation
