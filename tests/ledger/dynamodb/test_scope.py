"""A scope: what is spooled in it is written at its end, in the time that is left, and nothing of it is forgotten."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

from costtrace import Recorder
from costtrace.errors import InvalidValue, LedgerUnavailable, LedgerUnusable
from costtrace.ledger.dynamodb import DynamoDBLedger
from tests.bars import within
from tests.factories import MESSAGE, make_costs, make_entry
from tests.ledger.dynamodb.conftest import Store, client_of
from tests.peers.emulator import Account
from tests.peers.fault_proxy import Fault, FaultProxy
from tests.twilio.sms_entries import UUID, sent


def test_asks_for_nothing_until_it_ends(store: Store, fault_proxy: FaultProxy) -> None:
    ledger = store.ledger(fault_proxy.endpoint)
    batch = [make_entry(number, message_uuid=f"m{number % 3}") for number in range(9)]
    with ledger.scope():
        for entry in batch:
            ledger.spool(entry)
        assert fault_proxy.seen == []
    assert len([body for body in fault_proxy.bodies if body["Item"]["pk"]["S"].startswith("m#")]) == len(batch)
    assert [entry for _, entry in ledger.entries()] == batch


def test_writes_several_entries_at_once(store: Store, fault_proxy: FaultProxy) -> None:
    ledger = store.ledger(fault_proxy.endpoint)
    ledger.spool(make_entry(1))
    fault_proxy.script(*[Fault.HANG] * 4)  # two seconds each, all at the same time
    began = time.monotonic()
    with ledger.scope():
        for number in range(2, 6):
            ledger.spool(make_entry(number, message_uuid=f"m{number % 2}"))
    assert time.monotonic() - began < 4
    assert len(list(ledger.entries())) == 5


def test_is_read_by_whoever_is_in_it(store: Store) -> None:
    ledger, another = store.ledger(), store.ledger()
    with ledger.scope():
        ledger.spool(make_entry(1))
        assert list(another.entries()) == []
        assert ledger.message(MESSAGE).entries == (make_entry(1),)
        ledger.spool(make_costs("9", number=2))
        assert ledger.append([make_costs("1", number=2)]) == frozenset()  # what was spooled came first


def test_writes_at_once_what_is_still_under_way(store: Store, fault_proxy: FaultProxy) -> None:
    """The row of an SMS has to be there before Twilio is asked to send it."""
    ledger = store.ledger(fault_proxy.endpoint)
    with ledger.scope():
        ledger.spool(sent())
        assert [entry for _, entry in store.ledger().entries()] == [sent()]
    assert ledger.message(UUID).entries == (sent(),)


def test_is_one_threads_and_its_tasks_own(store: Store, fault_proxy: FaultProxy) -> None:
    ledger = store.ledger(fault_proxy.endpoint)
    with ThreadPoolExecutor(1) as pool:
        with ledger.scope():
            pool.submit(ledger.spool, make_entry(1)).result()  # of another request
            assert len(store.rows(f"m#{MESSAGE}")) == 1
            pool.submit(copy_context().run, ledger.spool, make_entry(2)).result()  # of this one
            asyncio.run(asyncio.to_thread(ledger.spool, make_entry(3)))
            assert len(store.rows(f"m#{MESSAGE}")) == 1
        assert len(store.rows(f"m#{MESSAGE}")) == 3


def test_within_another_ends_by_itself(store: Store) -> None:
    ledger, other = store.ledger(), store.ledger()
    with ledger.scope(), other.scope():
        ledger.spool(make_entry(1))
        with ledger.scope():
            ledger.spool(make_entry(2))
        other.spool(make_entry(3))
        assert [row["sk"]["S"] for row in store.rows(f"m#{MESSAGE}")] == [make_entry(2).entry_id]
    assert len(store.rows(f"m#{MESSAGE}")) == 3


def test_is_over_for_a_task_that_outlives_it(store: Store) -> None:
    """What such a task spools is stored at once; nobody would ever write it otherwise."""
    ledger = store.ledger()

    async def late(ended: asyncio.Event) -> None:
        await ended.wait()
        ledger.spool(make_entry(1))

    async def work() -> None:
        ended = asyncio.Event()
        with ledger.scope(), ledger.scope():
            task = asyncio.create_task(late(ended))
            await asyncio.sleep(0)
        ended.set()
        await task

    asyncio.run(work())
    assert len(store.rows(f"m#{MESSAGE}")) == 1


def test_that_ends_in_another_context_than_it_began_in_is_written_all_the_same(store: Store) -> None:
    """As a framework may end what it keeps open around a request."""
    ledger, context = store.ledger(), copy_context()
    scope = ledger.scope()
    context.run(scope.__enter__)
    context.run(ledger.spool, make_entry(1))
    scope.__exit__(None, None, None)
    context.run(ledger.spool, make_entry(2))
    assert len(store.rows(f"m#{MESSAGE}")) == 2


def test_within_another_reads_what_both_hold(store: Store) -> None:
    ledger = store.ledger()
    with ledger.scope():
        ledger.spool(make_entry(1))
        with ledger.scope():
            ledger.spool(make_entry(2))
            assert len(ledger.message(MESSAGE).entries) == 2


def test_is_flushed_before_its_end_by_whoever_asks(store: Store, fault_proxy: FaultProxy) -> None:
    ledger = store.ledger(fault_proxy.endpoint)
    with ledger.scope():
        ledger.spool(make_entry(1))
        ledger.flush()
        assert len(store.rows(f"m#{MESSAGE}")) == 1
        ledger.spool(make_entry(2))
        fault_proxy.always(Fault.ERROR)
        with pytest.raises(LedgerUnavailable, match="1 entries wait in memory"):
            ledger.flush()
        fault_proxy.heal()
    assert len(store.rows(f"m#{MESSAGE}")) == 2


def test_that_could_not_be_read_through_keeps_what_it_holds(store: Store, fault_proxy: FaultProxy) -> None:
    ledger = store.ledger(fault_proxy.endpoint)
    with ledger.scope():
        ledger.spool(make_entry(1))
        fault_proxy.always(Fault.ERROR)
        with pytest.raises(LedgerUnavailable):
            ledger.message(MESSAGE)
        fault_proxy.heal()
    assert len(store.rows(f"m#{MESSAGE}")) == 1


def test_stores_what_was_spooled_before_the_application_failed(store: Store) -> None:
    ledger = store.ledger()

    def work() -> None:
        with ledger.scope():
            ledger.spool(make_entry())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert ledger.message(MESSAGE).entries == (make_entry(),)


class TestWhatCouldNotBeWritten:
    def test_in_time_is_kept_and_written_at_the_end_of_the_next_scope(
        self, store: Store, fault_proxy: FaultProxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.always(Fault.HANG)
        began = time.monotonic()
        with ledger.scope(lambda: 0.6):
            ledger.spool(make_entry(1))
            ledger.spool(make_entry(2))
        assert 0.4 < time.monotonic() - began < within(1.0)
        waiting = "ledger 'dynamodb://eu-central-1/costtrace-ledger': 2 entries wait in memory"
        assert caplog.record_tuples == [("costtrace", logging.ERROR, f"{waiting}; the time was over")]
        fault_proxy.heal()
        assert ledger.health().problem == waiting
        with ledger.scope():
            ledger.spool(make_entry(3))
        assert ledger.health().problem is None
        assert [entry.entry_id for entry in ledger.message(MESSAGE).entries] == [
            make_entry(number).entry_id for number in (1, 2, 3)
        ]

    def test_is_told_by_flush_and_by_the_recorder_and_flushed_later(
        self, store: Store, fault_proxy: FaultProxy
    ) -> None:
        recorder = Recorder(ledger := store.ledger(fault_proxy.endpoint))
        fault_proxy.always(Fault.ERROR)
        with ledger.scope():
            recorder.record(make_entry(1))
            recorder.record(make_entry(2, message_uuid="m2"))
        with pytest.raises(LedgerUnavailable, match=r"2 entries wait in memory; DynamoDB table .* was put off"):
            ledger.flush()
        health = recorder.flush()
        assert health.problem is not None
        assert "2 entries wait in memory" in health.problem
        fault_proxy.heal()
        assert recorder.flush().problem is None
        assert len(list(ledger.entries())) == 2

    def test_because_a_person_is_needed_says_so(self, aws: Account) -> None:
        ledger = DynamoDBLedger(client_of(aws))
        with ledger.scope():
            ledger.spool(make_entry(1))
        with pytest.raises(LedgerUnusable, match=r"1 entries wait in memory; .* there is no such table"):
            ledger.flush()

    def test_again_and_again_is_in_nobodys_way(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.plan = lambda request: Fault.ERROR if b"llm/run-1/1" in request.body else Fault.PASS
        with ledger.scope():
            for number in range(1, 31):
                ledger.spool(make_entry(number))
        with pytest.raises(LedgerUnavailable, match="1 entries wait in memory"):
            ledger.flush()
        assert len(store.rows(f"m#{MESSAGE}")) == 29

    def test_is_written_when_the_ledger_is_closed(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.script(*[Fault.ERROR] * 4)
        with ledger.scope():
            ledger.spool(make_entry())
        assert store.rows(f"m#{MESSAGE}") == []
        ledger.close()
        assert len(store.rows(f"m#{MESSAGE}")) == 1

    def test_is_bounded_and_whoever_records_hears_of_it(self, store: Store, fault_proxy: FaultProxy) -> None:
        """A process that lives through a long outage must not fill its memory."""
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.always(Fault.ERROR)
        with ledger.scope(lambda: 0.0):
            for number in range(10_000):
                ledger.spool(make_costs("1", number=number))
        with ledger.scope(lambda: 0.0), pytest.raises(LedgerUnavailable, match="10000 entries wait in memory already"):
            ledger.spool(make_costs("1"))

    def test_without_any_time_is_not_even_tried(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        with ledger.scope(lambda: -1.0):
            ledger.spool(make_entry())
        assert store.rows(f"m#{MESSAGE}") == []
        ledger.flush()
        assert len(store.rows(f"m#{MESSAGE}")) == 1


def test_what_no_table_can_hold_is_refused_at_once(store: Store) -> None:
    ledger = store.ledger()
    with ledger.scope(), pytest.raises(InvalidValue):
        ledger.spool(make_costs("1." + "1" * 38))
    ledger.flush()
    assert list(ledger.entries()) == []
