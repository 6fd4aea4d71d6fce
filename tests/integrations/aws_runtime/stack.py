"""Everything the functions need beside themselves: tables and queues of an emulator, and stand-ins for the rest."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from costtrace.chat import ChatMessages
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.sandbox.openai import OpenAIServer
from costtrace.sandbox.twilio import TwilioServer
from tests.integrations.aws_runtime.runtime import Function
from tests.peers.emulator import Account

PUBLIC: Final = "https://example.com"
HASH_KEY: Final = "a key of the tests, 32 bytes lon"
LEDGER: Final = "costtrace-ledger"
MESSAGES: Final = "chat-messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One deployment. Its functions are processes that end with it."""

    account: Account
    twilio: TwilioServer
    openai: OpenAIServer
    queues: Mapping[str, str]
    changes: Mapping[str, str] = field(default_factory=dict)
    _running: dict[str, Function] = field(default_factory=dict)
    _ends: ExitStack = field(default_factory=ExitStack)

    @property
    def environment(self) -> dict[str, str]:
        """What Terraform gives each function, and where the stand-ins are."""
        return {
            **self.account.environment,
            "COSTTRACE_LEDGER": f"dynamodb://?ledger={LEDGER}&messages={MESSAGES}",
            "COSTTRACE_PUBLIC_BASE_URL": PUBLIC,
            "COSTTRACE_HASH_KEY": HASH_KEY,
            "COSTTRACE_ENVIRONMENT": "test",
            "COSTTRACE_FROM_NUMBER": "+14155550199",
            "COSTTRACE_PARKED_QUEUE_URL": self.queues["parked"],
            "COSTTRACE_REPLY_QUEUE_URL": self.queues["reply"],
            "COSTTRACE_DEAD_LETTER_QUEUE_URL": self.queues["dead"],
            "COSTTRACE_TWILIO_BASE_URL": self.twilio.base_url,
            "TWILIO_ACCOUNT_SID": self.twilio.account_sid,
            "TWILIO_AUTH_TOKEN": self.twilio.auth_token,
            "OPENAI_API_KEY": "sk-planted-key",
            "OPENAI_BASE_URL": self.openai.base_url,
            **self.changes,
        }

    @property
    def ledger(self) -> DynamoDBLedger:
        return DynamoDBLedger(self.account.client(), table=LEDGER)

    @property
    def chat(self) -> ChatMessages:
        return ChatMessages(self.account.client(), table=MESSAGES)

    def function(self, name: str, **changes: str) -> Function:
        """The function, started; the same one each time it is asked for without changes to its environment."""
        if changes:
            return self._ends.enter_context(Function(name, {**self.environment, **changes}))
        if name not in self._running:
            self._running[name] = self._ends.enter_context(Function(name, self.environment))
        return self._running[name]

    def received(self, queue: str, *, count: int = 1, timeout_s: float = 10.0) -> list[dict[str, Any]]:
        """So many messages of a queue, taken out of it; fewer where they do not come in time."""
        sqs, url = self.account.client("sqs"), self.queues[queue]
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + timeout_s
        while len(found) < count and time.monotonic() < deadline:
            batch = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
            for message in batch.get("Messages", ()):
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                found.append(message)
            if len(found) < count:
                time.sleep(0.05)
        return found

    def close(self) -> None:
        self._ends.close()


def jobs(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(message["Body"]) for message in messages]


@contextmanager
def deployed(account: Account, *, twilio: TwilioServer, openai: OpenAIServer, **changes: str) -> Iterator[Stack]:
    """A deployment in that account, whose tables and queues are made here."""
    create_tables(account.client(), ledger=LEDGER, messages=MESSAGES)
    sqs = account.client("sqs")
    queues = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("parked", "reply", "dead")}
    stack = Stack(account=account, twilio=twilio, openai=openai, queues=queues, changes=changes)
    try:
        yield stack
    finally:
        stack.close()


def stream_event(account: Account, table: str = LEDGER) -> dict[str, Any]:
    """All that the table's stream has, as Lambda hands it over: JSON, with bytes in base64."""
    streams: Any = account.client("dynamodbstreams")
    arn = account.client().describe_table(TableName=table)["Table"]["LatestStreamArn"]
    records: list[dict[str, Any]] = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        begin = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        place = streams.get_shard_iterator(**begin)["ShardIterator"]
        while place is not None:
            answer = streams.get_records(ShardIterator=place)
            records += answer["Records"]
            place = answer.get("NextShardIterator") if answer["Records"] else None
    return {"Records": [_as_json(record) for record in records]}


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.timestamp() if isinstance(value, datetime) else value
