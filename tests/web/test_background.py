"""Work beside the answers: in its order, bounded, and never what keeps a process from ending."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time

import pytest

from costtrace.web.background import Background
from tests.bars import within


def test_everything_is_done_in_its_order_whoever_brings_it() -> None:
    later, done, others = Background(), list[tuple[int, int]](), 4

    def bring(who: int) -> None:
        for number in range(200):
            later(lambda number=number: done.append((who, number)))  # type: ignore[misc]  # its own number

    threads = [threading.Thread(target=bring, args=(who,)) for who in range(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert later.drain(10)
    for who in range(others):
        assert [number for by, number in done if by == who] == list(range(200))


def test_what_is_too_much_is_refused_and_the_rest_is_done() -> None:
    later, hold, done = Background(limit=2), threading.Event(), list[int]()
    later(lambda: done.append(hold.wait(10)))
    later(lambda: done.append(2))
    with pytest.raises(queue.Full):
        later(lambda: done.append(3))
    assert not later.drain(0)
    hold.set()
    assert later.drain(10)
    later(lambda: done.append(4))
    assert later.drain(10)
    assert done == [True, 2, 4]


HANGING = """
import time
from costtrace.web.background import Background
later = Background()
for _ in range(3):
    later(lambda: time.sleep(20))
assert not later.drain(0.1)
"""


def test_a_job_that_hangs_keeps_no_process_from_ending() -> None:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", HANGING], check=True, timeout=60)
    assert time.monotonic() - began < within(10)
