"""Sending through the real SDK to the stand-in: what is written when, and what never is."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

import costtrace
from costtrace.context import message_scope
from costtrace.entry import Entry
from costtrace.errors import InvalidValue, LedgerUnavailable
from costtrace.ledger import SqliteLedger
from costtrace.messages import Message
from costtrace.money import Money
from costtrace.recorder import Recorder
from costtrace.sandbox.twilio import Fate, Fault, TwilioServer
from costtrace.testing import MemoryLedger
from costtrace.times import moment_text
from costtrace.tracing import parse_traceparent
from costtrace.twilio import NumberHasher, SendUnknown, SentMessage, SmsSender, make_client
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.legs import Leg, legs
from tests.factories import make_entry
from tests.sandbox.twilio_app import OURS, PHONE, SERVICE, App, sdk
from tests.twilio.traced import Traced, traced

pytestmark = [  # the SDK's asynchronous client signs in the old way
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]

BODY = "Your order is on its way."
HASHER = NumberHasher(b"0123456789abcdef0123456789abcdef")
CALLBACK = "https://example.com/sms/callback"


@dataclass
class Ledger(MemoryLedger):
    """A ledger that can be switched off, and notes what it held when Twilio was asked."""

    down: bool = False
    spooled: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def spool(self, entry: Entry) -> None:
        if self.down:
            raise LedgerUnavailable("the disk is full")
        self.spooled.append(entry)
        super().spool(entry)

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.spooled]


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
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def recorder(ledger: Ledger) -> Recorder:
    return Recorder(ledger)


@pytest.fixture
def sender(client: Client, recorder: Recorder) -> SmsSender:
    return SmsSender(client, recorder, hasher=HASHER)


def send(sender: SmsSender, **fields: Any) -> SentMessage:
    return sender.send(**{"to": PHONE, "from_": OURS, "body": BODY, **fields})


def only_message(ledger: Ledger) -> Message:
    (uuid,) = {entry.message_uuid for entry in ledger.spooled}
    return ledger.message(uuid)


def only_leg(ledger: Ledger) -> Leg:
    (leg,) = legs(only_message(ledger))
    return leg


def posts(server: TwilioServer) -> int:
    return sum(call.method == "POST" for call in server.calls)


def posts_in_the_end(server: TwilioServer) -> int:
    """The stand-in counts a request when it has answered it, which may be after the client has gone."""
    until = time.monotonic() + 5
    while not posts(server) and time.monotonic() < until:
        time.sleep(0.02)
    return posts(server)


def test_a_message_is_sent_and_waits_for_its_price(server: TwilioServer, sender: SmsSender, ledger: Ledger) -> None:
    with message_scope(user_id="u1", thread_id="t1", channel="sms") as scope:
        sent = send(sender, message_type="welcome")

    assert (sent.message_uuid, sent.status, sent.estimate) == (scope.uuid, "queued", Money("0.0083"))
    assert [message.body for message in server.messages] == [BODY]
    leg = only_leg(ledger)
    assert (leg.sid, leg.send_id, leg.cost_state) == (sent.sid, sent.send_id, CostState.PENDING)
    assert leg.delivery is not None
    assert leg.delivery.status == "queued"
    assert leg.context == costtrace.Context(
        user_id="u1", thread_id="t1", channel="sms", direction="outbound", message_type="welcome"
    )
    assert leg.details == {
        "address_kind": "sms",
        "to_country": "US",
        "to_hash": HASHER(PHONE),
        "from_hash": HASHER(OURS),
        "segments": 1,
        "encoding": "GSM-7",
        "num_media": 0,
        "body_length": len(BODY),
        "num_segments": 1,
        "account_sid": server.account_sid,
    }
    assert dict(only_message(ledger).total.pending) == {"USD": Decimal("0.0083")}
    assert ledger.kinds == ["sms-send", "sms", "sms-status"]


def test_it_is_written_down_before_twilio_is_asked(
    server: TwilioServer, client: Client, recorder: Recorder, ledger: Ledger
) -> None:
    asked: list[list[str]] = []
    ask = client.http_client.request

    def noting(*args: Any, **options: Any) -> Any:
        asked.append(ledger.kinds)
        return ask(*args, **options)

    client.http_client.request = noting
    send(SmsSender(client, recorder))
    assert (asked, posts(server)) == ([["sms-send"]], 1)


@pytest.mark.parametrize("word", ["chat", "welcome", "notification", "subscription", "cancellation", "win_back"])
def test_every_message_type_is_kept(sender: SmsSender, ledger: Ledger, word: str) -> None:
    send(sender, message_type=word)
    assert only_leg(ledger).context.message_type == word


def test_the_open_message_says_the_type_where_the_caller_does_not(sender: SmsSender, ledger: Ledger) -> None:
    with message_scope(message_type="notification", direction="inbound"):
        send(sender)
    context = only_leg(ledger).context
    assert (context.message_type, context.direction) == ("notification", "outbound")


def test_without_an_open_message_it_is_one_of_its_own(sender: SmsSender, ledger: Ledger) -> None:
    first, second = send(sender, user_id="u1", thread_id="t1"), send(sender, message_uuid="u-2")
    assert first.message_uuid != second.message_uuid == "u-2"
    assert only_of(ledger, first).context == costtrace.Context(
        user_id="u1", thread_id="t1", channel="sms", direction="outbound", message_type="chat"
    )


def only_of(ledger: Ledger, sent: SentMessage) -> Leg:
    (leg,) = legs(ledger.message(sent.message_uuid))
    return leg


def test_a_message_that_is_named_beside_an_open_one_takes_nothing_from_it(sender: SmsSender, ledger: Ledger) -> None:
    with message_scope(user_id="somebody else"):
        sent = send(sender, message_uuid="u-2")
    assert only_of(ledger, sent).context.user_id is None


def test_it_names_the_model_calls_that_made_it(sender: SmsSender, ledger: Ledger) -> None:
    with message_scope() as scope:
        for number in range(40):
            ledger.spool(make_entry(number, message_uuid=scope.uuid))
        send(sender)
    assert only_leg(ledger).details["links"] == [f"run-{number}" for number in range(8, 40)]


def test_it_keeps_the_trace_it_was_sent_in(sender: SmsSender, ledger: Ledger) -> None:
    provider = TracerProvider()
    carrier: dict[str, str] = {}
    with provider.get_tracer("test").start_as_current_span("turn"):
        TraceContextTextMapPropagator().inject(carrier)
        send(sender)
    assert parse_traceparent(only_leg(ledger).details["traceparent"]) == parse_traceparent(carrier["traceparent"])
    provider.shutdown()


def test_the_callback_names_message_and_attempt(client: Client, recorder: Recorder, server: TwilioServer) -> None:
    with App() as app:
        sender = SmsSender(client, recorder, status_callback=f"{app.address}/sms/callback?tenant=7#ct=2000")
        sent = send(sender)
        server.wait()
    assert app.statuses == ["sent", "delivered"]
    for received in app.received:
        assert parse_qs(urlsplit(received.url).query) == {
            "tenant": ["7"],
            "message_uuid": [sent.message_uuid],
            "send": [sent.send_id],
        }
        assert received.signed_with(server.auth_token)
    assert server.messages[0].status_callback == (
        f"{app.address}/sms/callback?tenant=7&message_uuid={sent.message_uuid}&send={sent.send_id}#ct=2000&rc=3&rp=ct,rt,5xx"
    )


def test_a_callback_of_its_own_goes_before_the_senders(
    client: Client, recorder: Recorder, server: TwilioServer
) -> None:
    send(SmsSender(client, recorder, status_callback=CALLBACK), status_callback="https://other.example/cb")
    assert str(server.messages[0].status_callback).startswith("https://other.example/cb?message_uuid=")


@pytest.mark.parametrize("early", [0, 1])
def test_callbacks_before_the_answer_change_nothing(server: TwilioServer, sender: SmsSender, early: int) -> None:
    with App() as app:
        server.script(Fate(early=early))
        sent = send(sender, status_callback=app.url.partition("?")[0])
        server.wait()
    assert (sent.sid, len(app.received)) == (server.messages[0].sid, 2)


def test_media_make_it_an_mms(sender: SmsSender, ledger: Ledger, server: TwilioServer) -> None:
    send(sender, media_url=["https://example.com/a.png"])
    leg = only_leg(ledger)
    assert (leg.details["address_kind"], leg.details["num_media"], leg.estimate) == ("mms", 1, Money("0.022"))
    assert server.messages[0].num_media == 1


def test_whatsapp_is_a_channel_of_its_own(sender: SmsSender, ledger: Ledger) -> None:
    send(sender, to=f"whatsapp:{PHONE}", from_=f"whatsapp:{OURS}")
    leg = only_leg(ledger)
    assert (leg.details["address_kind"], leg.context.channel, leg.estimate) == ("whatsapp", "whatsapp", Money("0.005"))
    assert leg.details["to_hash"] == HASHER(PHONE)


def test_a_messaging_service_does_not_know_the_segments_yet(sender: SmsSender, ledger: Ledger) -> None:
    sent = send(sender, from_=None, messaging_service_sid=SERVICE)
    leg = only_leg(ledger)
    assert (sent.status, leg.details["messaging_service_sid"], leg.details["segments"]) == ("accepted", SERVICE, 1)
    assert "num_segments" not in leg.details


def test_a_scheduled_message_says_when(sender: SmsSender, ledger: Ledger) -> None:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    sent = send(sender, from_=None, messaging_service_sid=SERVICE, schedule_type="fixed", send_at=moment)
    assert (sent.status, only_leg(ledger).details["scheduled_for"]) == ("scheduled", moment_text(moment))


def test_smart_encoding_changes_the_estimate(sender: SmsSender, ledger: Ledger, server: TwilioServer) -> None:
    text = "\u2019" + "a" * 100
    plain, smart = send(sender, body=text), send(sender, body=text, smart_encoded=True)
    assert (plain.estimate, smart.estimate) == (Money("0.0166"), Money("0.0083"))
    assert only_of(ledger, smart).details["smart_encoded"] is True
    assert len(server.messages) == 2


def test_a_country_without_a_rate_is_pending_without_an_amount(client: Client, recorder: Recorder) -> None:
    def nobody_knows(*_: Any, **__: Any) -> Any:
        raise LookupError(f"no rate for {PHONE}")

    sent = send(SmsSender(client, recorder, estimator=nobody_knows))
    total = recorder.ledger.message(sent.message_uuid).total
    assert (sent.estimate, total.coverage["pending"], total.complete) == (None, 1, False)
    reason = recorder.ledger.message(sent.message_uuid).entries[0].reason
    assert reason == "no estimate: the estimator failed with LookupError"


@pytest.mark.parametrize(("to", "code"), [("+15005550001", 21211), ("+15005550009", 21614), ("not a number", 21211)])
def test_a_refusal_is_passed_on_and_costs_nothing(
    sender: SmsSender, ledger: Ledger, server: TwilioServer, to: str, code: int
) -> None:
    with pytest.raises(TwilioRestException) as caught:
        send(sender, to=to, from_="+15005550006")
    assert (caught.value.status, caught.value.code) == (400, code)
    leg, total = only_leg(ledger), only_message(ledger).total
    assert (leg.cost_state, leg.sid, leg.needs_price) == (CostState.NOT_BILLABLE, None, False)
    assert leg.delivery is not None
    assert leg.delivery.status == "rejected"
    assert (dict(total.actual), dict(total.pending), total.complete) == ({"USD": Decimal(0)}, {}, True)
    assert (ledger.spooled[-1].error, posts(server)) == (f"TwilioRestException {code}", 1)


def test_too_many_requests_are_a_refusal_too(sender: SmsSender, ledger: Ledger, server: TwilioServer) -> None:
    server.fail(Fault(on="create", status=429))
    with pytest.raises(TwilioRestException):
        send(sender)
    assert (only_leg(ledger).cost_state, posts(server)) == (CostState.NOT_BILLABLE, 1)


FAULTS = [
    Fault(on="create", status=500),
    Fault(on="create", status=500, applied=True),
    Fault(on="create", status=503),
    Fault(on="create", status=408),
    Fault(on="create", dropped=True),
    Fault(on="create", dropped=True, applied=True),
    Fault(on="create", delay_s=1.0),
]


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_without_a_clear_answer_it_is_never_sent_again(
    server: TwilioServer, client: Client, recorder: Recorder, ledger: Ledger, fault: Fault
) -> None:
    server.fail(fault)
    client.http_client.timeout = 0.4
    with pytest.raises(SendUnknown, match="sms reconcile") as caught:
        send(SmsSender(client, recorder))
    leg = only_leg(ledger)
    assert (leg.message_uuid, leg.send_id) == (caught.value.message_uuid, caught.value.send_id)
    assert leg.delivery is not None
    assert (leg.delivery.status, leg.cost_state, leg.needs_price) == ("send_unknown", CostState.ESTIMATED, True)
    assert dict(only_message(ledger).total.pending) == {"USD": Decimal("0.0083")}
    assert posts_in_the_end(server) == 1
    assert PHONE not in str(caught.value)


def test_a_client_without_a_time_limit_gets_one(server: TwilioServer, client: Client, recorder: Recorder) -> None:
    server.fail(Fault(on="create", delay_s=1.0))
    client.http_client.timeout = None
    with pytest.raises(SendUnknown):
        send(SmsSender(client, recorder, timeout_s=0.2))
    assert client.http_client.timeout is None


def test_twilio_out_of_reach_has_heard_of_nothing(recorder: Recorder, ledger: Ledger) -> None:
    client = make_client("AC" + "0" * 32, "token", base_url="http://127.0.0.1:9", timeout_s=2)
    with pytest.raises(requests.ConnectionError):
        send(SmsSender(client, recorder))
    client.http_client.session.close()
    assert (only_leg(ledger).cost_state, ledger.spooled[-1].error) == (CostState.NOT_BILLABLE, "ConnectionError")


def test_an_option_the_sdk_does_not_know_is_no_unknown_outcome(
    sender: SmsSender, ledger: Ledger, server: TwilioServer
) -> None:
    with pytest.raises(TypeError, match="priority"):
        send(sender, priority="high")
    assert (only_leg(ledger).cost_state, posts(server)) == (CostState.NOT_BILLABLE, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"message_type": ""},
        {"message_uuid": ""},
        {"user_id": 7},
        {"status_callback": "/sms/callback"},
        {"status_callback": "https://a.example?message_uuid=x"},
        {"send_at": datetime(2036, 1, 20, 9, 30)},  # noqa: DTZ001 - what the test is about
    ],
    ids=repr,
)
def test_what_cannot_be_right_is_refused_before_anything_happens(
    sender: SmsSender, ledger: Ledger, server: TwilioServer, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValue):
        send(sender, **wrong)
    assert (ledger.spooled, server.calls) == ([], [])


def test_a_store_that_is_down_keeps_no_message_back(
    sender: SmsSender, ledger: Ledger, recorder: Recorder, server: TwilioServer, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.down = True
    with caplog.at_level(logging.ERROR, "costtrace"):
        sent = send(sender)
    assert (sent.sid, recorder.health().buffered) == (server.messages[0].sid, 3)
    assert "entries wait in memory" in caplog.text
    ledger.down = False
    assert recorder.drain() == 0
    assert only_leg(ledger).sid == sent.sid


@pytest.fixture
async def async_client(server: TwilioServer) -> AsyncIterator[Client]:
    client = make_client(server.account_sid, server.auth_token, base_url=server.base_url, asynchronous=True)
    yield client
    await client.http_client.close()


async def test_an_asynchronous_client_sends_too(
    server: TwilioServer, async_client: Client, recorder: Recorder, ledger: Ledger
) -> None:
    sender = SmsSender(async_client, recorder)
    with message_scope(user_id="u1") as scope:
        sent = await sender.asend(to=PHONE, from_=OURS, body=BODY)
    assert (sent.message_uuid, sent.sid) == (scope.uuid, server.messages[0].sid)
    assert (only_leg(ledger).context.user_id, ledger.kinds) == ("u1", ["sms-send", "sms", "sms-status"])


async def test_a_synchronous_client_does_not_keep_the_event_loop_waiting(
    server: TwilioServer, sender: SmsSender, ledger: Ledger
) -> None:
    server.fail(Fault(on="create", delay_s=0.3))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    counting = asyncio.create_task(count())
    with message_scope(user_id="u1") as scope:
        sent = await sender.asend(to=PHONE, from_=OURS, body=BODY)
    counting.cancel()
    assert (sent.message_uuid, only_leg(ledger).context.user_id) == (scope.uuid, "u1")
    assert turns >= 5


async def test_an_asynchronous_client_is_not_used_synchronously(async_client: Client, recorder: Recorder) -> None:
    with pytest.raises(InvalidValue, match="asend"):
        send(SmsSender(async_client, recorder))


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
async def test_an_asynchronous_request_is_never_repeated_either(
    server: TwilioServer, async_client: Client, recorder: Recorder, ledger: Ledger, fault: Fault
) -> None:
    server.fail(fault)
    async_client.http_client.timeout = 0.4
    with pytest.raises(SendUnknown):
        await SmsSender(async_client, recorder).asend(to=PHONE, from_=OURS, body=BODY)
    assert ledger.kinds == ["sms-send", "sms-end"]
    assert await asyncio.to_thread(posts_in_the_end, server) == 1


async def test_an_asynchronous_refusal_is_passed_on(async_client: Client, recorder: Recorder, ledger: Ledger) -> None:
    with pytest.raises(TwilioRestException):
        await SmsSender(async_client, recorder).asend(to="+15005550001", from_="+15005550006", body=BODY)
    assert only_leg(ledger).cost_state is CostState.NOT_BILLABLE


async def test_a_send_that_is_cancelled_has_an_unknown_outcome(
    server: TwilioServer, async_client: Client, recorder: Recorder, ledger: Ledger
) -> None:
    server.fail(Fault(on="create", delay_s=2.0))
    sending = asyncio.create_task(SmsSender(async_client, recorder).asend(to=PHONE, from_=OURS, body=BODY))
    await asyncio.sleep(0.3)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert [entry.status for entry in ledger.spooled] == ["created", "send_unknown"]


async def test_a_send_that_is_cancelled_before_twilio_is_asked_was_not_made(
    server: TwilioServer, async_client: Client, trace: Traced
) -> None:
    class Slow(MemoryLedger):
        asked, answer = threading.Event(), threading.Event()

        def message(self, message_uuid: str) -> Message:
            self.asked.set()
            assert self.answer.wait(10)
            return super().message(message_uuid)

    ledger = Slow()
    sender = SmsSender(async_client, trace.recorder(ledger))
    sending = asyncio.create_task(sender.asend(to=PHONE, from_=OURS, body=BODY, message_uuid="m1"))
    await asyncio.to_thread(ledger.asked.wait, 10)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    ledger.answer.set()
    await asyncio.get_running_loop().shutdown_default_executor()  # waits for its threads
    assert [(entry.kind, entry.status) for _, entry in ledger.entries()] == [
        ("sms-send", "created"),
        ("sms-end", "rejected"),
    ]
    assert (dict(ledger.message("m1").total.pending), server.messages) == ({}, [])
    assert (trace.one("send sms").attributes or {})["error.type"] == "CancelledError"


async def test_a_client_that_would_repeat_a_post_is_refused(server: TwilioServer, recorder: Recorder) -> None:
    http = AsyncTwilioHttpClient(max_retries=3)
    client = Client(server.account_sid, server.auth_token, http_client=http)
    with pytest.raises(InvalidValue, match="twice"):
        SmsSender(client, recorder)
    await http.close()


async def test_twilio_out_of_reach_is_no_unknown_outcome_asynchronously(recorder: Recorder, ledger: Ledger) -> None:
    client = make_client("AC" + "0" * 32, "token", base_url="http://127.0.0.1:9", asynchronous=True)
    with pytest.raises(OSError, match="127"):
        await SmsSender(client, recorder).asend(to=PHONE, from_=OURS, body=BODY)
    await client.http_client.close()
    assert only_leg(ledger).cost_state is CostState.NOT_BILLABLE


def test_nothing_of_the_message_is_in_any_file(
    client: Client, server: TwilioServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = SqliteLedger(tmp_path / "costs.db")
    recorder = Recorder(ledger)
    sender = SmsSender(client, recorder, hasher=HASHER, status_callback=CALLBACK)
    with caplog.at_level(logging.DEBUG, "costtrace"):
        send(sender)
        with pytest.raises(TwilioRestException):
            send(sender, to="+15005550001", from_="+15005550006")
        server.fail(Fault(on="create", dropped=True, applied=True))
        with pytest.raises(SendUnknown):
            send(sender)
        before = _bytes(tmp_path)
        recorder.flush()
        after = _bytes(tmp_path)
        recorder.close()
    kept = before + after + _bytes(tmp_path) + caplog.text.encode()
    assert b"sms-send/" in before
    assert str(HASHER(PHONE)).encode() in kept
    for planted in (BODY, PHONE, PHONE[1:], OURS[1:], "5005550001", server.auth_token, HASHER.key.decode()):
        assert planted.encode() not in kept


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())
