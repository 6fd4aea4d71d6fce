"""The one writer: quotes, stores, and keeps whatever goes wrong to itself without losing an entry."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.errors import LedgerError, LedgerUnavailable
from costtrace.ledger import SqliteLedger
from costtrace.money import Money
from costtrace.pricing import Catalog
from costtrace.pricing.route import Route
from costtrace.pricing.sheet import RateSheet
from costtrace.quote import QuoteStatus
from costtrace.recorder import Recorder
from costtrace.testing import MemoryLedger
from costtrace.usage_metadata import usage_from_metadata
from tests.factories import make_entry, make_usage
from tests.ledger.processes import ROOT, TIMEOUT_S

START_US = 1_768_901_400_000_000  # 2026-01-20T09:30:00Z


class ClosableLedger(MemoryLedger):
    """A store that can be taken away and given back."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None
        self.loss_failure: Exception | None = None
        self.told_lost: list[tuple[int, str]] = []
        self.asked = 0

    def spool(self, entry: Entry) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        super().spool(entry)

    def report_loss(self, count: int, reason: str) -> None:
        if self.loss_failure is not None:
            raise self.loss_failure
        self.told_lost.append((count, reason))
        super().report_loss(count, reason)


class BrokenPrices:
    """A price list that cannot answer."""

    name = "broken"

    def sheet(self, route: Route, at: datetime, beneath: Callable[[Route], RateSheet | None]) -> None:
        raise ZeroDivisionError(f"{route}, {at}, {beneath}")


def call_of(number: int = 1, **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "run_id": f"run-{number}",
        "message_uuid": "m1",
        "context": Context(user_id="u1"),
        "status": "completed",
        "start_us": START_US + number,
        "duration_us": 1200,
        "provider": "openai",
        "model": "gpt-4o",
        "requested_model": "gpt-4o",
        "service_tier": None,
        "usage": make_usage(),
    }
    return {**known, **changes}


def ids(ledger: MemoryLedger) -> list[str]:
    return [entry.entry_id for _, entry in ledger.entries()]


def entry_ids(*numbers: int) -> list[str]:
    return [make_entry(number).entry_id for number in numbers]


@pytest.fixture
def ledger() -> ClosableLedger:
    return ClosableLedger()


@pytest.fixture
def recorder(ledger: ClosableLedger) -> Recorder:
    return Recorder(ledger, catalog=Catalog(), buffer=5)


class TestCall:
    def test_is_priced_at_its_start_and_stored(self, ledger: ClosableLedger) -> None:
        recorder = Recorder(ledger, clock=lambda: (START_US + 5_000_000) * 1000)
        entry = recorder.record_call(**call_of(0))
        assert entry.entry_id == f"llm/run-0/{START_US}"
        assert entry.occurred_at == datetime(2026, 1, 20, 9, 30, tzinfo=UTC)
        assert entry.recorded_at == datetime(2026, 1, 20, 9, 30, 5, tzinfo=UTC)
        assert (entry.cost, entry.estimate) == (Money("0.003125"), None)
        assert entry.cost_status == "exact"
        assert [stored for _, stored in ledger.entries()] == [entry]
        assert recorder.health().recorded == 1

    def test_whose_price_needs_an_assumption_is_an_estimate(self, ledger: ClosableLedger) -> None:
        usage = usage_from_metadata({"input_tokens": 450, "output_tokens": 200, "total_tokens": 1})
        entry = Recorder(ledger).record_call(**call_of(usage=usage))
        assert (entry.cost, entry.estimate) == (None, Money("0.003125"))
        assert entry.cost_status == "estimated"

    def test_that_was_refused_has_no_quote_and_costs_nothing(self, recorder: Recorder) -> None:
        entry = recorder.record_call(**call_of(usage=None, refused=True, status="failed", error="RateLimitError 429"))
        assert (entry.quote, entry.cost, entry.estimate) == (None, None, None)
        assert recorder.health().unpriced == {}

    def test_without_usage_is_kept_and_says_so(self, ledger: ClosableLedger) -> None:
        entry = Recorder(ledger).record_call(**call_of(usage=None))
        assert (entry.cost, entry.cost_status) == (None, QuoteStatus.USAGE_MISSING)
        assert ids(ledger) == [entry.entry_id]

    @pytest.mark.expects_fault
    def test_is_kept_unpriced_when_the_catalog_fails(
        self, ledger: ClosableLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        recorder = Recorder(ledger, catalog=Catalog(BrokenPrices()))
        for number in range(3):
            entry = recorder.record_call(**call_of(number))
        assert entry.cost_status == "unpriced"
        assert entry.reason == "the price catalog failed on this call; see the log"
        assert entry.usage == make_usage()
        assert len(ids(ledger)) == 3
        assert recorder.health().faults == 3
        logged = [text for text in caplog.messages if text.startswith("costtrace failed")]
        assert logged == ["costtrace failed while pricing a call; the application is not affected"]

    def test_without_a_price_is_warned_of_once_for_each_model_and_counted_each_time(
        self, recorder: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in range(4):
            recorder.record_call(**call_of(number, model="gpt-9"))
        recorder.record_call(**call_of(5, model="gpt-10"))
        assert recorder.health().unpriced == {"openai/gpt-9": 4, "openai/gpt-10": 1}
        assert [text.split(" on ")[0] for text in caplog.messages] == [
            "no price for model 'gpt-9' (provider 'openai')",
            "no price for model 'gpt-10' (provider 'openai')",
        ]

    def test_without_a_price_is_warned_of_even_if_an_earlier_one_had_no_usage(
        self, recorder: Recorder, caplog: pytest.LogCaptureFixture
    ) -> None:
        recorder.record_call(**call_of(1, usage=None, model="gpt-9"))
        assert caplog.messages == []
        recorder.record_call(**call_of(2, model="gpt-9"))
        assert len(caplog.messages) == 1

    def test_of_many_threads_is_warned_of_once(self, recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
        barrier = threading.Barrier(8)

        def work(worker: int) -> None:
            barrier.wait(timeout=30)
            for number in range(50):
                recorder.record_call(**call_of(worker * 1000 + number, model="gpt-9"))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert recorder.health().unpriced == {"openai/gpt-9": 400}
        assert recorder.health().recorded == 400
        assert len(caplog.messages) == 1


class TestBuffer:
    def test_keeps_the_order_and_empties_when_the_store_is_back(
        self, recorder: Recorder, ledger: ClosableLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        ledger.failure = LedgerUnavailable("the store is closed")
        for number in (3, 1, 2):
            recorder.record(make_entry(number))
        health = recorder.health()
        assert (health.recorded, health.buffered, health.problem) == (0, 3, "the store is closed")
        assert ids(ledger) == []
        ledger.failure = None
        health = recorder.flush()
        assert (health.recorded, health.buffered, health.lost, health.problem) == (3, 0, 0, None)
        assert ids(ledger) == entry_ids(3, 1, 2)
        assert caplog.messages == ["the store is closed; entries wait in memory"]

    def test_is_written_before_the_next_entry_that_succeeds(self, recorder: Recorder, ledger: ClosableLedger) -> None:
        ledger.failure = LedgerUnavailable("the store is closed")
        recorder.record(make_entry(1))
        ledger.failure = None
        assert recorder.drain() == 0
        recorder.record(make_entry(2))
        assert ids(ledger) == entry_ids(1, 2)

    def test_is_written_by_itself_when_the_store_comes_back_and_nobody_calls_any_more(self) -> None:
        stored = threading.Event()

        class Announcing(ClosableLedger):
            def spool(self, entry: Entry) -> None:
                super().spool(entry)
                stored.set()

        ledger = Announcing()
        ledger.failure = LedgerUnavailable("the store is closed")
        recorder = Recorder(ledger, catalog=Catalog())
        recorder.record(make_entry(1))
        ledger.failure = None
        assert stored.wait(timeout=30)
        assert ids(ledger) == entry_ids(1)

    def test_that_another_thread_is_writing_makes_nobody_wait(self) -> None:
        """A collection may bring a thread here that holds the very lock which the writing thread waits for."""
        writing, go_on = threading.Event(), threading.Event()

        class SlowOnce(ClosableLedger):
            def spool(self, entry: Entry) -> None:
                super().spool(entry)
                if not writing.is_set():
                    writing.set()
                    assert go_on.wait(timeout=30)

        ledger = SlowOnce()
        ledger.failure = LedgerUnavailable("the store is closed")
        recorder = Recorder(ledger, catalog=Catalog())
        recorder.record(make_entry(1))
        ledger.failure = None
        flusher = threading.Thread(target=recorder.drain)
        flusher.start()
        assert writing.wait(timeout=30)
        second = threading.Thread(target=recorder.record, args=(make_entry(2),))
        second.start()
        second.join(timeout=10)
        waited = second.is_alive()
        go_on.set()
        flusher.join(timeout=30)
        second.join(timeout=30)
        assert not waited
        assert recorder.flush().buffered == 0
        assert sorted(ids(ledger)) == entry_ids(1, 2)

    def test_does_not_ask_a_closed_store_for_each_entry(self, ledger: ClosableLedger) -> None:
        recorder = Recorder(ledger, catalog=Catalog(), buffer=1000)
        ledger.failure = LedgerUnavailable("the store is closed")
        for number in range(500):
            recorder.record(make_entry(number))
        assert recorder.health().buffered == 500
        assert ledger.asked < 20
        ledger.failure = None
        assert recorder.drain() == 0

    def test_that_is_full_counts_what_it_cannot_take_and_says_so_once(
        self, recorder: Recorder, ledger: ClosableLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        ledger.failure = LedgerUnavailable("the store is closed")
        for number in range(9):
            recorder.record(make_entry(number))
        assert (recorder.health().buffered, recorder.health().lost) == (5, 4)
        assert caplog.messages == [
            "the store is closed; entries wait in memory",
            "costtrace: the buffer of 5 entries is full; entries are lost from now on",
        ]
        ledger.failure = None
        recorder.flush()
        assert ledger.told_lost == [(4, "the store is closed")]
        assert ids(ledger) == entry_ids(0, 1, 2, 3, 4)

    def test_tells_the_store_of_lost_entries_until_it_has_heard(
        self, recorder: Recorder, ledger: ClosableLedger
    ) -> None:
        ledger.failure = ledger.loss_failure = LedgerUnavailable("the store is closed")
        for number in range(7):
            recorder.record(make_entry(number))
        ledger.failure = None
        recorder.flush()
        assert ledger.told_lost == []
        ledger.loss_failure = None
        assert recorder.flush().problem is None
        recorder.flush()
        assert [count for count, _ in ledger.told_lost] == [2]

    def test_a_second_outage_is_logged_again(
        self, recorder: Recorder, ledger: ClosableLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        for number in (1, 2):
            ledger.failure = LedgerUnavailable(f"outage {number}")
            recorder.record(make_entry(number))
            ledger.failure = None
            recorder.flush()
        assert caplog.messages == ["outage 1; entries wait in memory", "outage 2; entries wait in memory"]

    def test_loses_and_doubles_nothing_while_threads_write_and_the_store_comes_and_goes(
        self, ledger: ClosableLedger
    ) -> None:
        recorder = Recorder(ledger, catalog=Catalog(), buffer=10_000)
        barrier = threading.Barrier(5)

        def work(worker: int) -> None:
            barrier.wait(timeout=30)
            for number in range(200):
                recorder.record(make_entry(worker * 1000 + number))
                if number % 20 == 0:
                    recorder.drain()

        def toggle(_: int) -> None:
            barrier.wait(timeout=30)
            for _ in range(200):
                ledger.failure = None if ledger.failure else LedgerUnavailable("now and then")

        with ThreadPoolExecutor(5) as pool:
            futures = [pool.submit(work, number) for number in range(4)] + [pool.submit(toggle, 0)]
            for future in futures:
                future.result()
        ledger.failure = None
        health = recorder.flush()
        assert (health.recorded, health.buffered, health.lost) == (800, 0, 0)
        found = ids(ledger)
        assert len(found) == len(set(found)) == 800


class TestStrangeLedger:
    @pytest.mark.expects_fault
    @pytest.mark.parametrize("failure", [LedgerError("no"), RuntimeError("a bug"), OSError(5, "broken")])
    def test_never_raises_into_the_application(
        self, recorder: Recorder, ledger: ClosableLedger, failure: Exception
    ) -> None:
        ledger.failure = failure
        entry = recorder.record_call(**call_of())
        assert recorder.health().buffered == 1
        ledger.failure = None
        recorder.flush()
        assert ids(ledger) == [entry.entry_id]

    @pytest.mark.expects_fault
    def test_that_refuses_one_entry_has_the_others_at_once(self, choosy: Choosy) -> None:
        recorder = Recorder(choosy, catalog=Catalog())
        for number in (1, 13, 2, 3):
            recorder.record(make_entry(number))
        assert sorted(ids(choosy)) == entry_ids(1, 2, 3)
        choosy.refuses = None
        assert recorder.drain() == 0

    @pytest.mark.expects_fault
    def test_that_refuses_one_entry_for_ever_still_gets_the_others(self, choosy: Choosy) -> None:
        recorder = Recorder(choosy, catalog=Catalog())
        for number in (1, 13, 2, 3):
            recorder.record(make_entry(number))
        for _ in range(3):
            recorder.flush()
        assert sorted(ids(choosy)) == entry_ids(1, 2, 3)
        assert recorder.health().buffered == 1
        choosy.refuses = None
        assert recorder.drain() == 0

    def test_an_entry_that_another_thread_is_storing_counts_as_waiting(self) -> None:
        """Whoever asks what waits, because its process is about to be frozen, would otherwise leave it behind."""
        ledger = Slow()
        recorder = Recorder(ledger, catalog=Catalog())
        recorder.record(make_entry(1))
        ledger.down = False
        storing = threading.Thread(target=recorder.drain)
        storing.start()
        assert ledger.begun.wait(TIMEOUT_S)

        assert recorder.buffered == 1
        ledger.go_on.set()
        assert recorder.drain() == 0
        assert ids(ledger) == entry_ids(1)
        storing.join()


class Slow(MemoryLedger):
    """Down at first, and then not done before it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.down = True
        self.begun, self.go_on = threading.Event(), threading.Event()

    def spool(self, entry: Entry) -> None:
        if self.down:
            raise LedgerError("down")
        self.begun.set()
        self.go_on.wait(TIMEOUT_S)
        super().spool(entry)


class Choosy(MemoryLedger):
    """Refuses the thirteenth entry."""

    refuses: str | None = make_entry(13).entry_id

    def spool(self, entry: Entry) -> None:
        if entry.entry_id == self.refuses:
            raise ValueError(entry.entry_id)
        super().spool(entry)


@pytest.fixture
def choosy() -> Choosy:
    return Choosy()


AT_EXIT = """
import sys
from pathlib import Path
from costtrace.ledger import SqliteLedger
from costtrace.pricing import Catalog
from costtrace.pricing.route import Route
from costtrace.pricing.sheet import RateSheet
from costtrace.recorder import Recorder
from tests.factories import make_entry

path = Path(sys.argv[1])
block = path.with_name("costs.db-spool")
block.write_text("a file stands where the spool should")
recorder = Recorder(SqliteLedger(path), catalog=Catalog())
for number in range(3):
    recorder.record(make_entry(number))
assert recorder.health().buffered == 3
if sys.argv[2] == "mended":
    block.unlink()
"""


def at_exit(path: Path, state: str) -> str:
    command = [sys.executable, "-W", "error", "-c", AT_EXIT, str(path), state]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=ROOT).stderr


def test_what_waits_is_stored_when_the_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    at_exit(path, "mended")
    ledger = SqliteLedger(path)
    assert [entry for _, entry in ledger.entries()] == [make_entry(number) for number in range(3)]
    ledger.close()


def test_what_cannot_be_stored_when_the_process_ends_is_said(tmp_path: Path) -> None:
    errors = at_exit(tmp_path / "costs.db", "blocked")
    assert "costtrace: 3 entries could not be stored before the process ended" in errors


FORKED = """
import os, threading
from costtrace.errors import LedgerUnavailable
from costtrace.pricing import Catalog
from costtrace.pricing.route import Route
from costtrace.pricing.sheet import RateSheet
from costtrace.recorder import Recorder
from costtrace.testing import MemoryLedger
from tests.factories import make_entry

class Slow(MemoryLedger):
    state = "closed"
    def spool(self, entry):
        if self.state == "closed":
            raise LedgerUnavailable("closed")
        if self.state == "slow":
            reached.set()
            go_on.wait()
        super().spool(entry)

reached, go_on = threading.Event(), threading.Event()
ledger = Slow()
recorder = Recorder(ledger, catalog=Catalog(), buffer=1)
for number in range(3):
    recorder.record(make_entry(number))
assert (recorder.health().buffered, recorder.health().lost) == (1, 2)
ledger.state = "slow"
thread = threading.Thread(target=recorder.drain)
thread.start()
reached.wait()  # the thread holds the recorder's lock now
pid = os.fork()
if not pid:
    ledger.state = "open"
    recorder.record(make_entry(9))
    health = recorder.flush()
    stored = [entry.entry_id for _, entry in ledger.entries()]
    os._exit(0 if (stored, health.buffered, health.lost, ledger.health().lost) == (["llm/run-9/9"], 0, 0, 0) else 1)
assert os.waitpid(pid, 0)[1] == 0
go_on.set()
thread.join()
assert [entry.entry_id for _, entry in ledger.entries()] == ["llm/run-0/0"]
assert ledger.health().lost == 2
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_nothing_of_its_parents_to_store_and_waits_for_no_lock() -> None:
    # From Python 3.12 on, forking a process that has threads is warned of; that it works all the same is the point.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)


def test_closing_stores_what_waits_and_lets_go_of_the_ledger(tmp_path: Path) -> None:
    recorder = Recorder(SqliteLedger(tmp_path / "costs.db"), catalog=Catalog())
    recorder.record(make_entry())
    recorder.close()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["costs.db"]


def test_a_fault_is_logged_once_with_its_traceback_and_then_only_counted(
    recorder: Recorder, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    request.node.add_marker(pytest.mark.expects_fault)
    with caplog.at_level(logging.DEBUG, "costtrace"):
        for _ in range(3):
            try:
                raise KeyError("inside")  # noqa: TRY301 - the boundary catches right here
            except KeyError:
                recorder.fault("doing something")
    assert recorder.health().faults == 3
    assert [record.levelname for record in caplog.records] == ["ERROR", "DEBUG", "DEBUG"]
    assert all(record.exc_info for record in caplog.records)
