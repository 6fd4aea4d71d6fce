"""The answer as it is saved: whole, once, and in a form that every store takes."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from costtrace import Recorder
from costtrace.aws.failures import ModelFailed
from costtrace.aws.replies import Assistant, Question
from costtrace.chat import ChatMessage, ChatMessages
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.testing import MemoryLedger
from tests.aws.parts import call
from tests.peers.emulator import Account

QUESTION = Question(message_uuid="q-1", thread_id="t-1", user_id="u1", channel="web")


@pytest.fixture
def chat(aws: Account) -> ChatMessages:
    create_tables(aws.client(), ledger=None)
    return ChatMessages(aws.client())


def answered(chat: ChatMessages, text: str) -> ChatMessage:
    assistant = Assistant(Recorder(MemoryLedger()), chat, lambda _: text, writes=lambda _: nullcontext())
    return assistant.answer(QUESTION, assistant.conversation("t-1"), call())


def test_an_answer_that_no_store_could_take_is_mended(chat: ChatMessages) -> None:
    """It has been paid for, and half a surrogate pair is all that is wrong with it."""
    assert answered(chat, "half a pair: \ud83d").content == "half a pair: ?"
    assert [row.content for row in chat.history("t-1")] == ["half a pair: ?"]


def test_an_answer_that_stands_there_is_not_written_again(chat: ChatMessages) -> None:
    assert [answered(chat, text).content for text in ("First.", "Second.")] == ["First.", "First."]
    assert len(chat.history("t-1")) == 1


def test_an_answer_that_somebody_else_wrote_meanwhile_is_the_answer(chat: ChatMessages) -> None:
    def slow(_: object) -> str:
        answered(chat, "Theirs.")
        return "Mine."

    assistant = Assistant(Recorder(MemoryLedger()), chat, slow, writes=lambda _: nullcontext())
    assert assistant.answer(QUESTION, [], call()).content == "Theirs."
    assert [row.content for row in chat.history("t-1")] == ["Theirs."]


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_answer_without_a_word_is_none(chat: ChatMessages, text: str) -> None:
    with pytest.raises(ModelFailed, match="an empty answer"):
        answered(chat, text)
    assert chat.history("t-1") == []
