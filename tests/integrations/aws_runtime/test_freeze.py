"""What Lambda does to a process: it is stopped the moment the answer is there, and killed without a word."""

from __future__ import annotations

import gzip
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Self
from uuid import uuid4

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from costtrace.aws.turns import reply_uuid_of
from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.sandbox.openai import OpenAIServer, Reply
from tests.bars import within
from tests.integrations.aws_runtime.runtime import Function, FunctionFailed, http_event, json_event
from tests.integrations.aws_runtime.stack import Stack
from tests.web.parts import callback, sid


class Collector:
    """Takes traces as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._server = LoopbackServer(self._answer, name="collector")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def address(self) -> str:
        return self._server.address

    async def _answer(self, request: Request) -> Response:
        body = gzip.decompress(request.body) if request.headers.get("content-encoding") == "gzip" else request.body
        received = ExportTraceServiceRequest.FromString(body)
        self.names += [
            span.name for spans in received.resource_spans for scope in spans.scope_spans for span in scope.spans
        ]
        return Response(status=200, body=b"", headers={"content-type": "application/x-protobuf"})


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def question() -> dict[str, Any]:
    return {"thread_id": f"t-{uuid4()}", "user_id": "u1", "message": "Yes?", "message_uuid": str(uuid4())}


def frozen_after(function: Function, event: dict[str, Any]) -> tuple[Any, float]:
    """The answer, after which the process is stopped at once; and how long it took."""
    function.wait_until_ready()
    began = time.perf_counter()
    answer = function.result(function.begin(event))
    took = time.perf_counter() - began
    function.freeze()
    return answer, took


def test_a_process_that_is_frozen_with_its_answer_has_sent_every_span_and_entry(
    stack: Stack, openai: OpenAIServer, collector: Collector
) -> None:
    openai.script(Reply(text="Yes."))
    function = stack.function("chat", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address)
    request = question()

    answer, _ = frozen_after(function, json_event(request))

    assert answer["statusCode"] == 200
    assert sorted(collector.names) == ["POST /chat", "chat gpt-4o-mini"]
    kinds = [entry.kind for entry in stack.ledger.message(reply_uuid_of(request["message_uuid"])).entries]
    assert kinds == ["llm"]
    (entry,) = stack.ledger.message(reply_uuid_of(request["message_uuid"])).entries
    assert entry.span is not None
    function.thaw()
    assert function(json_event(question()))["statusCode"] == 200
    assert collector.names.count("chat gpt-4o-mini") == 2


def test_a_collector_that_hangs_delays_no_answer_by_more_than_600_ms(stack: Stack, hanging: str) -> None:
    """Measured against the same function without a collector, its first call included."""
    plain = stack.function("sms_callback")
    traced = stack.function("sms_callback", OTEL_EXPORTER_OTLP_ENDPOINT=hanging)
    took: dict[str, list[float]] = {"plain": [], "traced": []}
    for number in range(4):
        for name, function in (("plain", plain), ("traced", traced)):
            request = callback(
                number, "sent", message_uuid=str(uuid4()), send=f"s-{number}", token=stack.twilio.auth_token
            )
            function.wait_until_ready()
            began = time.perf_counter()
            assert function(http_event(request)) == {"statusCode": 204}
            took[name].append(time.perf_counter() - began)
    assert max(took["traced"]) - min(took["plain"]) < within(0.6)


def test_a_posthog_that_hangs_delays_no_answer(stack: Stack, hanging: str) -> None:
    """The stream delivers: the functions that answer never ask it."""
    function = stack.function(
        "sms_callback", COSTTRACE_EXPORTERS="posthog", POSTHOG_HOST=hanging, POSTHOG_API_KEY="phc_test"
    )
    request = callback(9, "sent", message_uuid=str(uuid4()), send="s-9", token=stack.twilio.auth_token)
    function(http_event(request))
    began = time.perf_counter()
    assert function(http_event(request)) == {"statusCode": 204}
    assert time.perf_counter() - began < within(0.6)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_ended_during_a_call_has_lost_no_entry_of_it(
    stack: Stack, openai: OpenAIServer, how: signal.Signals
) -> None:
    """The model has answered and the client has not when the process ends."""
    function = stack.function("chat", COSTTRACE_LEDGER=stack.environment["COSTTRACE_LEDGER"])
    function.wait_until_ready()
    openai.script(Reply(text="Yes.", delay_s=0.2))
    request = question()
    function.begin(json_event(request))

    uuid = reply_uuid_of(request["message_uuid"])
    entries = _when_stored(stack, uuid)
    function.end(how)

    assert [entry.kind for entry in entries] == ["llm"]
    assert stack.ledger.message(uuid).entries == tuple(entries)


def test_a_model_call_that_outlives_the_function_is_in_the_ledger(stack: Stack, openai: OpenAIServer) -> None:
    """Shortly before Lambda kills the process, the call is written down as one whose end nobody saw."""
    function = stack.function("chat", COSTTRACE_ENVIRONMENT="slow")
    function.wait_until_ready()
    openai.script(Reply(text="Too late.", delay_s=8))
    request = question()

    function.begin(json_event(request), timeout_s=3.5)
    entries = _when_stored(stack, reply_uuid_of(request["message_uuid"]))
    function.end(signal.SIGKILL)

    assert [(entry.kind, entry.status, entry.cost) for entry in entries] == [("llm", "abandoned", None)]
    assert stack.ledger.message(reply_uuid_of(request["message_uuid"])).total.unpriced == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_every_status_that_was_answered_outlives_the_process(stack: Stack, how: signal.Signals) -> None:
    function = stack.function("sms_callback", COSTTRACE_ENVIRONMENT=how.name)
    function.wait_until_ready()
    answered: list[tuple[str, str]] = []
    ended = threading.Timer(0.5, function.end, (how,))
    ended.start()
    for number in range(how * 100_000, (how + 1) * 100_000):
        uuid = str(uuid4())
        request = callback(number, "sent", message_uuid=uuid, send=f"s-{number}", token=stack.twilio.auth_token)
        try:
            assert function.result(function.begin(http_event(request)), timeout_s=2) == {"statusCode": 204}
        except AssertionError:
            break
        answered.append((uuid, sid(number)))
    ended.join()

    assert answered
    for uuid, name in answered:
        found = {entry.entry_id for entry in stack.ledger.message(uuid).entries}
        assert found == {f"sms/{name}", f"sms-status/{name}/sent"}


def test_a_function_that_lacks_a_setting_says_so_when_it_is_initialised(stack: Stack) -> None:
    function = stack.function("sms_callback", TWILIO_AUTH_TOKEN="")
    with pytest.raises(FunctionFailed, match="TWILIO_AUTH_TOKEN is not set"):
        function.wait_until_ready()


def _when_stored(stack: Stack, uuid: str) -> list[Any]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return list(stack.ledger.message(uuid).entries)
        except LookupError:
            time.sleep(0.005)
    raise AssertionError("nothing was stored")
