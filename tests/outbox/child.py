"""A process of its own that delivers a ledger into a file, and may be killed or stopped on the way.

    python -m tests.outbox.child LEDGER SINK PLAN

It says ``ready``, waits for a line, delivers, and prints what came of it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from costtrace.entry import Entry
from costtrace.exporters import Refusal
from costtrace.ledger import SqliteLedger
from costtrace.outbox import Outbox
from tests.ledger.child import die, die_at

LEDGERS: list[SqliteLedger] = []
"""Keeps the ledger until the interpreter ends, as an application does."""


class FileSink:
    """Acknowledges what stands in the file, one id a line."""

    name = "file"

    def __init__(self, path: Path, plan: dict[str, Any]) -> None:
        self._path = path
        self._plan = plan
        self._requests = 0
        self.batch_size: int = plan.get("batch_size", 10)

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        self._requests += 1
        if self._plan.get("hang_in") == self._requests:
            os.write(1, b"hanging\n")
            time.sleep(600)
        time.sleep(self._plan.get("pause_s", 0))
        if self._plan.get("die_before") == self._requests:
            die()
        with self._path.open("ab", buffering=0) as sink:
            sink.write("".join(f"{entry.entry_id}\n" for entry in entries).encode())
        if self._plan.get("stop_after") == self._requests:
            os.kill(os.getpid(), signal.SIGSTOP)
        if self._plan.get("die_after") == self._requests:
            die()
        return []

    def close(self) -> None:
        """Nothing is held open."""


def main(path: str, sink: str, plan: dict[str, Any]) -> None:
    ledger = SqliteLedger(Path(path), busy_timeout_s=30)
    LEDGERS.append(ledger)
    outbox = Outbox(
        ledger, [FileSink(Path(sink), plan)], lease_s=plan.get("lease_s", 30.0), poll_s=0.02, chance=lambda: 0.0
    )
    print("ready", flush=True)  # noqa: T201 - speaks to the test
    sys.stdin.readline()
    if "die_at" in plan:
        die_at(ledger, *plan["die_at"])
    if plan.get("background"):
        outbox.start()
        sys.stdin.readline()
    elif plan.get("forever"):
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        outbox.deliver_forever(stop)
    else:
        [done] = outbox.deliver_once()
        print(json.dumps(done.to_dict()), flush=True)  # noqa: T201 - as above


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
