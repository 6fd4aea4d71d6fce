"""A process of its own that writes to a ledger; it may vanish when done, or be killed at a named step.

    python -m tests.ledger.child PATH PLAN

It says ``ready``, waits for a line, works, and answers each entry it was told is safe by the entry's id on a line.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from costtrace.entry import Entry
from costtrace.ledger import SqliteLedger
from tests.factories import make_costs

LEDGERS: list[SqliteLedger] = []
"""Keeps the ledger until the interpreter ends, as an application does."""


def entry_of(worker: str, number: int) -> Entry:
    """The entry that a worker writes at its n-th step: each costs one trillionth, so a sum counts them."""
    return make_costs("0.000000000001", number=number, entry_id=f"sms/{worker}/{number}", message_uuid=f"m-{worker}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(ledger: SqliteLedger, step: str, times: int) -> None:
    """Be killed when Python or SQLite is about to do a named step for the n-th time."""
    counter = count(1)

    def step_done(name: str) -> None:
        if name == step and next(counter) == times:
            die()

    if step.isupper():  # a kind of SQL statement
        connection = ledger._database._open()
        connection.set_trace_callback(lambda sql: step_done(sql.split()[0]))
        return

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".seg"):
            step_done("open segment")
        elif event in {"os.rename", "os.remove", "fcntl.flock"}:
            step_done(event)

    sys.addaudithook(hook)


def work(ledger: SqliteLedger, plan: dict[str, Any], worker: str) -> None:
    for number in range(plan.get("spool", 0)):
        entry = entry_of(worker, number)
        ledger.spool(entry)
        os.write(1, f"{entry.entry_id}\n".encode())
        if "flush_every" in plan and number % plan["flush_every"] == 1:
            ledger.flush()
    for number in range(1_000_000, 1_000_000 + plan.get("append", 0)):
        entry = entry_of(worker, number)
        for entry_id in ledger.append([entry]):
            os.write(1, f"{entry_id}\n".encode())
        if "advance_by" in plan:
            ledger.rollups.advance(plan["advance_by"], patiently=True)


def main(path: str, plan: dict[str, Any]) -> NoReturn:
    ledger = SqliteLedger(Path(path), fsync=plan.get("fsync", False), busy_timeout_s=30)
    LEDGERS.append(ledger)
    os.write(1, b"ready\n")
    sys.stdin.readline()
    if "die_at" in plan:
        die_at(ledger, *plan["die_at"])
    if plan.get("threads"):
        workers = [f"{plan['worker']}.{number}" for number in range(plan["threads"])]
        threads = [threading.Thread(target=work, args=(ledger, plan, worker)) for worker in workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    else:
        work(ledger, plan, plan["worker"])
    if plan.get("vanish"):
        die()
    sys.exit()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
