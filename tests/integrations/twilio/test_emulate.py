"""A Twilio emulator that others wrote, beside our stand-in: the same SDK calls, the same things true of both.

`emulate` posts its first callback before the create call returns. It knows no price, and counts segments its own way:
what is compared here is what both claim to do as Twilio does.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from costtrace.sandbox.twilio import Fate, TwilioServer
from tests.integrations.twilio.node import free_port, installed, running
from tests.sandbox.twilio_app import OURS, PHONE, App, connection

EMULATE = "0.9.0"
ACCOUNT = "AC" + "a" * 32
TOKEN = "a token of the emulator"  # noqa: S105 - a secret of the stand-in


class Peer(Protocol):
    """A running Twilio: where it is, who may use it, and how to make it tell the application something."""

    base_url: str
    account_sid: str
    auth_token: str

    def move_to(self, sid: str, status: str) -> None: ...

    def phone_writes(self, body: str) -> None: ...


@dataclass
class Emulator:
    base_url: str
    account_sid: str = ACCOUNT
    auth_token: str = TOKEN

    def move_to(self, sid: str, status: str) -> None:
        self._simulate("message-status", {"MessageSid": sid, "Status": status})

    def phone_writes(self, body: str) -> None:
        self._simulate("inbound-message", {"From": PHONE, "To": OURS, "Body": body})

    def _simulate(self, what: str, form: dict[str, str]) -> None:
        url = f"{self.base_url}/_twilio/simulate/{what}"
        requests.post(url, form, auth=(self.account_sid, self.auth_token), timeout=30).raise_for_status()


@dataclass
class StandIn:
    server: TwilioServer

    def __post_init__(self) -> None:
        self.base_url = self.server.base_url
        self.account_sid = self.server.account_sid
        self.auth_token = self.server.auth_token

    def move_to(self, sid: str, status: str) -> None:
        self.server.advance(sid, status)
        self.server.callback(sid)

    def phone_writes(self, body: str) -> None:
        self.server.receive(from_=PHONE, to=OURS, body=body)


@contextmanager
def emulator(inbound_url: str, folder: Path) -> Iterator[Peer]:
    number = {"phone_number": OURS, "friendly_name": "ours", "sms_url": inbound_url, "sms_method": "POST"}
    account = {"sid": ACCOUNT, "auth_token": TOKEN, "friendly_name": "ours"}
    seed = folder / "seed.json"
    seed.write_text(json.dumps({"twilio": {"account": account, "phone_numbers": [number]}}), encoding="utf-8")
    script, port = installed("emulate", EMULATE) / "dist" / "index.js", free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = ["start", "--service", "twilio", "--port", str(port), "--seed", str(seed), "--base-url", address]
    with running(script, arguments, port=port) as base_url:
        yield Emulator(base_url)


@contextmanager
def stand_in(inbound_url: str, _: Path) -> Iterator[Peer]:
    with TwilioServer(inbound_url=inbound_url, manual=True) as server:
        yield StandIn(server)


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    with App() as running_app:
        yield running_app


@pytest.fixture(scope="module", params=["emulate", "stand-in"])
def peer(request: pytest.FixtureRequest, app: App, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    start: AbstractContextManager[Peer]
    folder = tmp_path_factory.mktemp("peer")
    start = (emulator if request.param == "emulate" else stand_in)(f"{app.address}/sms/inbound", folder)
    with start as up:
        yield up


@pytest.fixture
def client(peer: Peer, app: App) -> Iterator[Client]:
    app.received.clear()
    with connected(peer) as real:
        yield real


def connected(peer: Peer) -> AbstractContextManager[Client]:
    return connection(peer.account_sid, peer.auth_token, peer.base_url)


def send(client: Client, app: App, **fields: Any) -> Any:
    return client.messages.create(
        **{"to": PHONE, "from_": OURS, "body": "On its way.", "status_callback": app.url, **fields}
    )


def test_a_message_is_created_without_a_price_found_again_and_listed(client: Client, app: App) -> None:
    sent = send(client, app)
    found = client.messages(sent.sid).fetch()

    assert (sent.status, sent.price, sent.direction, sent.num_segments) == ("queued", None, "outbound-api", "1")
    assert (found.sid, found.to, found.from_, found.body) == (sent.sid, PHONE, OURS, "On its way.")
    assert sent.sid in [message.sid for message in client.messages.list(limit=100)]


def test_callbacks_are_signed_over_the_address_with_its_query(peer: Peer, client: Client, app: App) -> None:
    sent = send(client, app)
    for status in ("sent", "delivered"):
        peer.move_to(sent.sid, status)
    told = app.received[-2:]

    assert [webhook.form["MessageStatus"] for webhook in told] == ["sent", "delivered"]
    assert all(webhook.signed_with(peer.auth_token) for webhook in told)
    assert {webhook.url for webhook in told} == {app.url}
    assert {(webhook.form["MessageSid"], webhook.form["AccountSid"]) for webhook in told} == {
        (sent.sid, peer.account_sid)
    }
    assert client.messages(sent.sid).fetch().status == "delivered"


def test_callbacks_have_every_field_the_other_has_that_twilio_documents(peer: Peer, client: Client, app: App) -> None:
    peer.move_to(send(client, app).sid, "sent")

    assert set(app.received[-1].form) >= {
        "AccountSid",
        "ApiVersion",
        "From",
        "MessageSid",
        "MessageStatus",
        "SmsSid",
        "SmsStatus",
        "To",
    }


def test_a_phone_writes_to_the_application(peer: Peer, client: Client, app: App) -> None:
    peer.phone_writes("Where is my parcel?")

    (webhook,) = app.received
    assert webhook.signed_with(peer.auth_token)
    assert (webhook.form["SmsStatus"], webhook.form["Body"], webhook.form["NumMedia"]) == (
        "received",
        "Where is my parcel?",
        "0",
    )
    assert client.messages(webhook.form["MessageSid"]).fetch().direction == "inbound"


def test_refusals_have_the_same_status_and_code(client: Client) -> None:
    with pytest.raises(TwilioRestException) as missing:
        client.messages("SM" + "0" * 32).fetch()

    assert (missing.value.status, missing.value.code) == (404, 20404)


def test_a_callback_may_arrive_before_the_create_call_returns(app: App, tmp_path: Path) -> None:
    """The emulator always does it, the stand-in when its fate says so: the SID is told before it is known."""

    def told(peer: Peer) -> list[str]:
        app.received.clear()
        with connected(peer) as client:
            sid = send(client, app).sid
            assert [webhook.form["MessageSid"] for webhook in app.received] == [sid]
        return [webhook.form["MessageStatus"] for webhook in app.received]

    with emulator(app.address, tmp_path) as other, TwilioServer() as server:
        server.script(Fate(statuses=("queued",), early=1))
        assert told(other) == told(StandIn(server)) == ["queued"]
