"""Ten minutes without an answer, at sixty times their speed; then everything is delivered within seconds.

COSTTRACE_TEST_OUTAGE says how many entries wait: 5,000 unless set.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from costtrace.entry import Entry
from costtrace.errors import ExporterUnavailable
from costtrace.exporters import Refusal
from costtrace.exporters.posthog import PostHogExporter
from costtrace.ledger import SqliteLedger
from costtrace.money import pico_amount
from costtrace.outbox import Outbox
from costtrace.sandbox.posthog import PostHogServer
from costtrace.sandbox.posthog_capture import Fault
from tests.bars import within
from tests.factories import make_entry
from tests.outbox.parts import START_NS

WAITING = int(os.environ.get("COSTTRACE_TEST_OUTAGE", "5000"))
SPEED = 60
OUTAGE_S = 600
RECOVERY_S = 15


class FastClock:
    """Time that goes sixty times as fast as it does; as a `Stop` it waits a sixtieth."""

    def __init__(self) -> None:
        self._began = time.monotonic_ns()
        self._stop = threading.Event()

    def __call__(self) -> int:
        return START_NS + (time.monotonic_ns() - self._began) * SPEED

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        return self._stop.wait(timeout / SPEED)

    def end(self) -> None:
        self._stop.set()


class Outage:
    """An exporter that is down until somebody says so, and counts what it takes."""

    name = "outage"
    batch_size = 500

    def __init__(self) -> None:
        self.down = True
        self.tries = 0
        self.taken: list[str] = []

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        self.tries += 1
        if self.down:
            raise ExporterUnavailable("HTTP 503")
        self.taken += [entry.entry_id for entry in entries]
        return ()

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def waiting(tmp_path: Path) -> SqliteLedger:
    ledger = SqliteLedger(tmp_path / "costs.db")
    for first in range(1, WAITING + 1, 2_000):
        ledger.append([make_entry(n) for n in range(first, min(first + 2_000, WAITING + 1))])
    return ledger


def seconds_until(delivered: int, outbox: Outbox) -> float:
    began = time.monotonic()
    while outbox.status()[0].sent < delivered:
        assert time.monotonic() - began < within(RECOVERY_S)
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.timeout(900)
def test_after_ten_minutes_without_an_answer_everything_is_there_within_seconds(waiting: SqliteLedger) -> None:
    exporter, clock = Outage(), FastClock()
    outbox = Outbox(waiting, [exporter], clock=clock)
    thread = threading.Thread(target=outbox.deliver_forever, args=(clock,))
    thread.start()
    time.sleep(OUTAGE_S / SPEED)
    [status] = outbox.status()
    assert (status.sent, status.pending, status.parked, status.dead) == (0, WAITING, 0, 0)
    assert 5 <= exporter.tries <= 60

    exporter.down = False
    took = seconds_until(WAITING, outbox)

    clock.end()
    thread.join(30)
    print(f"{WAITING} entries in {took:.1f} s after {exporter.tries} tries")  # noqa: T201 - shown with -s
    assert len(exporter.taken) == len(set(exporter.taken)) == WAITING
    waiting.close()


@pytest.mark.timeout(900)
def test_posthog_has_everything_once_after_an_outage(waiting: SqliteLedger) -> None:
    clock = FastClock()
    with PostHogServer() as server:
        server.outage = Fault(status=503)
        exporter = PostHogExporter(server.project_token, host=server.host, batch_size=500)
        outbox = Outbox(waiting, [exporter], clock=clock)
        thread = threading.Thread(target=outbox.deliver_forever, args=(clock,))
        thread.start()
        time.sleep(2)
        server.outage = None

        seconds_until(min(WAITING, 5_000), outbox)

        clock.end()
        thread.join(30)
        outbox.deliver_once()
        exporter.close()
        spent = sum(event.properties["cost_picousd"] for event in server.distinct if event.event == "$ai_generation")
    assert pico_amount(spent) == waiting.totals()[()].actual.usd
    waiting.close()
