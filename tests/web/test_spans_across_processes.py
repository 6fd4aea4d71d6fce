"""One SMS, three processes, three traces: what reaches a collector tells that they are one story."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler, TraceIdRatioBased
from twilio.rest import Client

from costtrace import CostCallbackHandler
from costtrace.context import message_scope
from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.sampling import link_aware
from costtrace.sandbox.openai import OpenAIServer
from costtrace.sandbox.twilio import Fate, Fault, TwilioServer
from costtrace.twilio import SendUnknown, SentMessage, SmsSender
from costtrace.twilio.legs import legs
from tests.langchain.calls import chat_model
from tests.otlp.capture import CaptureServer
from tests.otlp.captured import CapturedSpan
from tests.otlp.fixtures import otlp as otlp  # noqa: PLC0414 - a fixture
from tests.sandbox.twilio_app import OURS, PHONE, sdk

_OTHER = Path(__file__).with_name("other_process.py")
_ROOT = Path(__file__).parents[2]

Make = Callable[[Sampler], "Sending"]


class Sending:
    """The process that sends: this one."""

    def __init__(self, ledger: SqliteLedger, client: Client, callback: str, provider: TracerProvider) -> None:
        self.ledger = ledger
        self.recorder = Recorder(ledger, tracer_provider=provider)
        self.sender = SmsSender(client, self.recorder, status_callback=callback)
        self.provider = provider

    def send(self, message_uuid: str | None = None) -> SentMessage:
        return self.sender.send(to=PHONE, from_=OURS, body="On its way.", message_uuid=message_uuid)


@pytest.fixture
def server() -> Iterator[TwilioServer]:
    with TwilioServer() as running:
        yield running


@pytest.fixture
def client(server: TwilioServer) -> Iterator[Client]:
    with sdk(server) as connected:
        yield connected


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    store = SqliteLedger(tmp_path / "costs.db")
    yield store
    store.close()


def environment(otlp: CaptureServer, more: Mapping[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return {**plain, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.endpoint, "PYTHONPATH": str(_ROOT), **more}


@contextmanager
def webhooks(ledger: SqliteLedger, server: TwilioServer, otlp: CaptureServer, **more: str) -> Iterator[str]:
    """The process that takes webhooks; its address. At its end it has sent its spans."""
    command = [sys.executable, str(_OTHER), "serve", f"sqlite:///{ledger.path}", server.auth_token]
    process = subprocess.Popen(
        command, env=environment(otlp, more), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        yield f"{process.stdout.readline().strip()}/sms/callback"
        process.communicate(timeout=60)
    assert process.returncode == 0


def settled(ledger: SqliteLedger, server: TwilioServer, otlp: CaptureServer) -> int:
    """The process that asks for prices; how many it learned."""
    command = [sys.executable, str(_OTHER), "settle", f"sqlite:///{ledger.path}", server.account_sid]
    command += [server.auth_token, server.base_url]
    done = subprocess.run(command, env=environment(otlp, {}), capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@contextmanager
def sending(
    ledger: SqliteLedger, client: Client, callback: str, otlp: CaptureServer, sampler: Sampler = ALWAYS_ON
) -> Iterator[Sending]:
    provider = TracerProvider(sampler=link_aware(sampler), resource=Resource.create({"service.name": "send"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(otlp.traces_url)))
    yield Sending(ledger, client, callback, provider)
    provider.shutdown()


def named(spans: Sequence[CapturedSpan], name: str) -> list[CapturedSpan]:
    return [span for span in spans if span.name == name]


def linked(span: CapturedSpan) -> list[tuple[str, str, object]]:
    return [(link.trace_id, link.span_id, link.attributes.get("costtrace.link.type")) for link in span.links]


def test_model_call_sending_callbacks_and_price_are_one_story(
    ledger: SqliteLedger, server: TwilioServer, client: Client, otlp: CaptureServer
) -> None:
    server.script(Fate(callbacks=("delivered", "sent", "delivered")))
    with (
        OpenAIServer() as provider,
        webhooks(ledger, server, otlp) as callback,
        sending(ledger, client, callback, otlp) as ours,
        message_scope() as scope,
    ):
        model, handler = chat_model(provider), CostCallbackHandler(ours.recorder)

        def reply(question: str, config: RunnableConfig) -> SentMessage:
            model.invoke(question, config)
            return ours.send()

        RunnableLambda(reply).invoke("Where is my parcel?", {"callbacks": [handler]})
        server.wait()
    assert settled(ledger, server, otlp) == 1

    spans = otlp.spans()
    (root,), (send,), (price,) = named(spans, "invoke_workflow reply"), named(spans, "send sms"), spans[-1:]
    (chat,) = (span for span in spans if span.name.startswith("chat "))
    statuses = named(spans, "process sms.status")
    assert {span.attributes["costtrace.message_uuid"] for span in spans} == {scope.uuid}

    assert (send.kind, send.parent_span_id, send.trace_id) == ("PRODUCER", root.span_id, root.trace_id)
    assert (chat.kind, chat.parent_span_id) == ("CLIENT", root.span_id)
    assert linked(send) == [(chat.trace_id, chat.span_id, "generated_by")]
    assert [(span.kind, span.parent_span_id) for span in statuses] == [("CONSUMER", "")] * 3
    assert [span.attributes["costtrace.sms.status"] for span in statuses] == ["delivered", "sent", "delivered"]
    assert [span.attributes.get("costtrace.sms.duplicate") for span in statuses] == [None, None, True]
    assert (price.name, price.kind, price.parent_span_id) == ("reconcile sms.price", "INTERNAL", "")
    for span, type_ in (*((status, "status_of") for status in statuses), (price, "price_of")):
        assert linked(span) == [(send.trace_id, send.span_id, type_)]
    assert len({span.trace_id for span in (root, *statuses, price)}) == 5
    assert {str(span.resource["service.name"]) for span in spans} == {"send", "serve", "settle"}

    assert repr(price.attributes["operation.cost"]) == "0.0083"
    assert price.attributes["costtrace.cost.usd"] == "0.0083"
    costs = [float(span.attributes["operation.cost"]) for span in spans if "operation.cost" in span.attributes]
    assert sum(costs) == pytest.approx(float(ledger.message(scope.uuid).total.actual["USD"]))
    assert b"+1415555" not in b"".join(otlp.bodies())


def test_a_sending_whose_answer_was_lost_is_found_again_by_its_callbacks(
    ledger: SqliteLedger, server: TwilioServer, client: Client, otlp: CaptureServer
) -> None:
    server.fail(Fault(on="create", dropped=True, applied=True))
    with webhooks(ledger, server, otlp) as callback, sending(ledger, client, callback, otlp) as ours:
        with pytest.raises(SendUnknown) as caught:
            ours.send()
        server.wait()

    (send,), statuses = named(otlp.spans(), "send sms"), named(otlp.spans(), "process sms.status")
    assert (send.status.code, send.attributes["error.type"]) == ("ERROR", "send_unknown")
    assert [linked(span) for span in statuses] == [[(send.trace_id, send.span_id, "status_of")]] * 2
    assert {span.attributes["messaging.message.id"] for span in statuses} == {server.messages[0].sid}
    (leg,) = legs(ledger.message(caught.value.message_uuid))
    assert leg.delivery is not None
    assert leg.delivery.status == "delivered"


@pytest.mark.parametrize("ratio", ["0.0", "0.1", "1.0"])
def test_a_callback_is_kept_exactly_when_its_sending_was(
    ledger: SqliteLedger, server: TwilioServer, client: Client, otlp: CaptureServer, ratio: str
) -> None:
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio}
    with (
        webhooks(ledger, server, otlp, **sampler) as callback,
        sending(ledger, client, callback, otlp, TraceIdRatioBased(float(ratio))) as ours,
    ):
        for number in range(60):
            ours.send(f"m{number}")
        server.wait()

    spans = otlp.spans()
    sends = {span.span_id for span in named(spans, "send sms")}
    told = [span.links[0].span_id for span in named(spans, "process sms.status")]
    assert sorted(told) == sorted([*sends, *sends])  # sent and delivered
    kept = {entry.span.span_id for _, entry in ledger.entries() if entry.span is not None and entry.span.sampled}
    assert sends == kept
    for number in range(60):
        message = ledger.message(f"m{number}")
        (leg,) = legs(message)
        assert leg.delivery is not None
        assert (leg.delivery.status, len(message.entries)) == ("delivered", 5)
