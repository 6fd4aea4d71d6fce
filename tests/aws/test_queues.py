"""Batches of jobs: only what failed comes back, and no job is begun that could not end in time."""

from __future__ import annotations

import json
import logging

import pytest

from costtrace.aws.failures import QueueUnavailable
from costtrace.aws.queues import Job, NotYet, Queue, take_each, text_of
from costtrace.errors import InvalidValue
from tests.aws.parts import Sqs, call, queue
from tests.peers.emulator import Account


def batch(*bodies: str) -> dict[str, object]:
    return {"Records": [{"messageId": f"m-{number}", "body": body} for number, body in enumerate(bodies)]}


def failures(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_only_what_failed_comes_back(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Job] = []

    def take(job: Job) -> None:
        if job["n"] == 1:
            raise NotYet("nobody knows it")
        if job["n"] == 2:
            raise ValueError("quotes +14155550123")
        done.append(job)

    with caplog.at_level(logging.INFO, "costtrace"):
        answer = take_each(batch('{"n": 0}', '{"n": 1}', '{"n": 2}', '{"n": 3}'), call(), take, reserve_s=1)

    assert failures(answer) == ["m-1", "m-2"]
    assert done == [{"n": 0}, {"n": 3}]
    assert "job m-1 is put off: nobody knows it" in caplog.text
    assert "job m-2 failed: ValueError at " in caplog.text
    assert "+1415" not in caplog.text


@pytest.mark.parametrize("body", ["", "no JSON", "[]", "null", '"text"'])
def test_a_body_that_is_no_object_fails(body: str) -> None:
    assert failures(take_each(batch(body), call(), lambda _: None, reserve_s=1)) == ["m-0"]


def test_a_job_is_not_begun_without_the_time_it_may_take() -> None:
    begun: list[Job] = []
    answer = take_each(batch('{"n": 0}'), call(seconds=5), begun.append, reserve_s=6)
    assert (failures(answer), begun) == (["m-0"], [])


def test_an_empty_batch_is_done() -> None:
    assert failures(take_each({}, call(), lambda _: None, reserve_s=1)) == []


def test_a_job_is_put_with_its_delay() -> None:
    sqs = Sqs()
    queue(sqs).put({"a": 1})
    queue(sqs).put({"a": 2}, delay_s=60)
    assert sqs.jobs == [{"a": 1}, {"a": 2}]
    assert [request.get("DelaySeconds") for request in sqs.sent] == [None, 60]


def test_a_queue_that_is_down_is_named_without_its_account() -> None:
    with pytest.raises(QueueUnavailable) as refused:
        queue(Sqs(down=True)).put({"a": 1})
    assert str(refused.value) == "queue 'dead': EndpointConnectionError (sqs:SendMessage)"


def test_a_queue_that_does_not_exist_is_named(aws: Account) -> None:
    missing = Queue(f"{aws.endpoint}/{aws.access_key_id}/missing", aws.client("sqs"))
    with pytest.raises(QueueUnavailable, match=r"queue 'missing': .*NonExistent"):
        missing.put({"a": 1})


def test_a_job_goes_through_sqs_unchanged(aws: Account) -> None:
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    Queue(url, sqs).put({"message_uuid": "u-1", "text": "é"})
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert json.loads(message["Body"]) == {"message_uuid": "u-1", "text": "é"}


@pytest.mark.parametrize("value", [None, 7, "", []])
def test_a_field_that_is_no_text_is_named_without_its_value(value: object) -> None:
    with pytest.raises(InvalidValue, match=r"^thread_id: expected a text that is not empty, got '\w+'$"):
        text_of({"thread_id": value}, "thread_id")
