"""One subject on one workload in a process of its own, called upon in turns.

Each line of standard input is a number of calls; the answer is what they cost, as one line of JSON. When the input
ends, the last line tells how many records per call have arrived at the far end.
"""

import argparse
import gc
import json
import sys
import time
from importlib import import_module
from typing import Any

from _subject import Attached, Factory
from _workloads import WORKLOADS


def _run(attached: Attached, workload: str, calls: int) -> float:
    """Make the calls, finish the deferred work, and return the seconds until the last call had returned."""
    runnable, question = WORKLOADS[workload]()
    config: Any = {"callbacks": attached.callbacks}
    start = time.perf_counter()
    if attached.around is None:
        for _ in range(calls):
            runnable.invoke(question, config=config)
    else:
        for _ in range(calls):
            attached.around(lambda: runnable.invoke(question, config=config))
    returned = time.perf_counter() - start
    attached.drain()
    return returned


def _turn(attached: Attached, workload: str, calls: int) -> dict[str, float]:
    """Microseconds per call: CPU of all threads with deferred work, wall until the call returned, wall of the drain."""
    start_wall, start_cpu = time.perf_counter(), time.process_time()
    returned = _run(attached, workload, calls)
    cpu, wall = time.process_time() - start_cpu, time.perf_counter() - start_wall
    return {
        "cpu": cpu / calls * 1e6,
        "wall": returned / calls * 1e6,
        "drain": (wall - returned) / calls * 1e6,
    }


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("factory", help="module:function")
    parser.add_argument("workload", choices=sorted(WORKLOADS))
    arguments = parser.parse_args()
    module, _, name = arguments.factory.partition(":")
    factory: Factory = getattr(import_module(module), name)
    calls = 0
    with factory() as attached:
        gc.collect()
        for line in sys.stdin:
            calls += int(line)
            _answer(_turn(attached, arguments.workload, int(line)))
        _answer({"records": attached.records() / calls if attached.records else None})


if __name__ == "__main__":
    main()
