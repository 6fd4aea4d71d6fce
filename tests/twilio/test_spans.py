"""The span of a sending and of a price: begun in time, linked to what belongs together, and silent about people."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypedDict, TypeGuard

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import START, StateGraph
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from costtrace import CostCallbackHandler
from costtrace.context import message_scope
from costtrace.entry import Entry, SpanRef
from costtrace.ledger import Ledger
from costtrace.recorder import Recorder
from costtrace.sandbox.twilio import Fate, Fault, TwilioServer
from costtrace.testing import MemoryLedger
from costtrace.tracing import traceparent_of
from costtrace.twilio import AlreadySent, SendUnknown, SentMessage, SmsSender, make_client
from costtrace.twilio.legs import leg_of
from tests.factories import make_entry
from tests.sandbox.twilio_app import OURS, PHONE, sdk
from tests.twilio.account import HASHER, Account
from tests.twilio.traced import Raising, Traced, link_to, links, parent, ref, traced

pytestmark = [  # the SDK's asynchronous client signs in the old way
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]

BODY = "Your order is on its way."
CALL = SpanRef(trace_id="a" * 32, span_id="b" * 16)


@pytest.fixture
def trace() -> Iterator[Traced]:
    with traced() as made:
        yield made


@pytest.fixture
def server() -> Iterator[TwilioServer]:
    with TwilioServer() as running:
        yield running


@pytest.fixture
def client(server: TwilioServer) -> Iterator[Client]:
    with sdk(server) as connected:
        yield connected


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def sender(client: Client, ledger: MemoryLedger, trace: Traced) -> SmsSender:
    return SmsSender(client, trace.recorder(ledger), hasher=HASHER)


def send(sender: SmsSender, **fields: Any) -> SentMessage:
    return sender.send(**{"to": PHONE, "from_": OURS, "body": BODY, **fields})


def entry_of(ledger: Ledger, uuid: str, kind: str) -> Entry:
    (entry,) = (entry for entry in ledger.message(uuid).entries if entry.kind == kind)
    return entry


def test_a_sending_is_a_span_that_says_what_is_expected_and_costs_nothing_yet(
    server: TwilioServer, sender: SmsSender, trace: Traced
) -> None:
    sent = send(sender, thread_id="t1")

    span = trace.one("send sms")
    assert (span.kind, span.parent, span.status.status_code) == (SpanKind.PRODUCER, None, StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "costtrace.message_uuid": sent.message_uuid,
        "gen_ai.conversation.id": "t1",
        "messaging.system": "twilio",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "sms",
        "messaging.message.id": sent.sid,
        "server.address": "127.0.0.1",
        "server.port": int(server.base_url.rpartition(":")[2]),
        "costtrace.sms.segments": 1,
        "costtrace.sms.status": "queued",
        "costtrace.cost.status": "estimated",
        "costtrace.price.source": "sms_rates.toml",
        "costtrace.price.version": (span.attributes or {})["costtrace.price.version"],
        "costtrace.estimate.usd": "0.0083",
    }


def test_no_number_and_no_text_is_in_it(sender: SmsSender, trace: Traced) -> None:
    send(sender)
    shown = trace.one("send sms").to_json()
    assert not any(secret in shown for secret in (PHONE, OURS, PHONE[1:], BODY))


def test_its_place_is_in_the_ledger_before_twilio_is_asked(client: Client, ledger: MemoryLedger, trace: Traced) -> None:
    known: list[Entry] = []
    ask = client.http_client.request

    def noting(*args: Any, **options: Any) -> Any:
        known.extend(entry for _, entry in ledger.entries())
        assert not any(name.lower() in {"traceparent", "baggage", "tracestate"} for name in options["headers"])
        return ask(*args, **options)

    client.http_client.request = noting
    sent = send(SmsSender(client, trace.recorder(ledger)))

    (entry,) = known
    place = ref(trace.one("send sms"))
    assert (entry.kind, entry.span, entry.details["traceparent"]) == ("sms-send", place, traceparent_of(place))
    assert entry_of(ledger, sent.message_uuid, "sms").details["traceparent"] == traceparent_of(place)


def test_it_stands_below_the_span_around_it(sender: SmsSender, trace: Traced) -> None:
    with trace.tracer.start_as_current_span("request"):
        send(sender)
    assert parent(trace.one("send sms")) == ref(trace.one("request")).span_id


def test_it_links_to_the_latest_model_calls_that_made_it(
    sender: SmsSender, ledger: MemoryLedger, trace: Traced
) -> None:
    calls = [SpanRef(trace_id="a" * 32, span_id=f"{number:016x}", sampled=number % 2 == 0) for number in range(1, 41)]
    with message_scope() as scope:
        for number, call in enumerate(calls):
            ledger.spool(replace(make_entry(number, message_uuid=scope.uuid), span=call))
        ledger.spool(make_entry(99, message_uuid=scope.uuid))
        send(sender)
    assert links(trace.one("send sms")) == [link_to(call, "generated_by") for call in calls[-32:]]
    flags = [link.context.trace_flags.sampled for link in trace.one("send sms").links]
    assert flags == [call.sampled for call in calls[-32:]]


def test_a_refusal_ends_it_with_twilios_code(sender: SmsSender, trace: Traced) -> None:
    with pytest.raises(TwilioRestException):
        send(sender, to="+15005550001", from_="+15005550006")
    span, said = trace.one("send sms"), trace.one("send sms").attributes or {}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert (said["error.type"], said["costtrace.sms.status"]) == ("21211", "rejected")
    assert (span.events, "messaging.message.id" in said) == ((), False)


@pytest.mark.parametrize("send_id", [None, "order-7"])
def test_the_root_above_it_says_that_its_sum_is_not_the_whole(
    client: Client, ledger: MemoryLedger, trace: Traced, send_id: str | None
) -> None:
    recorder = trace.recorder(ledger)
    sender, handler = SmsSender(client, recorder), CostCallbackHandler(recorder)

    def reply(phone: str) -> str:
        with suppress(TwilioRestException):
            send(sender, to=phone, send_id=send_id)
        return phone

    for phone in (PHONE, "+15005550001"):  # Twilio takes the one and refuses the other
        with message_scope():
            RunnableLambda(reply).invoke(phone, {"callbacks": [handler]})
            send_id = None

    waiting, refused = trace.named("invoke_workflow reply")
    assert (waiting.attributes or {})["costtrace.total.incomplete"] == 1
    assert "costtrace.total.incomplete" not in (refused.attributes or {})


def test_an_unknown_outcome_has_a_word_of_its_own(server: TwilioServer, sender: SmsSender, trace: Traced) -> None:
    server.fail(Fault(on="create", dropped=True, applied=True))
    with pytest.raises(SendUnknown):
        send(sender)
    span, said = trace.one("send sms"), trace.one("send sms").attributes or {}
    assert span.status.status_code is StatusCode.ERROR
    assert (said["error.type"], said["costtrace.sms.status"]) == ("send_unknown", "send_unknown")


def test_an_attempt_that_was_made_before_is_no_error(sender: SmsSender, ledger: MemoryLedger, trace: Traced) -> None:
    with message_scope() as scope:
        send(sender, send_id="order-7")
        with pytest.raises(AlreadySent):
            send(sender, send_id="order-7")
    first, second = trace.named("send sms")
    assert (second.attributes or {})["costtrace.sms.status"] == "already_sent"
    assert (second.status.status_code, "messaging.message.id" in (second.attributes or {})) == (StatusCode.UNSET, False)
    assert entry_of(ledger, scope.uuid, "sms-send").span == ref(first)


def test_without_a_provider_the_span_around_it_is_kept(client: Client, ledger: MemoryLedger, trace: Traced) -> None:
    with trace.tracer.start_as_current_span("request"):
        sent = send(SmsSender(client, Recorder(ledger)))
    entry = entry_of(ledger, sent.message_uuid, "sms-send")
    assert (entry.span, entry.details["traceparent"]) == (None, traceparent_of(ref(trace.one("request"))))


def test_sampled_or_not_or_without_spans_the_ledger_holds_the_same(server: TwilioServer, client: Client) -> None:
    def kept(entry: Entry) -> tuple[Any, ...]:
        return entry.kind, entry.status, entry.cost, entry.estimate, entry.quote, entry.context

    found, places = [], []
    with traced() as all_, traced(ALWAYS_OFF) as none:
        for recorder in (
            all_.recorder(MemoryLedger()),
            none.recorder(MemoryLedger()),
            all_.recorder(MemoryLedger(), spans="off"),
            Recorder(MemoryLedger()),
        ):
            sent = send(SmsSender(client, recorder, hasher=HASHER))
            message = recorder.ledger.message(sent.message_uuid)
            assert dict(message.total.pending) == {"USD": Decimal("0.0083")}
            found.append([kept(entry) for entry in message.entries])
            place = entry_of(recorder.ledger, sent.message_uuid, "sms-send").span
            places.append(None if place is None else place.sampled)
        assert found == [found[0]] * 4
        assert places == [True, False, None, None]
        assert (len(all_.spans), none.spans, len(server.messages)) == (1, [], 4)


@pytest.mark.expects_fault
@pytest.mark.parametrize("end", ["start", "end"])
def test_a_broken_span_processor_breaks_no_sending(
    server: TwilioServer, client: Client, ledger: MemoryLedger, end: str
) -> None:
    with traced(None, Raising(at=lambda where: where == end)) as trace:
        recorder = trace.recorder(ledger)
        sent = send(SmsSender(client, recorder))
    assert (sent.sid, recorder.health().faults) == (server.messages[0].sid, 1)
    assert sorted(entry.kind for entry in ledger.message(sent.message_uuid).entries) == [
        "sms",
        "sms-send",
        "sms-status",
    ]


class _State(TypedDict):
    number: int


async def test_a_thousand_sendings_at_once_stand_each_under_the_run_that_made_it(
    server: TwilioServer, ledger: MemoryLedger, trace: Traced
) -> None:
    recorder = trace.recorder(ledger)
    handler = CostCallbackHandler(recorder)
    client = make_client(server.account_sid, server.auth_token, base_url=server.base_url, asynchronous=True)
    sender = SmsSender(client, recorder)
    turn = asyncio.Semaphore(100)

    async def reply(state: _State, config: RunnableConfig) -> _State:
        assert config
        sent = await sender.asend(to=PHONE, from_=OURS, body=BODY, message_uuid=f"m{state['number']}")
        assert sent.message_uuid == f"m{state['number']}"
        return state

    graph = StateGraph(_State).add_node(reply).add_edge(START, "reply").compile(name="answer")

    async def one(number: int) -> None:
        async with turn:
            config: RunnableConfig = {"callbacks": [handler], "metadata": {"message_uuid": f"m{number}"}}
            await graph.ainvoke({"number": number}, config)

    await asyncio.gather(*map(one, range(1000)))
    await client.http_client.close()

    roots = {ref(span).span_id: span for span in trace.named("invoke_workflow answer")}
    sends = trace.named("send sms")
    assert (len(roots), len(sends), len(trace.spans)) == (1000, 1000, 2000)
    for span in sends:
        root = roots.pop(str(parent(span)))
        uuid = (span.attributes or {})["costtrace.message_uuid"]
        assert (root.attributes or {})["costtrace.message_uuid"] == uuid
        entry = entry_of(ledger, str(uuid), "sms-send")
        assert (entry.span, ref(span).trace_id) == (ref(span), ref(root).trace_id)
    assert handler.open_runs == 0


def test_a_price_is_a_trace_of_its_own_that_links_to_the_sending(twilio: Account) -> None:
    with traced() as trace:
        sender = SmsSender(twilio.client, trace.recorder(twilio.ledger, clock=_ticking(twilio)), hasher=HASHER)
        sent = send(sender)
        twilio.deliver(sent)
        twilio.after(minutes=1)
        with trace.tracer.start_as_current_span("scheduled job"):
            settled = twilio.settlement(tracing=trace.recorder(twilio.ledger).tracing).run_once()

        span = trace.one("reconcile sms.price")
        assert (settled.priced, span.kind, span.parent) == (1, SpanKind.INTERNAL, None)
        assert links(span) == [link_to(ref(trace.one("send sms")), "price_of")]
        said = dict(span.attributes or {})
        assert said == {
            "costtrace.message_uuid": sent.message_uuid,
            "messaging.system": "twilio",
            "messaging.message.id": sent.sid,
            "costtrace.sms.status": "final",
            "costtrace.sms.segments": 1,
            "costtrace.sms.price.revision": 1,
            "costtrace.sms.price.usd": "0.0083",
            "costtrace.cost.status": "provider_reported",
            "costtrace.cost.usd": "0.0083",
            "costtrace.cost.nano_usd": 8_300_000,
            "operation.cost": 0.0083,
        }


def test_a_viewer_of_openinference_is_told_a_kind_for_the_sending_and_the_price(twilio: Account) -> None:
    with traced() as trace:
        recorder = trace.recorder(twilio.ledger, clock=_ticking(twilio), span_presets=["openinference"])
        twilio.deliver(send(SmsSender(twilio.client, recorder, hasher=HASHER)))
        twilio.after(minutes=1)
        twilio.settlement(tracing=recorder.tracing).run_once()

        for name in ("send sms", "reconcile sms.price"):
            assert (trace.one(name).attributes or {})["openinference.span.kind"] == "CHAIN"


def test_the_costs_of_all_spans_add_up_to_what_twilio_charges_in_the_end(twilio: Account) -> None:
    with traced() as trace:
        recorder = trace.recorder(twilio.ledger, clock=_ticking(twilio))
        sent = send(SmsSender(twilio.client, recorder, hasher=HASHER))
        twilio.deliver(sent)
        twilio.after(minutes=1)
        twilio.settlement(tracing=recorder.tracing).run_once()
        twilio.server.reprice(sent.sid, "-0.00790")
        twilio.after(days=1)
        twilio.reconcile(tracing=recorder.tracing).run()

        first, second = trace.named("reconcile sms.price")
        exact = [Decimal(str((span.attributes or {})["costtrace.cost.usd"])) for span in (first, second)]
        assert exact == [Decimal("0.0083"), Decimal("-0.0004")]
        assert (second.attributes or {})["costtrace.sms.price.usd"] == "0.0079"
        assert (second.attributes or {})["costtrace.sms.price.revision"] == 2
        assert dict(twilio.ledger.message(sent.message_uuid).total.actual) == {"USD": sum(exact)}
        assert sum("operation.cost" in (span.attributes or {}) for span in trace.spans) == 2


def test_what_two_settlements_learn_at_once_is_shown_once(twilio: Account) -> None:
    with traced() as trace:
        recorder = trace.recorder(twilio.ledger, clock=_ticking(twilio))
        sent = send(SmsSender(twilio.client, recorder, hasher=HASHER))
        twilio.deliver(sent)
        twilio.after(minutes=1)
        settlements = [twilio.settlement(tracing=recorder.tracing, concurrency=1) for _ in range(2)]
        for settlement in settlements:
            settlement.run_once()
        twilio.reconcile(tracing=recorder.tracing).run()
        assert len(trace.named("reconcile sms.price")) == 1


def test_a_price_that_never_comes_is_shown_without_a_cost(twilio: Account) -> None:
    with traced() as trace:
        recorder = trace.recorder(twilio.ledger, clock=_ticking(twilio))
        twilio.server.script(Fate(null_reads=None))
        sent = send(SmsSender(twilio.client, recorder, hasher=HASHER))
        twilio.deliver(sent)
        twilio.after(days=4)
        twilio.settlement(tracing=recorder.tracing).run_once()
        said = trace.one("reconcile sms.price").attributes or {}
        assert (said["costtrace.sms.status"], said["costtrace.cost.status"]) == ("unavailable", "unpriced")
        assert not {key for key in said if "cost.usd" in key or key in {"operation.cost", "costtrace.sms.price.usd"}}


@pytest.mark.parametrize("kept", ["", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", "not a traceparent", 7, None])
def test_a_stored_place_that_is_none_costs_the_link_alone(twilio: Account, kept: object) -> None:
    with traced() as trace:
        sent = twilio.send()
        leg = leg_of(twilio.ledger.message(sent.message_uuid), sid=sent.sid)
        assert leg is not None
        bound = entry_of(twilio.ledger, sent.message_uuid, "sms")
        broken = replace(bound, entry_id="sms/copy", details={**bound.details, "traceparent": kept})
        twilio.ledger.append([broken])
        twilio.deliver(sent)
        twilio.after(minutes=1)
        assert twilio.settlement(tracing=trace.recorder(twilio.ledger).tracing).run_once().priced == 1
        assert links(trace.one("reconcile sms.price")) == []


def test_one_sms_is_measured_once_from_sending_to_price(twilio: Account) -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    recorder = Recorder(twilio.ledger, clock=_ticking(twilio), meter_provider=meters)
    sent = send(SmsSender(twilio.client, recorder, hasher=HASHER), body="a" * 200)
    twilio.deliver(sent)
    twilio.after(minutes=1)
    for _ in range(2):
        twilio.settlement(measures=recorder.metrics).run_once()
        twilio.reconcile(measures=recorder.metrics).run()

    data = reader.get_metrics_data()
    assert data is not None
    metrics = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
    found = {
        metric.name: [(point.count, point.sum) for point in metric.data.data_points if is_histogram(point)]
        for metric in metrics
    }
    assert found == {"costtrace.sms.segments": [(1, 2)], "operation.cost": [(1, 0.0166)]}
    meters.shutdown()


def is_histogram(point: object) -> TypeGuard[HistogramDataPoint]:
    return isinstance(point, HistogramDataPoint)


def _ticking(twilio: Account) -> Any:
    return lambda: int(twilio.clock().timestamp() * 1_000_000) * 1_000
