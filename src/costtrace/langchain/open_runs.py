"""The open runs of this process: one table for each ledger, shared by all handlers that write to it.

So two handlers of one ledger record a call once. At the end of the process what is open is given up, and a forked child
leaves it to its parent.
"""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections.abc import Callable
from typing import Final

from costtrace.langchain.run_table import RunTable
from costtrace.langchain.runs import Run
from costtrace.recorder import Recorder

_tables: Final[dict[str, RunTable]] = {}
_lock: Final = threading.RLock()


def table_of(recorder: Recorder, give_up: Callable[[Run, str], None]) -> RunTable:
    """The open runs of the recorder's ledger; `give_up` takes those whose end nobody reports (see `RunTable`)."""
    with _lock:
        if recorder.ledger.name not in _tables:
            _tables[recorder.ledger.name] = RunTable(recorder.clock, give_up)
        table = _tables[recorder.ledger.name]
    recorder.tracing.add_locator(table.current_place)
    return table


@functools.cache
def give_up_before_spans() -> None:
    """At the end of the process, give up what is open before a tracer provider that exists by now shuts down.

    To be called once there is one: handlers of ``atexit`` run last come, first served, and a provider that has shut
    down drops the spans that end then.
    """
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)


def _at_exit() -> None:
    for table in list(_tables.values()):
        table.give_up_all()


def _after_fork() -> None:
    for table in list(_tables.values()):
        table.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
