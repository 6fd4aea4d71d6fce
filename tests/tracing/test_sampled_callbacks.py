"""Sampling across processes: of a sending that is kept, each callback and the price is kept; of the others, none.

And the ledger knows nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.ledger import SqliteLedger
from costtrace.messages import Totals
from costtrace.sampling import link_aware
from costtrace.sandbox.twilio import TwilioServer
from costtrace.tracing import Tracing
from costtrace.twilio.sender import SmsSender
from costtrace.twilio.settlement import Settlement
from costtrace.twilio.signature import Verifier
from costtrace.web import SmsWebhooks, create_app
from tests.sandbox.twilio_app import OURS, PHONE, sdk
from tests.test_sampling import Seeded
from tests.tracing.test_exporters_that_fail import model
from tests.web.parts import Posted, running, send_all

MESSAGES: Final = 60
BASE: Final = "https://example.com"


@contextmanager
def process(rate: float, seed: int) -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """What `setup_tracing` makes, for one of several processes in this one."""
    exporter = InMemorySpanExporter()
    sampler = link_aware(ParentBased(TraceIdRatioBased(rate)))
    provider = TracerProvider(sampler, id_generator=Seeded(seed), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


def shown(exporter: InMemorySpanExporter, name: str) -> list[str]:
    """The messages that have a span of that name, each as often as it has."""
    found = [span for span in exporter.get_finished_spans() if span.name == name]
    return sorted(str((span.attributes or {})["costtrace.message_uuid"]) for span in found)


def sent(ledger: SqliteLedger, provider: TracerProvider, twilio: TwilioServer) -> list[str]:
    """The SIDs of what the application answers, one message each."""
    recorder = Recorder(ledger, tracer_provider=provider)
    handler, fake, sids = CostCallbackHandler(recorder), model(), []
    with sdk(twilio) as client:
        sender = SmsSender(client, recorder, status_callback=f"{BASE}/sms/callback")

        def answer(text: str) -> str:
            return sender.send(to=PHONE, from_=OURS, body=str(fake.invoke(text).text)).sid

        chain = RunnableLambda(answer).with_config(run_name="answer")
        for number in range(MESSAGES):
            with costtrace.message(f"m{number}", handler=handler):
                sids.append(chain.invoke("Hi"))
    return sids


async def told(ledger: SqliteLedger, provider: TracerProvider, twilio: TwilioServer, sids: list[str]) -> None:
    """Each is sent and delivered, and the webhooks come in."""
    recorder = Recorder(ledger, tracer_provider=provider)
    app = create_app(recorder, SmsWebhooks(recorder, Verifier(tokens=twilio.auth_token, public_base=BASE)))
    posted = []
    for sid in sids:
        twilio.advance(sid, "sent", "delivered")
        for status in ("sent", "delivered"):
            webhook = twilio.webhook(sid, status)
            url = webhook.url.partition("#")[0]
            posted.append(Posted(url=url, body=webhook.body, headers=webhook.headers))
    async with running(app):
        assert {answer.status for answer in await send_all(app, posted, at_once=8)} == {204}


async def conversation(ledger: SqliteLedger, rate: float) -> tuple[Totals, dict[str, list[str]]]:
    """The total, and the messages that have a span of each name."""
    with (
        TwilioServer(manual=True) as twilio,
        process(rate, 1) as (sending, sends),
        process(rate, 2) as (taking, callbacks),
        process(rate, 3) as (settling, prices),
    ):
        sids = sent(ledger, sending, twilio)
        await told(ledger, taking, twilio, sids)
        with sdk(twilio) as client:
            assert Settlement(client, ledger, tracing=Tracing(settling)).run_once().priced == MESSAGES
        found = {
            "chat": shown(sends, "chat gpt-4o"),
            "send": shown(sends, "send sms"),
            "status": shown(callbacks, "process sms.status"),
            "price": shown(prices, "reconcile sms.price"),
        }
    return ledger.totals()[()], found


async def test_callbacks_and_prices_are_kept_exactly_with_their_sendings(tmp_path: Path) -> None:
    totals = []
    for rate, few, many in ((0.0, 0, 0), (0.1, 1, 20), (1.0, MESSAGES, MESSAGES)):
        ledger = SqliteLedger(tmp_path / f"costs-{rate}.db")
        total, found = await conversation(ledger, rate)
        ledger.close()
        totals.append(total)

        assert few <= len(found["send"]) <= many
        assert found["chat"] == found["send"] == found["price"]
        assert found["status"] == sorted(2 * found["send"])

    assert totals[0] == totals[1] == totals[2]
    assert totals[0].actual.usd == MESSAGES * (costtrace.Money("0.0075").amount + costtrace.Money("0.0083").amount)


@pytest.mark.parametrize("rate", [0.0, 1.0])
async def test_without_links_to_follow_two_processes_decide_by_themselves(tmp_path: Path, rate: float) -> None:
    """The counter-check: a callback to which no sending is known goes by the rate alone."""
    ledger = SqliteLedger(tmp_path / "costs.db")
    with TwilioServer(manual=True) as twilio, process(rate, 2) as (taking, callbacks):
        url = f"{BASE}/sms/callback"
        with sdk(twilio) as client:
            sid = client.messages.create(to=PHONE, from_=OURS, body="Hi", status_callback=url).sid
        assert sid is not None
        await told(ledger, taking, twilio, [sid])

        assert len(shown(callbacks, "process sms.status")) == 2 * int(rate)
    ledger.close()
