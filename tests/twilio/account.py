"""A Twilio account on the stand-in, with everything that costtrace keeps of it, under one clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from twilio.rest import Client

from costtrace import Recorder
from costtrace.ledger import Ledger
from costtrace.sandbox.twilio import Tariff, TwilioServer
from costtrace.twilio.addresses import NumberHasher
from costtrace.twilio.entries import callback_entries
from costtrace.twilio.legs import Leg, leg_of
from costtrace.twilio.outcomes import SentMessage
from costtrace.twilio.reading import TwilioReader
from costtrace.twilio.reconcile import Reconcile
from costtrace.twilio.sender import SmsSender
from costtrace.twilio.settlement import Settlement
from costtrace.twilio.webhooks import StatusCallback
from tests.sandbox.twilio_app import OURS, PHONE, sdk
from tests.twilio.clocks import Clock

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HASHER = NumberHasher(b"a key of tests, 32 bytes long ..")


@dataclass(frozen=True, kw_only=True)
class Account:
    """The stand-in in manual mode: nothing happens that a test does not say."""

    server: TwilioServer
    client: Client
    ledger: Ledger
    clock: Clock
    sender: SmsSender

    def send(self, body: str = "On its way.", **options: Any) -> SentMessage:
        return self.sender.send(**{"to": PHONE, "from_": OURS, "body": body, **options})

    def tell(self, sent: SentMessage, status: str, *, error_code: int | None = None) -> None:
        """The status callback arrives, and is stored."""
        callback = StatusCallback(
            message_sid=sent.sid,
            account_sid=self.server.account_sid,
            status=status,
            error_code=error_code,
            message_uuid=sent.message_uuid,
            send_id=sent.send_id,
        )
        self.ledger.append(callback_entries(callback, now=self.clock()))

    def deliver(self, sent: SentMessage) -> None:
        """It goes out and arrives, and the application is told so."""
        self.server.advance(sent.sid, "sent", "delivered")
        self.tell(sent, "sent")
        self.tell(sent, "delivered")

    def leg(self, sent: SentMessage) -> Leg:
        leg = leg_of(self.ledger.message(sent.message_uuid), send_id=sent.send_id)
        assert leg is not None
        return leg

    def reader(self) -> TwilioReader:
        return TwilioReader(self.client, sleep=self.clock.sleep, monotonic=self.clock.monotonic)

    def settlement(self, **options: Any) -> Settlement:
        return Settlement(self.client, self.ledger, clock=self.clock, **{"reader": self.reader(), **options})

    def reconcile(self, **options: Any) -> Reconcile:
        known = {"reader": self.reader(), "hasher": HASHER, **options}
        return Reconcile(self.client, self.ledger, clock=self.clock, **known)

    def after(self, **span: float) -> None:
        self.clock.now += timedelta(**span)

    @property
    def fetches(self) -> int:
        return sum(call.method == "GET" and "/Messages/" in call.path for call in self.server.calls)


@contextmanager
def account(ledger: Ledger, *, tariff: Tariff | None = None, hasher: NumberHasher | None = HASHER) -> Iterator[Account]:
    clock = Clock(NOON)
    with TwilioServer(clock=clock, tariff=tariff, manual=True) as server, sdk(server) as client:
        recorder = Recorder(ledger, clock=lambda: int(clock().timestamp() * 1_000_000) * 1_000)
        sender = SmsSender(client, recorder, hasher=hasher)
        yield Account(server=server, client=client, ledger=ledger, clock=clock, sender=sender)
