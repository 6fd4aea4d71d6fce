"""An attempt that has a name is made once, whichever process makes it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from twilio.rest import Client

from costtrace.errors import InvalidValue, LedgerUnavailable
from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.sandbox.twilio import TwilioServer
from costtrace.testing import MemoryLedger
from costtrace.twilio import AlreadySent, SmsSender
from costtrace.twilio.legs import legs
from tests.sandbox.twilio_app import OURS, PHONE, sdk

CALLBACK = "https://example.com/sms/callback"


@pytest.fixture
def server() -> Iterator[TwilioServer]:
    with TwilioServer(manual=True) as running:
        yield running


@pytest.fixture
def client(server: TwilioServer) -> Iterator[Client]:
    with sdk(server) as connected:
        yield connected


def send(sender: SmsSender, send_id: str) -> None:
    sender.send(to=PHONE, from_=OURS, body="On its way.", message_uuid="u-1", send_id=send_id)


def test_the_second_attempt_of_a_name_is_not_made(client: Client, server: TwilioServer) -> None:
    ledger = MemoryLedger()
    sender = SmsSender(client, Recorder(ledger), status_callback=CALLBACK)
    send(sender, "job-1")

    with pytest.raises(AlreadySent, match="attempt job-1 of message 'u-1' was made before"):
        send(sender, "job-1")

    assert len(server.messages) == 1
    (leg,) = legs(ledger.message("u-1"))
    assert (leg.send_id, leg.sid) == ("job-1", server.messages[0].sid)
    assert "send=job-1" in (server.messages[0].status_callback or "")


def test_of_many_at_once_one_is_made(client: Client, server: TwilioServer, tmp_path: Path) -> None:
    ledgers = [SqliteLedger(tmp_path / "costs.db") for _ in range(6)]
    senders = [SmsSender(client, Recorder(ledger)) for ledger in ledgers]

    def sent(sender: SmsSender) -> bool:
        try:
            send(sender, "job-1")
        except AlreadySent:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(sent, senders)) == 1
    assert len(server.messages) == 1
    for ledger in ledgers:
        ledger.close()


async def test_an_attempt_that_is_awaited_has_its_name_too(client: Client, server: TwilioServer) -> None:
    sender = SmsSender(client, Recorder(MemoryLedger()))
    await sender.asend(to=PHONE, from_=OURS, body="Once.", message_uuid="u-1", send_id="job-1")
    with pytest.raises(AlreadySent):
        await sender.asend(to=PHONE, from_=OURS, body="Once.", message_uuid="u-1", send_id="job-1")
    assert len(server.messages) == 1


def test_without_the_ledger_nobody_knows_whether_it_was_made(client: Client, server: TwilioServer) -> None:
    class Down(MemoryLedger):
        def append(self, entries: object) -> frozenset[str]:  # noqa: ARG002 - it takes nothing
            raise LedgerUnavailable("the disk is full")

    with pytest.raises(LedgerUnavailable):
        send(SmsSender(client, Recorder(Down())), "job-1")
    assert server.messages == []


@pytest.mark.parametrize("send_id", ["", "a b", "é", "x" * 65, 7])
def test_a_name_that_no_address_carries_is_refused(client: Client, server: TwilioServer, send_id: str) -> None:
    with pytest.raises(InvalidValue, match=r"^send_id: expected 1 to 64 letters, digits, dashes and underscores"):
        send(SmsSender(client, Recorder(MemoryLedger())), send_id)
    assert server.messages == []
