"""Processes that are killed, stopped, forked or two at once: nothing is lost, and doubled only on the wire."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from costtrace.ledger import SqliteLedger
from costtrace.outbox import Outbox
from tests.bars import within
from tests.outbox.parts import Scripted, Slow, filled, ids, make_entries

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


class Deliverer:
    """One process of `tests.outbox.child`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def go(self) -> None:
        assert self.heard() == "ready"
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def heard(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def outcome(self) -> dict[str, Any] | None:
        """What it says came of it; None where it was killed."""
        output, _ = self.process.communicate(timeout=TIMEOUT_S)
        if self.process.returncode == -signal.SIGKILL:
            return None
        assert self.process.returncode == 0
        told: dict[str, Any] = json.loads(output.splitlines()[-1])
        return told

    def is_stopped(self) -> bool:
        _, status = os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)
        return os.WIFSTOPPED(status)


@contextmanager
def delivering(path: Path, **plan: Any) -> Iterator[Deliverer]:
    command = [sys.executable, "-W", "error", "-m", "tests.outbox.child", str(path), str(sink_of(path))]
    with subprocess.Popen(
        [*command, json.dumps(plan)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            deliverer = Deliverer(process)
            deliverer.go()
            yield deliverer
        finally:
            if process.poll() is None:
                process.kill()


def sink_of(path: Path) -> Path:
    return path.with_suffix(".sink")


def stored(path: Path) -> Counter[str]:
    """How often each entry reached the other side."""
    return Counter(sink_of(path).read_text().split()) if sink_of(path).exists() else Counter()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of a hundred entries, which nobody has open."""
    filled(tmp_path / "costs.db", 100).close()
    return tmp_path / "costs.db"


def deliver(path: Path, **plan: Any) -> dict[str, Any] | None:
    with delivering(path, **plan) as deliverer:
        return deliverer.outcome()


def wait_for_lease(path: Path) -> None:
    """As long as a lease of half a second may still last."""
    ledger = SqliteLedger(path)
    while ledger.deliveries.all()[0].owner and (ledger.deliveries.all()[0].lease_until_us or 0) > time.time_ns() / 1e3:
        time.sleep(0.02)
    ledger.close()


def test_who_dies_between_acknowledgement_and_note_delivers_that_batch_again(path: Path) -> None:
    assert deliver(path, die_after=4, lease_s=0.5) is None
    wait_for_lease(path)

    done = deliver(path, lease_s=0.5)

    assert done is not None
    assert done["sent"] == 70
    twice = {entry_id for entry_id, times in stored(path).items() if times == 2}
    assert set(stored(path)) == set(ids(*range(1, 101)))
    assert twice == set(ids(*range(31, 41)))


def test_who_dies_in_flight_loses_nothing(path: Path) -> None:
    assert deliver(path, die_before=4, lease_s=0.5) is None
    wait_for_lease(path)

    deliver(path)

    assert stored(path) == Counter(ids(*range(1, 101)))


def test_killed_at_any_statement_again_and_again_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    filled(path, 400).close()
    chance = random.Random(6)  # noqa: S311 - the same kills in every run
    killed = 0
    for _ in range(25):
        step = chance.choice(["BEGIN", "UPDATE", "COMMIT", "SELECT"])
        killed += deliver(path, die_at=[step, chance.randint(1, 12)], lease_s=0.001, batch_size=5) is None
    deliver(path, lease_s=0.001)

    assert killed >= 15
    assert set(stored(path)) == set(ids(*range(1, 401)))
    ledger = SqliteLedger(path)
    [delivery] = ledger.deliveries.all()
    assert (delivery.sent, delivery.cursor, ledger.deliveries.count("file").pending) == (400, 400, 0)
    ledger.close()


def test_a_killed_owner_is_followed_by_the_next_when_its_lease_has_run_out(path: Path) -> None:
    assert deliver(path, die_after=1, lease_s=3) is None

    early = deliver(path)
    assert early is not None
    assert early["elsewhere"]
    time.sleep(3)
    done = deliver(path)

    assert done is not None
    assert done["sent"] == 100


def test_two_processes_that_drain_one_ledger_deliver_everything_once(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    ledger = filled(path, 300)
    with delivering(path, forever=True, pause_s=0.002) as one, delivering(path, forever=True, pause_s=0.002) as other:
        for number in range(10):
            time.sleep(0.05)
            ledger.append(make_entries(range(301 + number * 20, 321 + number * 20)))
        ends = time.monotonic() + 30
        while len(stored(path)) < 500 and time.monotonic() < ends:
            time.sleep(0.05)
        time.sleep(0.2)
        for deliverer in (one, other):
            deliverer.process.terminate()
            assert deliverer.process.wait(TIMEOUT_S) == 0

    assert stored(path) == Counter(ids(*range(1, 501)))
    [delivery] = ledger.deliveries.all()
    assert (delivery.sent, delivery.cursor) == (500, 500)
    assert delivery.owner is None
    ledger.close()


def test_who_was_stopped_past_its_lease_changes_nothing_when_it_wakes_up(path: Path) -> None:
    with delivering(path, stop_after=3, lease_s=0.5) as stalled:
        ends = time.monotonic() + 30
        while not stalled.is_stopped() and time.monotonic() < ends:
            time.sleep(0.02)
        wait_for_lease(path)
        done = deliver(path)
        assert done is not None
        assert (done["sent"], done["elsewhere"]) == (80, False)

        os.kill(stalled.process.pid, signal.SIGCONT)
        woken = stalled.outcome()

    assert woken is not None
    assert (woken["sent"], woken["elsewhere"]) == (20, True)
    ledger = SqliteLedger(path)
    [delivery] = ledger.deliveries.all()
    assert (delivery.sent, delivery.cursor) == (100, 100)
    ledger.close()
    doubled = {entry_id for entry_id, times in stored(path).items() if times == 2}
    assert doubled == set(ids(*range(21, 31)))


def test_a_slow_delivery_that_lost_its_lease_asks_for_a_longer_one(tmp_path: Path) -> None:
    """Two that are always slower than a lease would otherwise take it from each other for ever."""
    path = tmp_path / "costs.db"
    ledger = filled(path, 60)
    with (
        delivering(path, forever=True, pause_s=0.3, lease_s=0.1) as one,
        delivering(path, forever=True, pause_s=0.3, lease_s=0.1) as other,
    ):
        ends = time.monotonic() + 40
        while (delivery := ledger.deliveries.all()[0]).cursor < 60 and time.monotonic() < ends:
            time.sleep(0.1)
        one.process.terminate()
        other.process.terminate()

    assert (delivery.cursor, delivery.sent) == (60, 60)
    ledger.close()


def test_the_end_of_a_process_waits_for_a_background_delivery_only_briefly(path: Path) -> None:
    with delivering(path, background=True, hang_in=2, lease_s=0.5) as deliverer:
        assert deliverer.heard() == "hanging"
        began = time.monotonic()
        assert deliverer.process.stdin is not None
        deliverer.process.stdin.close()
        assert deliverer.process.wait(TIMEOUT_S) == 0
        assert time.monotonic() - began < within(6)
    wait_for_lease(path)

    deliver(path)

    assert stored(path) == Counter(ids(*range(1, 101)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_runs_no_delivery_and_holds_no_lease(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "costs.db", 5)
    exporter = Slow()
    outbox = Outbox(ledger, [exporter], poll_s=0.01)
    outbox.start()
    assert exporter.entered.wait(30)

    def in_the_child() -> bool:
        another = Scripted()
        second = Outbox(ledger, [another])
        return (
            not outbox.is_running
            and second.deliver_once()[0].elsewhere  # the parent has the lease
            and another.requests == []
            and outbox.stop()
        )

    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if in_the_child() else 1)
        except BaseException:  # noqa: BLE001 - a child must not run the rest of the tests
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    exporter.go_on.set()
    ends = time.monotonic() + 30
    while outbox.status()[0].pending and time.monotonic() < ends:
        time.sleep(0.01)
    assert outbox.stop(10)
    assert exporter.delivered == ids(1, 2, 3, 4, 5)
    assert outbox.status()[0].sent == 5
    ledger.close()
