"""A deployment of ``integrations/aws`` on an emulated AWS: two tables, three queues, and the stream between them.

The tables, the queues and the stream are the emulator's, the work is that of `costtrace.aws`. Only what Lambda itself
does is done here: calling a function for a request, for the messages of a queue, for the records of a stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from costtrace.aws.invocation import Invocation, invoked
from costtrace.aws.queues import Queue
from costtrace.aws.stream import StreamDelivery
from costtrace.chat import ChatMessages
from costtrace.chat.attributes import read_item
from costtrace.errors import UnknownMessage
from costtrace.exporters import Exporter
from costtrace.ledger import Ledger
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.items import entry_of, message_key
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.money import ZERO
from costtrace.recorder import Recorder
from costtrace.sandbox.aws_emulator import AwsEmulator
from costtrace.sandbox.aws_feeds import QueueFeed, StreamFeed
from costtrace.sandbox.lambda_gateway import Function, FunctionContext

LEDGER: Final = "costtrace-ledger"
MESSAGES: Final = "chat-messages"

Service = Callable[[Mapping[str, Any], Invocation], Mapping[str, Any]]
"""The work of one function: an event in, an answer out."""

_QUEUES: Final = ("reply", "parked", "dead")
_LIMIT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What some messages took to write, as DynamoDB counted it."""

    messages: int = 0
    ledger: Decimal = ZERO
    """Write units of the table of entries, its index included."""
    chat: Decimal = ZERO
    """Write units of the table of chat messages, its index included."""

    @property
    def per_message(self) -> Decimal:
        """Write units of one of them, on average. Raises decimal.DivisionByZero where there are none."""
        return (self.ledger + self.chat) / self.messages


class AwsStack:
    """One deployment; it ends with its emulator.

    `exporters` makes, for the ledger, what is given every entry by the function behind the ledger's stream.
    """

    def __init__(
        self, emulator: AwsEmulator, *, exporters: Callable[[Ledger], Sequence[Exporter]] = lambda _: ()
    ) -> None:
        self._dynamodb = emulator.client("dynamodb")
        self._sqs = emulator.client("sqs")
        create_tables(self._dynamodb, ledger=LEDGER, messages=MESSAGES)
        self._urls = {name: self._sqs.create_queue(QueueName=f"costtrace-{name}")["QueueUrl"] for name in _QUEUES}
        self.ledger: Final = DynamoDBLedger(self._dynamodb, table=LEDGER)
        # The emulator's index never lags, so there is nothing to wait for.
        self.chat: Final = ChatMessages(self._dynamodb, table=MESSAGES, sleep=lambda _: None)
        self.spent = Spent()
        """What the messages of the last `measured` block took to write."""
        delivery = StreamDelivery(
            self.ledger, exporters(self.ledger), decode=entry_of, dead_letters=self.queue("dead"), chat=self.chat
        )
        arn = self._dynamodb.describe_table(TableName=LEDGER)["Table"]["LatestStreamArn"]
        self._stream = StreamFeed(emulator.client("dynamodbstreams"), arn, called(delivery))

    def queue(self, name: str) -> Queue:
        """That queue, to write to: ``reply``, ``parked`` or ``dead``."""
        return Queue(self._urls[name], self._sqs)

    def feed(self, name: str, service: Service, recorder: Recorder | None = None) -> QueueFeed:
        """That queue as what brings its messages to a function."""
        return QueueFeed(self._sqs, self._urls[name], called(service, recorder))

    def catch_up(self) -> None:
        """Let the function behind the ledger's stream take all that is there. Raises Failed."""
        self._stream.run()

    @contextmanager
    def measured(self) -> Iterator[None]:
        """A block after which `spent` says what the ledger's messages took to write; they must be new in it."""
        ledger, chat = self.ledger.write_units, self.chat.write_units
        yield
        self.catch_up()
        self.spent = Spent(
            messages=len({entry.message_uuid for _, entry in self.ledger.entries()}),
            ledger=self.ledger.write_units - ledger,
            chat=self.chat.write_units - chat,
        )

    def item(self, message_uuid: str) -> tuple[dict[str, Any], int]:
        """The item of that message in the chat table, with numbers as Decimals and without what it says; how many
        characters that is. Raises UnknownMessage.
        """
        found = self.chat.by_uuid(message_uuid)
        if found is None:
            raise UnknownMessage(message_uuid, f"table {MESSAGES!r}")
        key = {"threadId": {"S": found.thread_id}, "timestamp": {"S": found.timestamp}}
        item = read_item(self._dynamodb.get_item(TableName=MESSAGES, Key=key, ConsistentRead=True)["Item"])
        return item, len(item.pop("content", ""))

    def rows(self, message_uuid: str) -> list[dict[str, Any]]:
        """That message's rows of the ledger's table, as DynamoDB has them, in the order of their keys."""
        answer = self._dynamodb.query(
            TableName=LEDGER,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": message_key(message_uuid)}},
            ConsistentRead=True,
        )
        rows: list[dict[str, Any]] = answer["Items"]
        return rows


def function(service: Service, recorder: Recorder | None = None) -> Function:
    """The service as Lambda calls it; entries that wait are stored before the answer is given."""

    def handler(event: Mapping[str, Any], context: FunctionContext) -> dict[str, Any]:
        with invoked(context, recorder=lambda: recorder, flushes=()) as invocation:
            return dict(service(event, invocation))

    return handler


def called(service: Service, recorder: Recorder | None = None) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """The service as a queue or a stream has it called."""
    handler = function(service, recorder)
    return lambda event: handler(dict(event), FunctionContext(limit_s=_LIMIT_S))
