"""A call of a function without Lambda, and a queue that keeps what is put into it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import EndpointConnectionError

from costtrace.aws.invocation import Invocation
from costtrace.aws.queues import Queue


@dataclass
class Lambda:
    """What Lambda says of a call."""

    seconds: float = 30.0
    aws_request_id: str = "call-1"
    began: float = field(default_factory=time.monotonic)

    def get_remaining_time_in_millis(self) -> int:
        return int((self.began + self.seconds - time.monotonic()) * 1000)


def call(seconds: float = 30.0) -> Invocation:
    return Invocation(Lambda(seconds))


@dataclass
class Sqs:
    """boto3's client, as far as a queue is written to; down where it is told so."""

    down: bool = False
    sent: list[dict[str, Any]] = field(default_factory=list)

    def send_message(self, **request: Any) -> dict[str, str]:
        if self.down:
            raise EndpointConnectionError(endpoint_url="https://sqs")
        self.sent.append(request)
        return {"MessageId": str(len(self.sent))}

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return [json.loads(request["MessageBody"]) for request in self.sent]


def queue(sqs: Sqs) -> Queue:
    return Queue("https://sqs.example.com/000000000000/dead", sqs)
