"""One conversation by SMS in three processes, and what a trace viewer gets of it: one story, joined by links.

The application answers, `costtrace serve` takes the webhooks, `costtrace sms settle` asks for the prices. Each sends
its spans to the same receiver, over OTLP.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from costtrace import Recorder
from costtrace.ledger import SqliteLedger
from costtrace.messages import Message
from costtrace.sandbox.openai import OpenAIServer
from costtrace.sandbox.twilio import Fault, Tariff, TwilioServer
from costtrace.sandbox.twilio_carrier import Fate
from costtrace.tracing import names, sms
from costtrace.twilio.entries import message_uuid_of
from costtrace.twilio.legs import legs
from costtrace.twilio.outcomes import SendUnknown
from costtrace.twilio.sender import SmsSender
from tests.otlp.capture import CaptureServer
from tests.otlp.captured import CapturedSpan
from tests.sandbox.twilio_app import sdk
from tests.tracing.conversation import CUSTOMER, INSTRUCTIONS, OURS, QUESTION, SORTING

ROOT: Final = Path(__file__).parents[2]
HASH_KEY: Final = "a key of the tests, long enough"
KEYS: Final = {*names.ATTRIBUTES, *sms.ATTRIBUTES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of the conversation when it is over."""

    inbound: Message
    reply: Message
    spans: Sequence[CapturedSpan]
    bodies: Sequence[bytes]

    def of(self, name: str) -> list[CapturedSpan]:
        return [span for span in self.spans if span.name == name]

    def only(self, name: str) -> CapturedSpan:
        (span,) = self.of(name)
        return span


def program(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a program printed, once it has ended well."""
    command = [sys.executable, *words]
    known: dict[str, Any] = {"env": dict(environment), "cwd": ROOT, "text": True, "timeout": 120}
    done: subprocess.CompletedProcess[str] = subprocess.run(command, capture_output=True, check=False, **known)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[str]:
    """`costtrace serve`; its address. It has ended in good order, and sent its spans, when this is left."""
    command = [sys.executable, "-m", "costtrace", "serve", "--port", "0", "--no-dashboard"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=dict(environment), **pipes) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[\d.]+:\d+", process.stdout.readline())
            assert found is not None, process.communicate(timeout=10)
            yield found[0]
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
            assert (process.returncode, errors) == (0, "")
        finally:
            process.kill()


def environment(directory: Path, openai: OpenAIServer, twilio: TwilioServer, otlp: CaptureServer) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("COSTTRACE_", "OTEL_", "TWILIO_"))
    }
    return {
        **kept,
        "COSTTRACE_LEDGER": f"sqlite:///{directory}/costs.db",
        "COSTTRACE_HASH_KEY": HASH_KEY,
        "COSTTRACE_TWILIO_BASE_URL": twilio.base_url,
        "LANGSMITH_TRACING": "false",
        "NO_PROXY": "127.0.0.1",
        "OPENAI_API_KEY": "sk-local",
        "OPENAI_BASE_URL": openai.base_url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp.endpoint,
        "TWILIO_ACCOUNT_SID": twilio.account_sid,
        "TWILIO_AUTH_TOKEN": twilio.auth_token,
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    directory = tmp_path_factory.mktemp("story")
    tariff = Tariff(sms_outbound="0.0075", sms_inbound="0.0079")
    with OpenAIServer() as openai, TwilioServer(tariff=tariff, manual=True) as twilio, CaptureServer() as otlp:
        known = environment(directory, openai, twilio, otlp)
        with serving({**known, "OTEL_SERVICE_NAME": "webhooks"}) as address:
            twilio.inbound_url = f"{address}/sms/inbound"
            came = twilio.receive(from_=CUSTOMER, to=OURS, body=QUESTION)
            words = ["-m", "tests.tracing.conversation", message_uuid_of(came.sid), f"{address}/sms/callback"]
            sent = json.loads(program(words, {**known, "OTEL_SERVICE_NAME": "application"}))
            twilio.play(sent["sid"], Fate(statuses=("sent", "delivered"), callbacks=("delivered", "sent", "delivered")))
            assert {delivery.status for delivery in twilio.deliveries} <= {200, 204}
        program(["-m", "costtrace", "sms", "settle"], {**known, "OTEL_SERVICE_NAME": "settlement"})
        ledger = SqliteLedger(directory / "costs.db")
        inbound, reply = ledger.message(message_uuid_of(came.sid)), ledger.message(sent["uuid"])
        ledger.close()
        return Told(inbound=inbound, reply=reply, spans=otlp.spans(), bodies=otlp.bodies())


def links(span: CapturedSpan) -> list[tuple[str, str, str]]:
    """Type, trace and span of each link."""
    return [(link.attributes[names.LINK_TYPE], link.trace_id, link.span_id) for link in span.links]


def link_to(span: CapturedSpan, link_type: str) -> tuple[str, str, str]:
    return link_type, span.trace_id, span.span_id


def test_each_process_tells_its_part(told: Told) -> None:
    assert Counter((span.resource["service.name"], span.name, span.kind) for span in told.spans) == {
        ("webhooks", "process sms.inbound", "CONSUMER"): 1,
        ("application", "chat gpt-4o-mini", "CLIENT"): 1,
        ("application", "invoke_workflow answer by sms", "INTERNAL"): 1,
        ("application", "invoke_agent parcel_agent", "INTERNAL"): 1,
        ("application", "chat gpt-4o", "CLIENT"): 2,
        ("application", "execute_tool parcel_status", "INTERNAL"): 1,
        ("application", "send sms", "PRODUCER"): 1,
        ("webhooks", "process sms.status", "CONSUMER"): 3,
        ("settlement", "reconcile sms.price", "INTERNAL"): 2,
    }
    assert {span.scope for span in told.spans} == {"costtrace"}
    assert {span.status.code for span in told.spans} == {"UNSET"}


def test_the_answer_is_one_trace_of_workflow_agent_calls_tool_and_sending(told: Told) -> None:
    workflow, agent = told.only("invoke_workflow answer by sms"), told.only("invoke_agent parcel_agent")
    inner = [*told.of("chat gpt-4o"), told.only("execute_tool parcel_status")]
    send = told.only("send sms")

    assert workflow.parent_span_id == ""
    assert (agent.parent_span_id, send.parent_span_id) == (workflow.span_id, workflow.span_id)
    assert {span.parent_span_id for span in inner} == {agent.span_id}
    assert {span.trace_id for span in (agent, send, *inner)} == {workflow.trace_id}
    assert all(workflow.start_ns <= span.start_ns <= span.end_ns <= workflow.end_ns for span in (agent, send, *inner))


def test_links_lead_from_every_other_process_to_the_sending_and_from_there_to_the_calls(told: Told) -> None:
    send, first, second = told.only("send sms"), *told.of("chat gpt-4o")
    assert sorted(links(send)) == sorted([link_to(first, "generated_by"), link_to(second, "generated_by")])

    callbacks = told.of("process sms.status")
    assert [links(span) for span in callbacks] == [[link_to(send, "status_of")]] * 3
    prices = {span.attributes[names.MESSAGE_UUID]: span for span in told.of("reconcile sms.price")}
    assert links(prices[told.reply.uuid]) == [link_to(send, "price_of")]
    assert links(prices[told.inbound.uuid]) == []
    late = [*callbacks, *prices.values()]
    assert {span.parent_span_id for span in late} == {""}
    assert len({span.trace_id for span in (send, *late)}) == 1 + len(late)
    assert all(link.flags & 0x300 == 0x300 for span in late for link in span.links)  # known to be remote


def test_every_span_names_its_message(told: Told) -> None:
    inbound = {"process sms.inbound", "chat gpt-4o-mini"}
    for span in told.spans:
        uuid = told.inbound.uuid if span.name in inbound else told.reply.uuid
        if span.name == "reconcile sms.price":
            assert span.attributes[names.MESSAGE_UUID] in {told.inbound.uuid, told.reply.uuid}
        else:
            assert span.attributes[names.MESSAGE_UUID] == uuid


def test_the_costs_on_spans_add_up_to_the_ledger_to_the_last_digit(told: Told) -> None:
    costs = [(span, Decimal(text)) for span in told.spans if (text := span.attributes.get(names.COST_USD))]

    assert {span.name.partition(" ")[0] for span, _ in costs} == {"chat", "reconcile"}
    for message in (told.inbound, told.reply):
        here = [cost for span, cost in costs if span.attributes[names.MESSAGE_UUID] == message.uuid]
        assert sum(here) == message.total.actual.usd
        assert message.total.pending.usd == 0
    entries = {entry.span.span_id: entry for entry in told.reply.entries if entry.span is not None and entry.cost}
    assert {span.span_id: cost for span, cost in costs if span.name == "chat gpt-4o"} == {
        span_id: entry.cost.amount for span_id, entry in entries.items() if entry.cost is not None
    }
    assert {cost for span, cost in costs if span.name == "reconcile sms.price"} == {
        Decimal("0.0075"),
        Decimal("0.0079"),
    }


def test_every_double_is_that_decimal_and_no_parent_has_a_cost(told: Told) -> None:
    for span in told.spans:
        found = {key for key in span.attributes if "cost" in key.removeprefix("costtrace.")} - {names.COST_STATUS}
        if names.COST_USD not in span.attributes:
            assert found == set()
            continue
        exact = Decimal(span.attributes[names.COST_USD])
        assert span.attributes[names.OPERATION_COST] == float(exact)
        assert isinstance(span.attributes[names.OPERATION_COST], float)
        assert (names.USAGE_COST in span.attributes) is span.name.startswith("chat")


def test_statuses_and_repetitions_are_told(told: Told) -> None:
    callbacks = sorted(told.of("process sms.status"), key=lambda span: span.start_ns)

    assert [span.attributes["costtrace.sms.status"] for span in callbacks] == ["delivered", "sent", "delivered"]
    assert [span.attributes.get("costtrace.sms.duplicate", False) for span in callbacks] == [False, False, True]


def test_no_text_and_no_number_left_any_process(told: Told) -> None:
    everything = b"\n".join(told.bodies)
    answer = b"out for delivery"
    texts = (QUESTION, INSTRUCTIONS, SORTING, "4711", CUSTOMER[1:], OURS[1:], HASH_KEY, "user-7", "sk-local")
    for text in (*map(str.encode, texts), answer):
        assert text not in everything
    assert {key for span in told.spans for key in span.attributes} <= KEYS


def test_a_sending_whose_answer_was_lost_is_found_again_by_its_callbacks(tmp_path: Path) -> None:
    """They are kept because it was: the process that takes them keeps nothing by itself."""
    ledger = SqliteLedger(tmp_path / "costs.db")
    nothing = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"}
    with OpenAIServer() as openai, TwilioServer() as twilio, CaptureServer() as otlp, sdk(twilio) as client:
        twilio.fail(Fault(on="create", dropped=True, applied=True))
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(otlp.traces_url)))
        with serving({**environment(tmp_path, openai, twilio, otlp), **nothing}) as address:
            recorder = Recorder(ledger, tracer_provider=provider)
            sender = SmsSender(client, recorder, status_callback=f"{address}/sms/callback")
            with pytest.raises(SendUnknown) as caught:
                sender.send(to=CUSTOMER, from_=OURS, body="On its way.")
            twilio.wait()
        spans, sid = otlp.spans(), twilio.messages[0].sid

    send, *statuses = sorted(spans, key=lambda span: span.name != "send sms")
    assert (send.name, send.status.code, send.attributes["error.type"]) == ("send sms", "ERROR", "send_unknown")
    assert [links(span) for span in statuses] == [[link_to(send, "status_of")]] * 2
    assert {span.attributes["messaging.message.id"] for span in statuses} == {sid}
    (leg,) = legs(ledger.message(caught.value.message_uuid))
    assert leg.delivery is not None
    assert leg.delivery.status == "delivered"
    ledger.close()
