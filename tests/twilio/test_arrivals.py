"""What arrives without our own names in it goes to the message that the ledger knows, or that its address names."""

from __future__ import annotations

from costtrace.context import Context
from costtrace.entry import Standing
from costtrace.testing import MemoryLedger
from costtrace.times import from_micros
from costtrace.twilio import NumberHasher
from costtrace.twilio.arrivals import parties, unattempted_entries
from costtrace.twilio.entries import bound_entry, callback_entries
from costtrace.twilio.webhooks import InboundMessage, StatusCallback
from tests.factories import MESSAGE, make_entry
from tests.web.parts import ACCOUNT, NOW_NS, OURS, PHONE, sid

NOW = from_micros(NOW_NS // 1000)
HASHER = NumberHasher(b"a key of the tests, 32 bytes lon")


def callback(message_uuid: str | None = None) -> StatusCallback:
    return StatusCallback(
        message_sid=sid(1), account_sid=ACCOUNT, status="sent", message_uuid=message_uuid, from_=OURS, to=PHONE
    )


def test_a_sid_that_the_ledger_knows_decides_whatever_the_address_says() -> None:
    ledger = MemoryLedger()
    ledger.append([bound_entry(sid(1), send_id="s-1", message_uuid="known", now=NOW)])
    for named in (None, "another"):
        found = unattempted_entries(callback(named), ledger, now=NOW)
        assert found == callback_entries(callback(named), now=NOW, message_uuid="known")


def test_a_sid_that_nobody_knows_and_no_address_names_is_nobodys() -> None:
    assert unattempted_entries(callback(), MemoryLedger(), now=NOW) is None


def test_an_address_that_names_a_message_makes_it_an_sms_of_that_message() -> None:
    ledger = MemoryLedger()
    ledger.append([make_entry(context=Context(user_id="u1"))])
    found = unattempted_entries(callback(MESSAGE), ledger, now=NOW, hasher=HASHER)
    assert found is not None
    claimed, status = found
    assert (claimed.entry_id, claimed.standing, claimed.context.user_id) == (f"sms/{sid(1)}", Standing.PENDING, "u1")
    assert (claimed.details["to_hash"], status.entry_id) == (HASHER(PHONE), f"sms-status/{sid(1)}/sent")


def test_an_address_that_names_a_message_of_which_nothing_is_known_yet_is_believed() -> None:
    found = unattempted_entries(callback("new"), MemoryLedger(), now=NOW)
    assert found is not None
    assert [entry.message_uuid for entry in found] == ["new", "new"]


def test_two_numbers_are_one_user_and_one_thread() -> None:
    came = InboundMessage(message_sid=sid(1), account_sid=ACCOUNT, from_=PHONE, to=OURS, body="Hello")
    user = HASHER(PHONE)
    assert parties(came, HASHER) == {"user_id": user, "thread_id": f"{user}-{HASHER(OURS)}"}
    assert parties(came, None) == {}
