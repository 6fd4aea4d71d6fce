"""Functions that Twilio calls show what they took, before they are frozen and without keeping Twilio waiting."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from costtrace.aws.callbacks import ParkedStatuses, SmsCallback
from costtrace.aws.inbound import SmsInbound
from costtrace.aws.invocation import FLUSH_S, invoked
from costtrace.aws.schedules import ReconcileList, SettlePrices
from costtrace.aws.telemetry import Traces
from costtrace.chat import ChatMessages
from costtrace.context import Context
from costtrace.entry import SpanRef
from costtrace.ledger import Ledger, SqliteLedger
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.messages import Message
from costtrace.testing import MemoryLedger
from costtrace.tracing import Tracing, traceparent_of
from costtrace.twilio import NumberHasher
from costtrace.twilio.entries import bound_entry, message_uuid_of, send_entry
from costtrace.twilio.envelope import envelope
from costtrace.twilio.signature import Verifier
from tests.aws.parts import Lambda, Sqs, call, queue
from tests.bars import within
from tests.integrations.aws_runtime.runtime import http_event
from tests.otlp.capture import CaptureServer
from tests.otlp.captured import CapturedSpan
from tests.otlp.fixtures import otlp as otlp  # noqa: PLC0414 - a fixture
from tests.peers.emulator import Account as AwsAccount
from tests.sandbox.twilio_app import OURS, PHONE
from tests.twilio.account import HASHER, account
from tests.twilio.traced import Traced, link_to, links, parent, ref, traced
from tests.web.parts import BASE, TOKEN, Posted, callback, inbound, sid

UUID = "0199d3a0-0000-7000-8000-000000000001"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SENDING = SpanRef(trace_id="c" * 32, span_id="d" * 16)
VERIFIER = Verifier(tokens=TOKEN, public_base=BASE)


@pytest.fixture
def trace() -> Iterator[Traced]:
    with traced() as made:
        yield made


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def sent(ledger: Ledger, sending: SpanRef = SENDING) -> None:
    kept = envelope(to=PHONE, from_=OURS, body="On its way.", num_media=0, at=NOW)
    place = {"traceparent": traceparent_of(sending)}
    context = Context(direction="outbound")
    ledger.append([send_entry("s-1", message_uuid=UUID, context=context, kept=kept, now=NOW, details=place)])


def told(status: str) -> Posted:
    return callback(1, status, message_uuid=UUID, send="s-1")


def function(ledger: Ledger, tracing: Tracing, sqs: Sqs | None = None) -> SmsCallback:
    return SmsCallback(ledger, VERIFIER, parked=queue(sqs or Sqs()), now=lambda: NOW, tracing=tracing)


def test_a_status_is_linked_to_its_sending_below_the_call_of_the_function(ledger: MemoryLedger, trace: Traced) -> None:
    sent(ledger)
    take = function(ledger, Tracing(trace.provider))
    with trace.tracer.start_as_current_span("POST /sms/callback"):
        answers = [take(http_event(told(status)), call()) for status in ("delivered", "delivered")]

    assert answers == [{"statusCode": 204}] * 2
    first, again = trace.named("process sms.status")
    for span in (first, again):
        assert links(span) == [link_to(SENDING, "status_of")]
        assert parent(span) == ref(trace.one("POST /sms/callback")).span_id
    assert (again.attributes or {})["costtrace.sms.duplicate"] is True
    assert "costtrace.sms.duplicate" not in (first.attributes or {})


def test_a_forged_status_is_no_span(ledger: MemoryLedger, trace: Traced) -> None:
    sent(ledger)
    forged = callback(1, "delivered", message_uuid=UUID, send="s-1", token="f" * 32)
    assert function(ledger, Tracing(trace.provider))(http_event(forged), call()) == {"statusCode": 403}
    assert trace.spans == []


def test_a_parked_status_is_shown_when_it_is_stored(ledger: MemoryLedger, trace: Traced) -> None:
    sqs = Sqs()
    tracing = Tracing(trace.provider)
    assert function(ledger, tracing, sqs)(http_event(callback(1, "sent")), call()) == {"statusCode": 204}
    assert (trace.spans, len(sqs.jobs)) == ([], 1)

    batch = {"Records": [{"messageId": "1", "body": json.dumps(sqs.jobs[0])}]}
    take = ParkedStatuses(ledger, now=lambda: NOW, tracing=tracing)
    assert take(batch, call())["batchItemFailures"]
    assert trace.spans == []
    sent(ledger)
    ledger.append([bound_entry(sid(1), send_id="s-1", message_uuid=UUID, now=NOW)])
    assert not take(batch, call())["batchItemFailures"]
    assert links(trace.one("process sms.status")) == [link_to(SENDING, "status_of")]


def test_a_lookup_that_hangs_delays_the_answer_briefly_and_costs_the_span(tmp_path: Path, trace: Traced) -> None:
    release = threading.Event()

    class Hanging(SqliteLedger):
        def message(self, message_uuid: str) -> Message:
            assert release.wait(20)
            return super().message(message_uuid)

    store = Hanging(tmp_path / "costs.db")
    sent(store)
    take = function(store, Tracing(trace.provider))
    began = time.monotonic()
    assert take(http_event(told("sent")), call()) == {"statusCode": 204}
    assert time.monotonic() - began < within(0.6)
    assert trace.spans == []
    assert len([entry for _, entry in store.entries()]) == 3
    release.set()
    for thread in threading.enumerate():
        if thread.name == "costtrace flush":
            thread.join(20)
    store.close()


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("root", ["always_on", "always_off"])
def test_a_function_keeps_a_callback_exactly_when_its_sending_was_kept(
    otlp: CaptureServer,
    ledger: MemoryLedger,
    monkeypatch: pytest.MonkeyPatch,
    sampled: bool,  # noqa: FBT001 - a parameter of the test
    root: str,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp.endpoint)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", f"parentbased_{root}")
    sending = SpanRef(trace_id="c" * 32, span_id="d" * 16, sampled=sampled)
    sent(ledger, sending)
    traces = Traces(timeout_s=FLUSH_S - 0.05)
    take = function(ledger, Tracing(traces.provider))
    with (
        invoked(Lambda(), recorder=lambda: None, flushes=[traces.flush]) as invocation,
        traces.call("POST /sms/callback", invocation.id),
    ):
        take(http_event(told("sent")), invocation)

    spans = {span.name: span for span in otlp.spans()}  # there before the answer was given
    assert ("POST /sms/callback" in spans, "process sms.status" in spans) == (root == "always_on", sampled)
    if sampled:
        assert _linked(spans["process sms.status"]) == [(sending.trace_id, sending.span_id)]
    traces.provider.shutdown()


def _linked(span: CapturedSpan) -> list[tuple[str, str]]:
    return [(link.trace_id, link.span_id) for link in span.links]


def test_scheduled_work_shows_each_price_once(trace: Traced) -> None:
    with account(MemoryLedger()) as twilio:
        sending = twilio.send()
        twilio.deliver(sending)
        twilio.after(minutes=1)
        tracing = Tracing(trace.provider)
        settle = SettlePrices(twilio.ledger, twilio.client, now=twilio.clock, tracing=tracing)
        reconcile = ReconcileList(twilio.ledger, twilio.client, hasher=HASHER, now=twilio.clock, tracing=tracing)
        with trace.tracer.start_as_current_span("settlement"):
            assert settle({}, call())["priced"] == 1
        assert reconcile({"days": 1}, call())["priced"] == 0
        span = trace.one("reconcile sms.price")
        assert (span.parent, (span.attributes or {})["costtrace.cost.usd"]) == (None, "0.0083")

        twilio.server.reprice(sending.sid, "-0.00790")
        twilio.after(hours=1)
        assert reconcile({"days": 1}, call())["revised"] == 1
        said: Mapping[str, Any] = trace.named("reconcile sms.price")[1].attributes or {}
        assert (said["costtrace.cost.usd"], said["costtrace.sms.price.usd"]) == ("-0.0004", "0.0079")


def test_a_message_that_came_in_is_a_span(aws: AwsAccount, ledger: MemoryLedger, trace: Traced) -> None:
    create_tables(aws.client(), ledger=None)
    take = SmsInbound(
        ledger,
        ChatMessages(aws.client()),
        VERIFIER,
        replies=queue(Sqs()),
        hasher=NumberHasher(b"a key of the tests, 32 bytes lon"),
        now=lambda: NOW,
        tracing=Tracing(trace.provider),
    )
    assert take(http_event(inbound(1)), call())["statusCode"] == 200
    assert (trace.one("process sms.inbound").attributes or {})["costtrace.message_uuid"] == message_uuid_of(sid(1))
