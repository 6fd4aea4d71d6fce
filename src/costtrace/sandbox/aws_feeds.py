"""What AWS does between a queue or a stream and a function: it brings batches, and brings again what failed.

Here it is done when asked, so that a demo goes on when everything has arrived.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

Batch = dict[str, Any]
BatchFunction = Callable[[Batch], Mapping[str, Any]]
"""Takes ``{"Records": [...]}`` and answers ``{"batchItemFailures": [{"itemIdentifier": ...}]}``."""

_AT_A_TIME: Final = 10
_BATCH: Final = 100
_TRIES: Final = 3


class Failed(RuntimeError):  # noqa: N818 - names what happened
    """A function did not take what was brought to it."""


class QueueFeed:
    """Brings the messages of one SQS queue to a function; `client` is boto3's."""

    def __init__(self, client: Any, url: str, function: BatchFunction) -> None:
        self._client = client
        self._url = url
        self._function = function

    def run(self) -> int:
        """Bring all that can be seen in the queue now; how many failed, which can be seen again some time later."""
        failures = 0
        while messages := self._messages():
            failed = _failed(self._function({"Records": [_queue_record(message) for message in messages]}))
            for message in messages:
                if message["MessageId"] not in failed:
                    self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
            failures += len(failed)
        return failures

    def _messages(self) -> list[dict[str, Any]]:
        answer = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=_AT_A_TIME)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


class StreamFeed:
    """Brings the records of one table's stream to a function, from the first one on; `client` is boto3's."""

    def __init__(self, client: Any, stream_arn: str, function: BatchFunction) -> None:
        self._client = client
        self._arn = stream_arn
        self._function = function
        self._places: dict[str, str | None] = {}
        self._waiting: list[dict[str, Any]] = []
        self.brought = 0
        """How many records the function has taken."""

    def run(self) -> None:
        """Bring all that the stream has now, in its order. Raises Failed where a record fails again and again."""
        self._waiting += self._new()
        tries = 0
        while self._waiting:
            batch = self._waiting[:_BATCH]
            failed = _failed(self._function({"Records": batch}))
            numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
            taken = next((place for place, number in enumerate(numbers) if number in failed), len(batch))
            self._waiting = self._waiting[taken:]
            self.brought += taken
            tries = 0 if taken else tries + 1
            if tries == _TRIES:
                raise Failed("a record of the ledger's stream")

    def _new(self) -> list[dict[str, Any]]:
        description = self._client.describe_stream(StreamArn=self._arn)["StreamDescription"]
        for shard in description["Shards"]:
            if shard["ShardId"] not in self._places:
                begin = {"StreamArn": self._arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
                self._places[shard["ShardId"]] = self._client.get_shard_iterator(**begin)["ShardIterator"]
        return [record for shard in self._places for record in self._of(shard)]

    def _of(self, shard: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while (place := self._places[shard]) is not None:
            answer = self._client.get_records(ShardIterator=place)
            self._places[shard] = answer.get("NextShardIterator")
            if not answer["Records"]:
                break
            found += map(_as_json, answer["Records"])
        return found


def _failed(answer: Mapping[str, Any]) -> set[str]:
    return {failure["itemIdentifier"] for failure in answer.get("batchItemFailures", ())}


def _queue_record(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes", {}),
        "eventSource": "aws:sqs",
    }


def _as_json(value: Any) -> Any:
    """The record as an event has it: JSON, with bytes in base64 and moments in seconds since 1970."""
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_json(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.timestamp() if isinstance(value, datetime) else value
