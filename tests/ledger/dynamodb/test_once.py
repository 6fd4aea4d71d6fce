"""Each entry is stored once: under races, lost answers, failing requests, and in any order."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from costtrace.entry import Entry
from costtrace.errors import LedgerUnavailable
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.messages import fold
from costtrace.money import Money
from tests.factories import MESSAGE, make_costs, make_entry
from tests.ledger.dynamodb.conftest import Store
from tests.peers.fault_proxy import Fault, FaultProxy
from tests.twilio.sms_entries import UUID, bound, leg, price, sent, status


def put_again(ledger: DynamoDBLedger, entry: Entry) -> frozenset[str]:
    """Append it as somebody does who does not give up."""
    for _ in range(20):
        try:
            return ledger.append([entry])
        except LedgerUnavailable:
            continue
    raise AssertionError("it was never stored")


class TestRaces:
    def test_of_twelve_threads_for_one_run_have_one_winner(self, store: Store) -> None:
        ledgers = [store.ledger() for _ in range(3)]
        barrier = threading.Barrier(12)

        def race(worker: int, number: int) -> frozenset[str]:
            barrier.wait(timeout=30)
            return ledgers[worker % 3].append([make_costs(str(worker), number=number)])

        with ThreadPoolExecutor(12) as pool:
            for number in range(20):
                wins = [win for win in pool.map(lambda w, n=number: race(w, n), range(12)) if win]
                assert wins == [{make_costs("1", number=number).entry_id}]
        assert len(store.rows(f"m#{MESSAGE}")) == 20

    def test_for_one_sid_by_two_messages_have_one_winner(self, store: Store) -> None:
        ledgers = [store.ledger() for _ in range(2)]
        barrier = threading.Barrier(8)

        def race(worker: int) -> frozenset[str]:
            barrier.wait(timeout=30)
            return ledgers[worker % 2].append([make_entry(1, entry_id="sms/SM1", message_uuid=f"m{worker}")])

        with ThreadPoolExecutor(8) as pool:
            wins = list(pool.map(race, range(8)))
        assert sum(map(len, wins)) == 1
        found = ledgers[0].find("sms/SM1")
        assert found is not None
        assert found.message_uuid == f"m{wins.index(frozenset({'sms/SM1'}))}"


class TestAnAnswerThatIsLost:
    def test_after_the_entry_was_stored_leaves_one_row_that_was_new(
        self, store: Store, fault_proxy: FaultProxy
    ) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        ledger.append([make_entry(1)])  # which also notes the day
        fault_proxy.script(Fault.DROP_AFTER, Fault.DROP_AFTER)
        assert ledger.append([make_entry(2)]) == {make_entry(2).entry_id}
        assert fault_proxy.seen.count("PutItem") == 5
        assert len(store.rows(f"m#{MESSAGE}")) == 2
        assert ledger.message(MESSAGE).total.actual.usd == Decimal("0.00625")

    def test_again_and_again_is_an_outage_and_the_entry_is_stored_once_all_the_same(
        self, store: Store, fault_proxy: FaultProxy
    ) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        ledger.append([make_entry(1)])
        fault_proxy.script(*[Fault.DROP_AFTER] * 4)
        with pytest.raises(LedgerUnavailable, match="no answer"):
            ledger.append([make_entry(2)])
        assert ledger.append([make_entry(2)]) == frozenset()
        assert len(store.rows(f"m#{MESSAGE}")) == 2

    def test_before_the_service_saw_it_is_no_entry(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        ledger.append([make_entry(1)])
        fault_proxy.script(*[Fault.DROP_BEFORE] * 4)
        with pytest.raises(LedgerUnavailable, match="no answer"):
            ledger.spool(make_entry(2))
        assert len(store.rows(f"m#{MESSAGE}")) == 1

    def test_in_the_middle_of_a_batch_leaves_the_first_and_appending_again_completes_it(
        self, store: Store, fault_proxy: FaultProxy
    ) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        batch = [make_entry(number) for number in range(1, 5)]
        fault_proxy.script(Fault.PASS, Fault.PASS, Fault.PASS, *[Fault.ERROR] * 4)
        with pytest.raises(LedgerUnavailable, match="PutItem was put off"):
            ledger.append(batch)
        assert [row["sk"]["S"] for row in store.rows(f"m#{MESSAGE}")] == [entry.entry_id for entry in batch[:2]]
        assert ledger.append(batch) == {entry.entry_id for entry in batch[2:]}
        assert ledger.message(MESSAGE) == fold(batch)


def sms_history() -> list[Entry]:
    """One SMS from send to a price that was revised."""
    entries = [sent(), bound(), status("queued", 1, source="create"), status("sent", 3), status("delivered", 5)]
    entries += price(leg(entries), "-0.00750", seconds=60)
    entries += price(leg(entries), "-0.0083", seconds=90)
    return entries


class TestAnyOrder:
    @pytest.mark.parametrize("seed", range(6))
    def test_with_repetitions_and_faults_from_four_writers_gives_the_same_message(
        self, store: Store, fault_proxy: FaultProxy, seed: int
    ) -> None:
        dice = random.Random(seed)  # noqa: S311 - no secret
        history = sms_history()
        faults = [Fault.PASS] * 7 + [Fault.ERROR, Fault.DROP_BEFORE, Fault.DROP_AFTER]
        fault_proxy.plan = lambda _request: dice.choice(faults)
        told = history * dice.randint(1, 3)
        dice.shuffle(told)
        news: list[frozenset[str]] = []

        def write(share: Sequence[Entry]) -> None:
            ledger = store.ledger(fault_proxy.endpoint)
            news.extend(put_again(ledger, entry) for entry in share)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, [told[start::4] for start in range(4)]))
        fault_proxy.heal()
        ledger = store.ledger()
        message = ledger.message(UUID)
        assert message == fold(history)
        assert message.total.actual.usd == Decimal("0.0083")
        assert leg(message.entries).price == Money("0.0083")
        assert list(ledger.waiting(["sms-send", "sms"])) == []
        assert [entry for _, entry in sorted(ledger.entries(), key=lambda pair: pair[1].entry_id)] == sorted(
            history, key=lambda entry: entry.entry_id
        )
        assert sum(map(len, news)) <= len(history)  # and fewer where an answer was lost for good
