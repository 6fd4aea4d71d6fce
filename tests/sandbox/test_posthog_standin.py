"""The stand-in for PostHog: the real SDK talks to it, and it does to events what PostHog does."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from posthog.client import Client

from costtrace.sandbox.posthog import Fault, Limits, PostHogServer

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
V1 = "/i/v1/analytics/events"
UUID = "0199d3a0-0000-7000-8000-000000000001"


@pytest.fixture
def posthog() -> Iterator[PostHogServer]:
    with PostHogServer() as server:
        yield server


def sdk(server: PostHogServer, **options: Any) -> Client:
    return Client(server.project_token, host=server.host, sync_mode=True, timeout=2, max_retries=0, **options)


def asked(
    server: PostHogServer, path: str, body: object, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """A POST, by hand."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.host}{path}", data, dict(headers or {}))  # noqa: S310 - on loopback
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - as above
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def event(**changes: Any) -> dict[str, Any]:
    known = {
        "event": "e",
        "uuid": UUID,
        "distinct_id": "u1",
        "timestamp": "2026-11-22T12:00:00.000Z",
        "properties": {"a": 1},
    }
    return {**known, **changes}


def v1(server: PostHogServer, *events: dict[str, Any], without: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    """A request to the endpoint that answers for each event."""
    known = {
        "Authorization": f"Bearer {server.project_token}",
        "PostHog-Sdk-Info": "test/1",
        "PostHog-Attempt": "1",
        "PostHog-Request-Id": str(uuid4()),
        "PostHog-Request-Timestamp": datetime.now(UTC).isoformat(),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    known.pop(without, None)
    body = {"created_at": datetime.now(UTC).isoformat(), "batch": [{"options": {}, **one} for one in events]}
    return asked(server, V1, body, known)


def batch(server: PostHogServer, *events: dict[str, Any], **more: Any) -> tuple[int, dict[str, Any]]:
    body = {"api_key": server.project_token, "sent_at": datetime.now(UTC).isoformat(), "batch": list(events), **more}
    return asked(server, "/batch/", body)


@pytest.mark.parametrize("mode", ["v0", "v1"])
def test_the_real_sdk_delivers(posthog: PostHogServer, mode: Any) -> None:
    client = sdk(posthog, capture_mode=mode)
    client.capture("e", distinct_id="u1", properties={"a": 1})
    client.shutdown()

    (stored,) = posthog.events
    assert (stored.event, stored.distinct_id, stored.properties["a"]) == ("e", "u1", 1)


@pytest.mark.parametrize("mode", ["v0", "v1"])
def test_the_real_sdk_loses_what_a_failing_server_does_not_take(posthog: PostHogServer, mode: Any) -> None:
    """Why it cannot be what delivers costs."""
    posthog.outage = Fault(status=503)
    client = sdk(posthog, capture_mode=mode)
    client.capture("e", distinct_id="u1")
    posthog.outage = None
    client.shutdown()

    assert posthog.copies == []
    assert posthog.calls


def test_an_answer_for_each_event(posthog: PostHogServer) -> None:
    assert v1(posthog, event()) == (200, {"results": {UUID: {"result": "ok"}}})


@pytest.mark.parametrize(
    ("fault", "stored", "answer"),
    [
        (Fault(result="warning", details="w"), 1, {UUID: {"result": "warning", "details": "w"}}),
        (Fault(result="retry"), 0, {UUID: {"result": "retry"}}),
        (Fault(result="retry", applied=True), 1, {UUID: {"result": "retry"}}),
        (Fault(result="drop", details="d"), 0, {UUID: {"result": "drop", "details": "d"}}),
        (Fault(result="missing"), 0, {}),
        (Fault(quota=("events",)), 0, {UUID: {"result": "drop", "details": "billing_limit_exceeded"}}),
        (Fault(result="drop", which=lambda one: one["event"] == "other"), 1, {UUID: {"result": "ok"}}),
    ],
)
def test_scripted_answers(posthog: PostHogServer, fault: Fault, stored: int, answer: dict[str, Any]) -> None:
    posthog.fail(fault)

    assert v1(posthog, event()) == (200, {"results": answer})
    assert len(posthog.copies) == stored


def test_a_fault_is_for_one_request_and_an_outage_for_all(posthog: PostHogServer) -> None:
    posthog.fail(Fault(status=500))
    assert [v1(posthog, event())[0] for _ in range(2)] == [500, 200]

    posthog.outage = Fault(status=503)
    assert [v1(posthog, event())[0] for _ in range(3)] == [503, 503, 503]
    posthog.outage = None
    assert v1(posthog, event())[0] == 200


def test_one_uuid_twice_in_a_request_refuses_all_of_it(posthog: PostHogServer) -> None:
    assert v1(posthog, event(), event(event="f"))[0] == 400
    assert batch(posthog, event(), event(event="f"))[0] == 200
    assert len(posthog.copies) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"uuid": "no-uuid"},
        {"uuid": None},
        {"distinct_id": ""},
        {"timestamp": "2026-11-22T12:00:00"},
        {"timestamp": "soon"},
        {"properties": None},
        {"options": {"disable_skew_correction": "true"}},
        {"options": {"unheard_of": True}},
        {"unheard_of": 1},
    ],
)
def test_what_is_no_event_refuses_the_whole_request(posthog: PostHogServer, changes: dict[str, Any]) -> None:
    assert v1(posthog, event(uuid=str(uuid4())), event(**changes))[0] == 400
    assert posthog.copies == []


@pytest.mark.parametrize(
    "header", ["PostHog-Sdk-Info", "PostHog-Attempt", "PostHog-Request-Id", "PostHog-Request-Timestamp"]
)
def test_headers_that_have_to_be_there(posthog: PostHogServer, header: str) -> None:
    assert v1(posthog, event(), without=header)[0] == 400


def test_a_wrong_token(posthog: PostHogServer) -> None:
    assert v1(posthog, event(), Authorization="Bearer phc_other")[0] == 401
    assert batch(posthog, event(), api_key="phc_other")[0] == 401


def test_an_installation_without_the_newer_endpoint(posthog: PostHogServer) -> None:
    posthog.v1 = False

    assert v1(posthog, event())[0] == 404
    assert batch(posthog, event()) == (200, {"status": 1})


def test_over_quota_the_older_one_says_200_all_the_same(posthog: PostHogServer) -> None:
    posthog.outage = Fault(quota=("events",))

    assert batch(posthog, event()) == (200, {"status": 1, "quota_limited": ["events"]})
    assert posthog.copies == []


def test_too_large() -> None:
    with PostHogServer(limits=Limits(request=2_000, event=1_000)) as server:
        assert v1(server, *(event(uuid=str(uuid4())) for _ in range(20)))[0] == 413
        assert v1(server, event(properties={"a": "x" * 1_000}))[0] == 413
        assert server.copies == []


def test_a_poisonous_event() -> None:
    with PostHogServer(poison=lambda one: one["event"] == "bad") as server:
        assert v1(server, event(), event(uuid=str(uuid4()), event="bad"))[0] == 400
        assert v1(server, event())[0] == 200


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"batch": []}', b'{"batch": 1}'])
def test_what_is_no_request(posthog: PostHogServer, content: bytes) -> None:
    assert asked(posthog, "/batch/", content)[0] in {400, 401}


def test_copies_merge_by_day_event_person_and_uuid_and_the_newest_stays(posthog: PostHogServer) -> None:
    for changes in ({}, {"properties": {"a": 2}}, {"distinct_id": "u2"}, {"timestamp": "2026-11-21T23:59:59.000Z"}):
        v1(posthog, event(options={"disable_skew_correction": True}, **changes))

    assert len(posthog.copies) == 4
    assert [row.properties["a"] for row in posthog.events] == [2, 1, 1]
    (seen,) = posthog.distinct
    assert seen.timestamp == datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)


def test_time_is_moved_by_what_lies_between_sending_and_storing_unless_the_event_says_no() -> None:
    """An event that is a second before midnight when it is sent, and two seconds later stored, is of the next day."""
    now = NOON + timedelta(seconds=2)
    at_noon = NOON.isoformat()
    with PostHogServer(clock=lambda: now) as server:
        batch(server, event(), sent_at=at_noon)
        batch(server, event(properties={"$ignore_sent_at": True}), sent_at=at_noon)
        v1(server, event(), PostHog_Request_Timestamp=at_noon)
        v1(server, event(options={"disable_skew_correction": True}), PostHog_Request_Timestamp=at_noon)

    assert [(copy.timestamp - NOON).total_seconds() for copy in server.copies] == [2, 0, 2, 0]


def test_queries_go_to_the_runner(posthog: PostHogServer) -> None:
    seen: list[Any] = []

    def runner(payload: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        seen.append((payload, events))
        return {"results": [[len(events)]], "columns": ["n"]}

    v1(posthog, event())
    key = {"Authorization": f"Bearer {posthog.personal_key}"}
    query = {"query": {"kind": "HogQLQuery", "query": "SELECT count() AS n FROM events"}}
    assert asked(posthog, "/api/projects/1/query/", query, key)[0] == 501

    posthog.query_runner = runner
    assert asked(posthog, "/api/projects/1/query/", query, key) == (200, {"results": [[1]], "columns": ["n"]})
    assert seen[0][0] == query
    assert seen[0][1][0]["uuid"] == UUID
    assert asked(posthog, "/api/projects/1/query/", query, {"Authorization": "Bearer no"})[0] == 401
    assert asked(posthog, "/api/projects/2/query/", query, key)[0] == 404


def test_what_is_not_there(posthog: PostHogServer) -> None:
    assert asked(posthog, "/elsewhere", {})[0] == 404
    with pytest.raises(urllib.error.HTTPError, match="405") as caught:
        urllib.request.urlopen(f"{posthog.host}/batch/")  # noqa: S310 - on loopback
    caught.value.close()
