"""How fast the outbox drains a ledger into sinks on the loopback, and what it costs those who append meanwhile.

    python benchmarks/drain.py [--events N] [--rounds N]

The sinks are processes of their own. "http lines" posts every batch as JSON lines; "posthog" is the exporter itself,
whose sink acknowledges every event by its uuid as PostHog does; "and totals" also reads every message back to send what
it came to as a whole. Entries are model calls with usage, quote and context, four to a message. Python looks for cycles
as seldom as in ``costtrace deliver``. The best of the rounds counts, because this measures the code and not what else
the machine does.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from costtrace.cli.deliver import seldom_collected  # noqa: E402
from costtrace.entry import Entry, encode_entry  # noqa: E402 - the path is set above
from costtrace.exporters import Exporter, Refusal  # noqa: E402
from costtrace.exporters.jsonl import JsonlExporter  # noqa: E402
from costtrace.exporters.posthog import PostHogExporter  # noqa: E402
from costtrace.jsontext import encode  # noqa: E402
from costtrace.ledger import SqliteLedger  # noqa: E402
from costtrace.outbox import Outbox  # noqa: E402
from tests.factories import make_entry  # noqa: E402

BAR = 25_000
BATCH = 500
_UUID = re.compile(rb'"uuid":"([0-9a-f-]{36})"')


class _Sink(BaseHTTPRequestHandler):
    """Takes a batch and acknowledges it; for PostHog, each of its events."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = b"{}"
        if self.path.startswith("/i/v1/"):
            results = b",".join(b'"%b":{"result":"ok"}' % uuid for uuid in _UUID.findall(body))
            answer = b'{"results":{%b}}' % results
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's signature
        pass


class HttpLines:
    """An exporter of batches as JSON lines over one connection that stays open."""

    name = "http lines"
    batch_size = BATCH

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        body = "\n".join([encode(encode_entry(entry)) for entry in entries]).encode()
        self._connection.request("POST", "/lines", body)
        with self._connection.getresponse() as response:
            response.read()
            assert response.status == 200  # noqa: S101 - the sink is our own
        return ()

    def close(self) -> None:
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Result:
    """One drain."""

    events: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        return self.events / self.wall_s


@contextmanager
def running_sink() -> Iterator[int]:
    """The port of a sink in a process of its own."""
    command = [sys.executable, __file__, "--sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def serve() -> None:
    """Serve until standard input closes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


def fill(path: Path, count: int) -> SqliteLedger:
    ledger = SqliteLedger(path)
    for first in range(1, count, 2_000):
        numbers = range(first, min(first + 2_000, count + 1))
        ledger.append([make_entry(number, message_uuid=f"m-{number // 4}") for number in numbers])
    return ledger


def drain(ledger: SqliteLedger, exporter: Exporter) -> Result:
    """Deliver everything, as to an exporter that the ledger does not know yet."""
    with closing(sqlite3.connect(ledger.path)) as connection, connection:
        connection.execute("DELETE FROM deliveries")
    outbox = Outbox(ledger, [exporter])
    began, cpu = time.perf_counter(), time.process_time()
    with seldom_collected():
        [done] = outbox.deliver_once()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    assert done.is_complete, done  # noqa: S101 - the sinks take everything
    exporter.close()
    return Result(done.sent, wall_s, cpu_s)


def best(rounds: int, drained: Callable[[], Result]) -> Result:
    return max((drained() for _ in range(rounds)), key=lambda result: result.rate)


def spooling(ledger: SqliteLedger, first: int, count: int) -> float:
    """Microseconds that a spooled entry takes the thread that records it: the median of its calls."""
    entries = [make_entry(number) for number in range(first, first + count)]
    took = []
    for entry in entries:
        began = time.thread_time_ns()
        ledger.spool(entry)
        took.append(time.thread_time_ns() - began)
    return median(took) / 1_000


def appending(directory: Path, count: int = 5_000, rounds: int = 7) -> tuple[float, float]:
    """What spooling costs the recording thread without an outbox, and with one that waits for work, in turns."""
    ledger = SqliteLedger(directory / "appending.db")
    outbox = Outbox(ledger, [JsonlExporter(directory / "sink.jsonl", fsync=False)])
    without, beside, first = [], [], 1
    for _ in range(rounds):
        without.append(spooling(ledger, first, count))
        outbox.start()
        beside.append(spooling(ledger, first + count, count))
        outbox.stop(30)
        first += 2 * count
    ledger.close()
    return min(without), min(beside)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    arguments.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--events", type=int, default=50_000)
    arguments.add_argument("--rounds", type=int, default=5)
    asked = arguments.parse_args()
    if asked.sink:
        serve()
        return
    with tempfile.TemporaryDirectory() as scratch, running_sink() as port:
        directory = Path(scratch)
        ledger = fill(directory / "costs.db", asked.events)
        host = f"http://127.0.0.1:{port}"
        makers: dict[str, Callable[[], Exporter]] = {
            "http lines": lambda: HttpLines(port),
            "posthog": lambda: PostHogExporter("phc_bench", host=host, batch_size=BATCH),
            "and totals": lambda: PostHogExporter("phc_bench", host=host, messages=ledger.message, batch_size=BATCH),
            "jsonl file": lambda: JsonlExporter(directory / "out.jsonl", fsync=False),
        }
        print(f"{asked.events} events, batches of {BATCH}, best of {asked.rounds} rounds, {os.cpu_count()} cores")
        print(f"{'sink':<12}{'events/s':>10}{'us CPU each':>13}   bar {BAR}/s")
        missed = 0
        for name, make in makers.items():
            result = best(asked.rounds, lambda make=make: drain(ledger, make()))  # type: ignore[misc]  # bound at once
            verdict = "holds" if result.rate >= BAR else "MISSED"
            missed += result.rate < BAR
            print(f"{name:<12}{result.rate:>10.0f}{result.cpu_s / result.events * 1e6:>13.1f}   {verdict}")
        ledger.close()
        without, beside = appending(directory)
        print(
            f"recording an entry costs its thread {without:.2f} us without an outbox, {beside:.2f} us with one running"
        )
    sys.exit(missed > 0)


if __name__ == "__main__":
    main()
