"""What waits and what is due, as the ledger has it: searched once an hour, and followed in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

import pytest
from twilio.base.exceptions import TwilioRestException

from costtrace.entry import Entry
from costtrace.messages import Message
from costtrace.money import Money
from costtrace.sandbox.twilio import Fault
from costtrace.testing import MemoryLedger
from costtrace.twilio.agenda import Agenda, Place, unidentified
from costtrace.twilio.legs import Leg
from costtrace.twilio.revisions import price_entries
from tests.factories import make_entry
from tests.twilio.account import NOON, Account, account
from tests.twilio.test_reconcile import unknown

LATER = NOON + timedelta(hours=1)


class Counting(MemoryLedger):
    """A ledger that notes what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.searched = 0
        self.read: list[str] = []

    def waiting(self, kinds: Iterable[str]) -> Iterator[Entry]:
        self.searched += 1
        return super().waiting(kinds)

    def message(self, message_uuid: str) -> Message:
        self.read.append(message_uuid)
        return super().message(message_uuid)


def in_an_hour(_: Leg) -> datetime:
    return LATER


def test_the_ledger_is_searched_once_an_hour_and_in_between_only_what_is_new_or_due_is_read() -> None:
    ledger = Counting()
    with account(ledger) as twilio:
        old = twilio.send()
        agenda = Agenda(ledger, in_an_hour)
        ledger.read.clear()

        assert list(agenda.due(NOON)) == []
        assert list(agenda.due(NOON)) == []
        assert (ledger.searched, ledger.read) == (1, [old.message_uuid])

        new = twilio.send()
        ledger.append([make_entry(1)])
        ledger.read.clear()
        assert list(agenda.due(NOON)) == []
        assert ledger.read == [new.message_uuid]
        assert list(agenda.due(LATER - timedelta(seconds=1))) == []
        assert ledger.searched == 1
        assert [leg.sid for leg in agenda.due(LATER)] == [old.sid, new.sid]
        assert ledger.searched == 2


def test_what_was_settled_by_anybody_is_forgotten(twilio: Account) -> None:
    sent = twilio.send()
    agenda = Agenda(twilio.ledger, in_an_hour)
    list(agenda.due(NOON))
    assert agenda.places == [Place(due=LATER, waiting=1)]
    priced = price_entries(twilio.leg(sent), price_raw="-0.00830", price_unit="USD", source="reconcile", now=NOON)
    twilio.ledger.append(priced)
    assert list(agenda.due(NOON)) == []
    assert agenda.places == []
    assert twilio.leg(sent).price == Money("0.0083")


def test_what_has_no_sid_waits_without_a_question_until_it_has_one(twilio: Account) -> None:
    lost = unknown(twilio)
    agenda = Agenda(twilio.ledger, in_an_hour)
    assert list(agenda.due(LATER)) == []
    assert agenda.places == [Place(due=None, waiting=1, unidentified=1)]
    assert [leg.send_id for leg in unidentified(twilio.ledger)] == [lost.send_id]
    twilio.after(hours=1)
    assert twilio.reconcile().run().identified == 1
    assert list(agenda.due(LATER)) == []
    assert (agenda.places, unidentified(twilio.ledger)) == ([], [])


def test_a_refused_message_never_waits(twilio: Account) -> None:
    twilio.server.fail(Fault(on="create", status=400))
    with pytest.raises(TwilioRestException):
        twilio.send()
    agenda = Agenda(twilio.ledger, in_an_hour)
    assert list(agenda.due(LATER)) == []
    assert agenda.places == []


def test_one_that_was_due_and_not_dealt_with_is_due_again(twilio: Account) -> None:
    twilio.send()
    agenda = Agenda(twilio.ledger, lambda _: NOON)
    assert len(list(agenda.due(NOON))) == len(list(agenda.due(NOON))) == 1
