"""Who wrote: what the application says of it, and what happens when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from costtrace.aws.inbound import SmsInbound
from costtrace.chat import ChatMessages
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.testing import MemoryLedger
from costtrace.twilio import NumberHasher
from costtrace.twilio.entries import message_uuid_of
from costtrace.twilio.signature import Verifier
from tests.aws.parts import Sqs, call, queue
from tests.integrations.aws_runtime.runtime import http_event
from tests.peers.emulator import Account
from tests.web.parts import BASE, TOKEN, inbound, sid

HASHER = NumberHasher(b"a key of the tests, 32 bytes lon")


def taken(aws: Account, identify: Any) -> Mapping[str, Any]:
    """What the ledger knows of who wrote, once the message was taken."""
    create_tables(aws.client(), ledger=None)
    ledger, chat = MemoryLedger(), ChatMessages(aws.client())
    take = SmsInbound(
        ledger,
        chat,
        Verifier(tokens=TOKEN, public_base=BASE),
        replies=queue(Sqs()),
        hasher=HASHER,
        now=lambda: datetime.now(UTC),
        environment="test",
        identify=identify,
    )
    assert take(http_event(inbound(1)), call())["statusCode"] == 200
    context = ledger.message(message_uuid_of(sid(1))).context
    assert [row.content for row in chat.history(str(context.thread_id))] == ["Where is my parcel?"]
    return context.to_dict()


def test_the_application_knows_who_wrote(aws: Account) -> None:
    known = taken(aws, lambda message: {"user_id": f"user of {message.from_[-4:]}", "tags": {"plan": "gold"}})
    assert (known["user_id"], known["tags"], known["environment"]) == ("user of 0123", {"plan": "gold"}, "test")


def _fails(_: object) -> Mapping[str, Any]:
    raise KeyError("+14155550123")


@pytest.mark.parametrize("identify", [_fails, lambda _: None, lambda _: {"colour": "red"}, lambda _: {"user_id": 7}])
def test_an_application_that_cannot_say_costs_no_message(
    aws: Account, identify: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert str(taken(aws, identify)["user_id"]).startswith(str(HASHER("+14155550123")))
    assert "identify failed for SM" in caplog.text
    assert "+1415" not in caplog.text


def test_a_queue_that_is_down_makes_twilio_come_again(aws: Account) -> None:
    create_tables(aws.client(), ledger=None)
    sqs = Sqs(down=True)
    take = SmsInbound(
        MemoryLedger(),
        ChatMessages(aws.client()),
        Verifier(tokens=TOKEN, public_base=BASE),
        replies=queue(sqs),
        hasher=HASHER,
        now=lambda: datetime.now(UTC),
    )
    assert take(http_event(inbound(1)), call()) == {"statusCode": 503}
    sqs.down = False
    assert take(http_event(inbound(1)), call())["statusCode"] == 200
    assert len(sqs.jobs) == 1
