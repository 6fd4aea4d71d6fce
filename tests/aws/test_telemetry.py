"""Spans leave before the answer does; a collector that never comes to an end costs its time and nothing more."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from costtrace.aws.invocation import FLUSH_S, invoked
from costtrace.aws.telemetry import Traces
from tests.aws.parts import Lambda
from tests.bars import within


@pytest.fixture
def made() -> Iterator[list[Traces]]:
    """What a test has made, which is shut down behind its server."""
    traces: list[Traces] = []
    yield traces
    for each in traces:
        each.provider.shutdown()


@pytest.fixture
def dripping(made: list[Traces]) -> Iterator[str]:
    """A server that answers one header after the other: no time limit of a request ever runs out."""
    assert not made
    over = threading.Event()
    taken: list[threading.Thread] = []

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.1):
                connection.sendall(b"X-More: to come\r\n")

    def serve(listener: socket.socket) -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                taken.append(threading.Thread(target=drip, args=(connection,)))
                taken[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        for thread in (server, *taken):
            thread.join()


def waiting() -> int:
    return sum(thread.name == "costtrace flush" for thread in threading.enumerate())


def test_a_collector_that_never_ends_its_answer_delays_each_call_by_one_limit_and_keeps_one_thread(
    made: list[Traces], dripping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", dripping)
    traces = Traces(timeout_s=FLUSH_S - 0.05)
    made.append(traces)
    for number in range(4):
        began = time.monotonic()
        with invoked(Lambda(), recorder=lambda: None, flushes=[traces.flush]), traces.call("call", f"call-{number}"):
            pass
        assert time.monotonic() - began < within(0.6)
    deadline = time.monotonic() + 5
    while waiting() > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert waiting() == 1
