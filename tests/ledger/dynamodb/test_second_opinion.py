"""Another emulator, asked about one call after the other: it agrees with the first about what a ledger does."""

from __future__ import annotations

from costtrace.messages import fold
from tests.factories import MESSAGE, make_entry
from tests.ledger.dynamodb.conftest import Store
from tests.peers.emulator import Emulator
from tests.twilio.sms_entries import SID, bound, leg, price, sent, status


def test_a_message_and_an_sms_on_moto(moto_emulator: Emulator) -> None:
    store = Store(moto_emulator.account())
    ledger = store.ledger()
    calls = [make_entry(number) for number in range(5)]
    assert ledger.append(calls) == {entry.entry_id for entry in calls}
    assert ledger.append(calls) == frozenset()
    assert ledger.message(MESSAGE) == fold(calls)
    assert [entry for _, entry in ledger.entries()] == calls

    entries = [sent(), bound(), status("delivered")]
    ledger.append(entries)
    assert list(ledger.waiting(["sms-send", "sms"])) == [sent()]
    entries += price(leg(entries), "-0.00750")
    ledger.append(entries)
    assert list(ledger.waiting(["sms-send", "sms"])) == []
    assert ledger.find(f"sms/{SID}") == bound()
    assert ledger.message(MESSAGE) == fold([*calls, *entries])
    ledger.close()
