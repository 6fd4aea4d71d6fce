"""SQS: jobs for later, and batches of them of which only what failed comes back."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from costtrace.aws.clients import AwsError, code_of
from costtrace.aws.failures import QueueUnavailable, shown
from costtrace.aws.invocation import Invocation
from costtrace.errors import CostTraceError, InvalidValue
from costtrace.jsontext import encode

Job = Mapping[str, Any]
"""One message of a queue: a JSON object. It never holds a phone number or a text that a person wrote."""

_log: Final = logging.getLogger("costtrace")


class NotYet(CostTraceError):  # noqa: N818 - names what is wrong
    """The job cannot be done now; it stays in the queue."""


class Queue:
    """One SQS queue to write to. `client` is boto3's."""

    def __init__(self, url: str, client: Any) -> None:
        self._url = url
        self._client = client

    @property
    def name(self) -> str:
        """The queue's own name, for people."""
        return self._url.rpartition("/")[2]

    def put(self, job: Job, *, delay_s: int = 0) -> None:
        """Put the job into the queue, to be seen after `delay_s` seconds, or after the queue's own delay.

        Raises QueueUnavailable where it may not be there.
        """
        delay = {"DelaySeconds": delay_s} if delay_s else {}
        try:
            self._client.send_message(QueueUrl=self._url, MessageBody=encode(dict(job)), **delay)
        except AwsError as error:
            raise QueueUnavailable(f"queue {self.name!r}: {code_of(error)} (sqs:SendMessage)") from None


def take_each(
    event: Mapping[str, Any], invocation: Invocation, take: Callable[[Job], object], *, reserve_s: float
) -> dict[str, Any]:
    """Do every job of that batch; the answer names those that failed, which SQS gives out again and then sets aside.

    A job is begun only while `reserve_s` seconds are left, so that none is cut off in the middle.
    """
    failed = [key for key, body in _jobs(event) if not _done(key, body, invocation, take, reserve_s)]
    return {"batchItemFailures": [{"itemIdentifier": key} for key in failed]}


def text_of(job: Job, name: str) -> str:
    """That field of the job. Raises InvalidValue where it is no text."""
    value = job.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidValue(name, type(value).__name__, "a text that is not empty")
    return value


def _jobs(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    records: Sequence[Mapping[str, Any]] = event.get("Records", ())
    return ((str(record["messageId"]), str(record.get("body", ""))) for record in records)


def _done(key: str, body: str, invocation: Invocation, take: Callable[[Job], object], reserve_s: float) -> bool:
    if invocation.remaining_s() < reserve_s:
        _log.warning("job %s is put off: no time is left for it in this call", key)
        return False
    try:
        take(_object(body))
    except NotYet as reason:
        _log.info("job %s is put off: %s", key, reason)
        return False
    except Exception as error:  # noqa: BLE001 - one job that fails must not fail the others of its batch
        _log.error("job %s failed: %s", key, shown(error))
        return False
    return True


def _object(body: str) -> Job:
    job = json.loads(body)
    if not isinstance(job, dict):
        raise InvalidValue("job", type(job).__name__, "a JSON object")
    return job
