"""What an answer is said to cost: the whole of it, or nothing at all."""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

from costtrace import Money, Recorder
from costtrace.aws.chat import Chat
from costtrace.aws.replies import Assistant
from costtrace.chat import ChatMessages
from costtrace.errors import LedgerUnavailable
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.testing import MemoryLedger
from tests.aws.parts import call
from tests.integrations.aws_runtime.runtime import json_event
from tests.peers.emulator import Account


class Scoped(MemoryLedger):
    """One whose last scope could not write everything."""

    left = 0

    def flush(self) -> None:
        if self.left:
            raise LedgerUnavailable(f"{self.left} entries wait in memory")


def cost(aws: Account, ledger: Scoped, *, left: int) -> Any:
    """What the client is told, when so many of the answer's entries are not stored."""
    create_tables(aws.client(), ledger=None)
    recorder, chat = Recorder(ledger), ChatMessages(aws.client())

    def agent(_: object) -> str:
        recorder.record_cost(name="search", cost=Money("0.008"))
        ledger.left = left
        return "Tomorrow."

    answer = Chat(recorder, chat, Assistant(recorder, chat, agent, writes=lambda _: nullcontext()))
    said = answer(json_event({"thread_id": "t-1", "user_id": "u1", "message": "When?"}), call())
    assert said["statusCode"] == 200
    return json.loads(said["body"])["cost"]


def test_an_answer_says_what_it_cost(aws: Account) -> None:
    assert cost(aws, Scoped(), left=0)["actual"] == {"USD": "0.008"}


def test_a_cost_that_is_not_the_whole_is_not_said(aws: Account) -> None:
    assert cost(aws, Scoped(), left=1) is None
