"""One SMS for one message: what is said of an attempt whose end nobody saw, and that it is not made again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from costtrace import Recorder
from costtrace.aws.sending import Sending, send_once
from costtrace.entry import Entry
from costtrace.sandbox.twilio import Fault
from costtrace.testing import MemoryLedger
from costtrace.twilio.sender import SmsSender
from tests.sandbox.twilio_app import OURS, PHONE
from tests.twilio.account import Account, account

UUID = "9c5b94b1-35ad-49bb-b118-8e8fc24abf80"


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


class Ledger(MemoryLedger):
    """One that can end its process behind the write of a claim."""

    kills = False

    def append(self, entries: Any) -> frozenset[str]:
        new = super().append(entries)
        if self.kills:
            raise Killed
        return new


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def twilio(ledger: Ledger) -> Iterator[Account]:
    with account(ledger) as made:
        yield made


def sent(twilio: Account, ledger: Ledger) -> Sending:
    numbers = {"to": PHONE, "from_": OURS}
    return send_once(twilio.sender, ledger, UUID, numbers=lambda: numbers, body="On its way.")


def test_it_is_sent_once(twilio: Account, ledger: Ledger) -> None:
    assert [sent(twilio, ledger) for _ in range(3)] == [Sending.SENT, Sending.ALREADY_SENT, Sending.ALREADY_SENT]
    assert len(twilio.server.messages) == 1


def test_an_attempt_whose_process_was_killed_before_twilio_was_asked_is_said_to_be_unknown(
    twilio: Account, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.kills = True
    with pytest.raises(Killed):
        sent(twilio, ledger)
    ledger.kills = False

    with caplog.at_level(logging.ERROR):
        assert [sent(twilio, ledger) for _ in range(2)] == [Sending.UNKNOWN] * 2

    assert twilio.server.messages == []
    assert f"attempt {UUID}-1 was begun, and nobody knows whether Twilio sent it" in caplog.text
    assert PHONE[1:] not in caplog.text


def test_an_attempt_whose_answer_was_lost_is_known_when_its_callback_has_come(twilio: Account, ledger: Ledger) -> None:
    twilio.server.fail(Fault(on="create", dropped=True, applied=True))
    assert [sent(twilio, ledger) for _ in range(2)] == [Sending.UNKNOWN] * 2

    (message,) = twilio.server.messages
    attempt: Any = type("Attempt", (), {"sid": message.sid, "message_uuid": UUID, "send_id": f"{UUID}-1"})
    twilio.tell(attempt, "sent")

    assert sent(twilio, ledger) is Sending.ALREADY_SENT
    assert len(twilio.server.messages) == 1


def test_an_attempt_that_another_process_is_at_just_now_is_left_to_it(twilio: Account) -> None:
    """Both looked before either began; what becomes of it the other one learns."""

    class Late(Ledger):
        """The other one's claim comes in between."""

        def append(self, entries: Any) -> frozenset[str]:
            found: list[Entry] = list(entries)
            super().append(found)
            return frozenset()

    late = Late()
    sender = SmsSender(twilio.client, Recorder(late))
    numbers = {"to": PHONE, "from_": OURS}
    assert send_once(sender, late, UUID, numbers=lambda: numbers, body="Twice?") is Sending.UNKNOWN
    assert twilio.server.messages == []


def test_what_twilio_refused_for_now_is_tried_again_under_the_next_name(twilio: Account, ledger: Ledger) -> None:
    twilio.server.fail(Fault(on="create", status=429))
    with pytest.raises(Exception, match="429"):
        sent(twilio, ledger)
    assert sent(twilio, ledger) is Sending.SENT
    names = [entry.details.get("send_id") for entry in ledger.message(UUID).entries if entry.kind == "sms-send"]
    assert names == [f"{UUID}-1", f"{UUID}-2"]
