"""A ledger that holds the messages of an account and of its sub-account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest
from twilio.rest import Client

from costtrace import Recorder
from costtrace.ledger import Ledger
from costtrace.money import Money
from costtrace.sandbox.twilio import Fault, TwilioServer
from costtrace.testing import MemoryLedger
from costtrace.twilio.entries import message_uuid_of
from costtrace.twilio.legs import Leg, legs
from costtrace.twilio.outcomes import SendUnknown
from costtrace.twilio.reading import CredentialsRefused, TwilioReader
from costtrace.twilio.reconcile import Reconcile
from costtrace.twilio.sender import SmsSender
from costtrace.twilio.settlement import Settled, Settlement
from tests.sandbox.twilio_app import OURS, PHONE, sdk
from tests.twilio.account import HASHER, NOON
from tests.twilio.clocks import Clock

PART, PART_TOKEN = "AC" + "b" * 32, "f" * 32
PRICE = Money("0.0083")


@dataclass(frozen=True, kw_only=True)
class Family:
    server: TwilioServer
    whole: Client
    part: Client
    ledger: Ledger
    clock: Clock

    def send(self, client: Client) -> str:
        """One SMS that goes out and arrives; the uuid of its message."""
        recorder = Recorder(self.ledger, clock=lambda: int(self.clock().timestamp()) * 1_000_000_000)
        sent = SmsSender(client, recorder, hasher=HASHER).send(to=PHONE, from_=OURS, body="On its way.")
        self.server.advance(sent.sid, "sent", "delivered")
        return sent.message_uuid

    def settle(self, client: Client) -> Settled:
        self.clock.now += timedelta(hours=1)
        reader = TwilioReader(client, sleep=self.clock.sleep, monotonic=self.clock.monotonic)
        return Settlement(client, self.ledger, clock=self.clock, reader=reader).run_once()

    def leg(self, message_uuid: str) -> Leg:
        (leg,) = legs(self.ledger.message(message_uuid))
        return leg


@pytest.fixture
def family() -> Iterator[Family]:
    clock = Clock(NOON)
    with ExitStack() as stack:
        server = stack.enter_context(TwilioServer(clock=clock, manual=True, subaccounts={PART: PART_TOKEN}))
        yield Family(
            server=server,
            whole=stack.enter_context(sdk(server)),
            part=stack.enter_context(sdk(server, username=PART, password=PART_TOKEN)),
            ledger=MemoryLedger(),
            clock=clock,
        )


def test_the_main_accounts_credentials_settle_the_sub_accounts_messages(family: Family) -> None:
    sent = [family.send(family.whole), family.send(family.part)]
    assert family.settle(family.whole).priced == 2
    assert [family.leg(uuid).price for uuid in sent] == [PRICE, PRICE]


def test_what_an_account_may_not_read_stays_pending_and_stops_nothing(family: Family) -> None:
    ours, theirs = family.send(family.part), family.send(family.whole)
    settled = family.settle(family.part)
    assert (settled.priced, settled.failed) == (1, 1)
    assert family.server.account_sid in settled.problems[0]
    assert (family.leg(ours).price, family.leg(theirs).price) == (PRICE, None)
    assert family.leg(theirs).needs_price
    assert family.settle(family.whole).priced == 1


def test_credentials_refused_for_their_own_account_still_stop_everything(family: Family) -> None:
    family.send(family.whole)
    family.server.fail(Fault(on="fetch", status=401))
    with pytest.raises(CredentialsRefused):
        family.settle(family.whole)


def test_a_send_of_unknown_outcome_is_looked_for_in_its_own_accounts_list(family: Family) -> None:
    family.server.fail(Fault(on="create", status=500, applied=True))
    with pytest.raises(SendUnknown) as lost:
        family.send(family.part)
    family.server.advance(family.server.messages[0].sid, "sent", "delivered")
    family.clock.now += timedelta(days=9)
    assert Reconcile(family.whole, family.ledger, clock=family.clock, hasher=HASHER).run().given_up == 0
    found = Reconcile(family.part, family.ledger, clock=family.clock, hasher=HASHER).run(days=30)
    assert (found.identified, family.leg(lost.value.message_uuid).price) == (1, PRICE)


def test_a_found_message_is_settled_in_the_account_it_was_found_in(family: Family) -> None:
    sid = family.part.messages.create(to=PHONE, from_=OURS, body="On its way.").sid
    family.server.advance(sid, "sent", "delivered")
    family.clock.now += timedelta(hours=1)
    assert Reconcile(family.part, family.ledger, clock=family.clock).run().found_outbound == 1
    assert family.leg(message_uuid_of(sid)).details["account_sid"] == PART
