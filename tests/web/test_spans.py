"""A webhook as a span: linked to a sending that the ledger knows, made after the answer, and never its undoing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode, use_span
from starlette.types import ASGIApp

from costtrace.context import Context
from costtrace.entry import SpanRef
from costtrace.errors import LedgerUnavailable
from costtrace.ledger import SqliteLedger
from costtrace.messages import Message
from costtrace.recorder import Recorder
from costtrace.sampling import LinkedSampler
from costtrace.times import from_micros
from costtrace.tracing import traceparent_of
from costtrace.twilio.entries import bound_entry, send_entry
from costtrace.twilio.envelope import envelope
from costtrace.twilio.signature import Verifier
from costtrace.twilio.webhook_spans import WebhookSpans
from costtrace.twilio.webhooks import StatusCallback
from costtrace.web import SmsWebhooks, create_app
from costtrace.web.background import Background
from tests.bars import within
from tests.twilio.traced import Raising, Traced, link_to, links, parent, ref, traced
from tests.web.parts import (
    ACCOUNT,
    BASE,
    NOW_NS,
    OURS,
    PHONE,
    TOKEN,
    Answer,
    Posted,
    callback,
    inbound,
    running,
    send,
    sid,
)

UUID = "0199d3a0-0000-7000-8000-000000000001"
SEND = "s-1"
SENT = Context(direction="outbound", thread_id="t1")
NOON = from_micros(NOW_NS // 1000)
SENDING = SpanRef(trace_id="c" * 32, span_id="d" * 16)
UNSAMPLED = replace(SENDING, sampled=False)


@pytest.fixture
def trace() -> Iterator[Traced]:
    with traced() as made:
        yield made


def sent(ledger: SqliteLedger, traceparent: object = traceparent_of(SENDING)) -> None:
    """Another process has sent the SMS, and its SID is known."""
    kept = envelope(to=PHONE, from_=OURS, body="On its way.", num_media=0, at=NOON)
    entry = send_entry(
        SEND,
        message_uuid=UUID,
        context=SENT,
        kept=kept,
        now=from_micros(NOW_NS // 1000 - 2_500_000),
        details={"traceparent": traceparent},
    )
    ledger.append([entry, bound_entry(sid(1), send_id=SEND, message_uuid=UUID, now=NOON)])


def told(status: str, **more: str) -> Posted:
    return callback(1, status, message_uuid=UUID, send=SEND, **more)


def app_of(recorder: Recorder) -> ASGIApp:
    return create_app(recorder, SmsWebhooks(recorder, Verifier(tokens=TOKEN, public_base=BASE)))


async def answers(app: ASGIApp, *requests: Posted) -> list[int]:
    """The status of each answer; all spans have been made when it returns."""
    async with running(app):
        return [(await send(app, request)).status for request in requests]


def recorder_of(ledger: SqliteLedger, trace: Traced, **options: Any) -> Recorder:
    return trace.recorder(ledger, clock=lambda: NOW_NS, **options)


async def test_a_status_is_a_trace_of_its_own_that_links_to_the_sending(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    assert await answers(app_of(recorder_of(ledger, trace)), told("delivered")) == [204]

    span = trace.one("process sms.status")
    assert (span.kind, span.parent, span.status.status_code) == (SpanKind.CONSUMER, None, StatusCode.UNSET)
    assert links(span) == [link_to(SENDING, "status_of")]
    assert dict(span.attributes or {}) == {
        "costtrace.message_uuid": UUID,
        "messaging.system": "twilio",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "sms.status",
        "messaging.message.id": sid(1),
        "gen_ai.conversation.id": "t1",
        "costtrace.sms.status": "delivered",
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 < span.end_time - span.start_time < 10_000_000_000
    assert not any(number in span.to_json() for number in (PHONE[1:], OURS[1:]))


async def test_a_sms_of_another_sender_is_linked_by_its_sid(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    await answers(app_of(recorder_of(ledger, trace)), callback(1, "sent"))
    span = trace.one("process sms.status")
    assert links(span) == [link_to(SENDING, "status_of")]
    assert (span.attributes or {})["costtrace.message_uuid"] == UUID


async def test_a_sms_that_nobody_knows_has_no_link(ledger: SqliteLedger, trace: Traced) -> None:
    await answers(app_of(recorder_of(ledger, trace)), callback(9, "sent"))
    span = trace.one("process sms.status")
    (stored,) = (entry for _, entry in ledger.entries())
    assert (links(span), (span.attributes or {})["costtrace.message_uuid"]) == ([], stored.message_uuid)


@pytest.mark.parametrize("kept", ["", "nonsense", f"00-{'0' * 32}-{'d' * 16}-01", "00-" + "c" * 32, 7])
async def test_a_stored_place_that_is_none_makes_no_link(ledger: SqliteLedger, trace: Traced, kept: object) -> None:
    sent(ledger, kept)
    assert await answers(app_of(recorder_of(ledger, trace)), told("sent")) == [204]
    assert links(trace.one("process sms.status")) == []


def within_request(app: ASGIApp, trace: Traced) -> ASGIApp:
    """The app as a web framework's instrumentation wraps it."""

    async def wrapped(scope: Any, receive: Any, send: Any) -> None:
        span = trace.tracer.start_span("POST /sms/callback", kind=SpanKind.SERVER)
        with use_span(span, end_on_exit=True):
            await app(scope, receive, send)

    return wrapped


async def posted(recorder: Recorder, trace: Traced, *requests: Posted) -> list[int]:
    app = app_of(recorder)
    async with running(app):
        return [(await send(within_request(app, trace), request)).status for request in requests]


async def test_inside_a_request_that_is_shown_it_stands_below_that_and_links(
    ledger: SqliteLedger, trace: Traced
) -> None:
    sent(ledger)
    await posted(recorder_of(ledger, trace), trace, told("sent"))
    span = trace.one("process sms.status")
    assert parent(span) == ref(trace.one("POST /sms/callback")).span_id
    assert links(span) == [link_to(SENDING, "status_of")]


async def test_a_viewer_without_links_can_have_it_below_the_sending(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    await posted(recorder_of(ledger, trace, callback_span="child"), trace, told("sent"))
    span = trace.one("process sms.status")
    assert (ref(span).trace_id, parent(span)) == (SENDING.trace_id, SENDING.span_id)
    assert span.parent is not None
    assert span.parent.is_remote
    assert links(span) == [link_to(SENDING, "status_of")]


@pytest.mark.parametrize("sending", [SENDING, UNSAMPLED], ids=["kept", "dropped"])
@pytest.mark.parametrize("request_is_kept", [True, False])
async def test_it_is_kept_exactly_when_its_sending_was(
    ledger: SqliteLedger,
    sending: SpanRef,
    request_is_kept: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    sent(ledger, traceparent_of(sending))
    with traced(ParentBased(LinkedSampler(ALWAYS_OFF))) as shown, traced() as requests, traced(ALWAYS_OFF) as hidden:
        await posted(recorder_of(ledger, shown), requests if request_is_kept else hidden, told("sent"))
        assert len(shown.named("process sms.status")) == sending.sampled


async def test_a_forged_webhook_makes_no_span_whatever_it_names(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    place = traceparent_of(SpanRef(trace_id="e" * 32, span_id="f" * 16))
    forged = [
        replace(told("delivered"), headers={**told("delivered").headers, "x-twilio-signature": "AAAA"}),
        replace(told("delivered"), url=f"{told('delivered').url}&traceparent={place}"),
        replace(told("delivered"), body=told("delivered").body + b"&traceparent=" + place.encode()),
        callback(1, "delivered", message_uuid=UUID, send=SEND, token="f" * 32),
    ]
    named = [replace(request, headers={**request.headers, "traceparent": place}) for request in forged]
    assert await answers(app_of(recorder_of(ledger, trace)), *named) == [403] * 4
    assert trace.spans == []


async def test_what_a_genuine_webhook_names_as_its_trace_is_not_believed(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    place = traceparent_of(SpanRef(trace_id="e" * 32, span_id="f" * 16))
    genuine = told("sent", traceparent=place)
    headers = {**genuine.headers, "traceparent": place, "baggage": "user=1"}
    assert await answers(app_of(recorder_of(ledger, trace)), replace(genuine, headers=headers)) == [204]
    span = trace.one("process sms.status")
    assert (span.parent, links(span)) == (None, [link_to(SENDING, "status_of")])


async def test_each_webhook_is_shown_and_a_repetition_says_that_it_is_one(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    failed = told("undelivered", ErrorCode="30003")
    await answers(app_of(recorder_of(ledger, trace)), failed, failed)  # this process remembers it
    await answers(app_of(recorder_of(ledger, trace)), failed)  # this one asks the ledger

    first, *again = trace.named("process sms.status")
    assert (first.status.status_code, (first.attributes or {})["error.type"]) == (StatusCode.ERROR, "30003")
    assert "costtrace.sms.duplicate" not in (first.attributes or {})
    for span in again:
        said = span.attributes or {}
        assert (span.status.status_code, said["costtrace.sms.duplicate"]) == (StatusCode.UNSET, True)
        assert "error.type" not in said
    assert len(again) == 2


async def test_a_late_status_is_no_error_and_linked_like_any(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    await answers(app_of(recorder_of(ledger, trace)), told("delivered"), told("sent"), told("queued"))
    spans = trace.named("process sms.status")
    assert [(span.attributes or {})["costtrace.sms.status"] for span in spans] == ["delivered", "sent", "queued"]
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}
    assert all(links(span) == [link_to(SENDING, "status_of")] for span in spans)


async def test_a_status_that_came_before_the_answer_to_the_sending_is_linked(
    ledger: SqliteLedger, trace: Traced
) -> None:
    kept = envelope(to=PHONE, from_=OURS, body="On its way.", num_media=0, at=NOON)
    place = {"traceparent": traceparent_of(SENDING)}
    ledger.append([send_entry(SEND, message_uuid=UUID, context=SENT, kept=kept, now=NOON, details=place)])
    await answers(app_of(recorder_of(ledger, trace)), told("sent"))
    assert links(trace.one("process sms.status")) == [link_to(SENDING, "status_of")]


async def test_a_message_that_came_in_is_a_span_and_its_repetition_says_so(ledger: SqliteLedger, trace: Traced) -> None:
    await answers(app_of(recorder_of(ledger, trace)), inbound(1), inbound(1))
    first, second = trace.named("process sms.inbound")
    (entry,) = (entry for _, entry in ledger.entries())
    assert (first.kind, links(first)) == (SpanKind.CONSUMER, [])
    assert dict(first.attributes or {}) == {
        "costtrace.message_uuid": entry.message_uuid,
        "messaging.system": "twilio",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "sms.inbound",
        "messaging.message.id": sid(1),
        "costtrace.sms.segments": 1,
    }
    assert (second.attributes or {})["costtrace.sms.duplicate"] is True


async def test_a_viewer_of_openinference_is_told_a_kind_for_every_webhook(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    await answers(app_of(recorder_of(ledger, trace, span_presets=["openinference"])), told("sent"), inbound(2))
    for name in ("process sms.status", "process sms.inbound"):
        assert (trace.one(name).attributes or {})["openinference.span.kind"] == "CHAIN"


async def test_without_spans_nothing_is_looked_up(ledger: SqliteLedger, trace: Traced) -> None:
    class Unread(SqliteLedger):
        def message(self, message_uuid: str) -> Message:
            raise AssertionError(message_uuid)

    store = Unread(ledger.path)
    off = trace.recorder(store, spans="off")
    assert await answers(app_of(off), told("sent")) == [204]
    assert await answers(app_of(Recorder(store)), told("delivered"), inbound(2)) == [204, 200]
    assert trace.spans == []
    store.close()


class Slow(SqliteLedger):
    """Its messages can be read once `read` says so, or not at all."""

    problem: Exception | None = None

    def __init__(self, path: Any) -> None:
        super().__init__(path)
        self.read = threading.Event()

    def message(self, message_uuid: str) -> Message:
        assert self.read.wait(10)
        if self.problem is not None:
            raise self.problem
        return super().message(message_uuid)


async def test_the_answer_does_not_wait_for_the_lookup(ledger: SqliteLedger, trace: Traced) -> None:
    sent(ledger)
    store = Slow(ledger.path)
    app = app_of(recorder_of(store, trace))
    async with running(app):
        began = time.monotonic()
        assert await send(app, told("sent")) == Answer(204)
        assert time.monotonic() - began < within(0.5)
        assert trace.spans == []
        store.read.set()
    assert links(trace.one("process sms.status")) == [link_to(SENDING, "status_of")]
    store.close()


async def test_a_ledger_that_cannot_be_read_costs_the_link_alone(ledger: SqliteLedger, trace: Traced) -> None:
    store = Slow(ledger.path)
    store.problem = LedgerUnavailable("away")
    store.read.set()
    recorder = recorder_of(store, trace)
    assert await answers(app_of(recorder), told("sent")) == [204]
    assert (links(trace.one("process sms.status")), recorder.health().faults) == ([], 0)
    store.close()


@pytest.mark.expects_fault
@pytest.mark.parametrize("end", ["start", "end"])
async def test_a_broken_span_processor_breaks_no_webhook(ledger: SqliteLedger, end: str) -> None:
    with traced(None, Raising(at=lambda where: where == end)) as trace:
        recorder = recorder_of(ledger, trace)
        assert await answers(app_of(recorder), told("sent"), inbound(2)) == [204, 200]
    assert recorder.health().faults == 2
    assert len([entry for _, entry in ledger.entries()]) == 3


@pytest.mark.expects_fault
def test_spans_beyond_what_can_wait_are_left_out(ledger: SqliteLedger, trace: Traced) -> None:
    hold, wait, recorder = threading.Event(), Background(limit=1), recorder_of(ledger, trace)
    spans = WebhookSpans(ledger, recorder.tracing, recorder.metrics, fault=recorder.fault, later=wait)
    status = StatusCallback(message_sid=sid(1), account_sid=ACCOUNT, status="sent", message_uuid=UUID, send_id=SEND)

    def busy() -> None:
        hold.wait(10)

    wait(busy)
    spans.told(spans.arrived(), status, is_new=True)
    assert not wait.drain(0)
    hold.set()
    assert wait.drain(10)
    assert (trace.spans, recorder.health().faults) == ([], 1)


async def test_the_time_to_the_first_final_status_is_measured_once(ledger: SqliteLedger) -> None:
    sent(ledger)
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    recorder = Recorder(ledger, clock=lambda: NOW_NS, meter_provider=meters)
    for status in ("sent", "delivered", "delivered", "undelivered", "sent"):
        await answers(app_of(recorder), told(status))

    data = reader.get_metrics_data()
    assert data is not None
    metrics = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
    (points,) = (metric.data.data_points for metric in metrics if metric.name == "costtrace.sms.delivery.duration")
    (point,) = points
    assert isinstance(point, HistogramDataPoint)
    said = {"messaging.system": "twilio", "costtrace.sms.status": "delivered"}
    assert (dict(point.attributes or {}), point.count, point.sum) == (said, 1, 2.5)
    meters.shutdown()
