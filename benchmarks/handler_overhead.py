"""What a LangChain callback handler adds to a model call: costtrace beside its peers, on one machine, in one run.

    python benchmarks/handler_overhead.py [--markdown | --json] [--check] [--calls 6000] [--rounds 5]

Each subject lives in a process of its own and makes its calls in turns, one process at a time, the order rotated. What
it adds is its time less the baseline's of the same round; medians stand. CPU is that of all threads, deferred work
included: ledger, clients and span processors are flushed before the clock is read. See README.md beside this file.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

from _report import Check, as_markdown, as_text, memory_checks, memory_text, overhead_checks, rows
from _rounds import Added, in_own_process, run_round
from _subject import SUBJECTS, Subject
from _workloads import WORKLOADS

_TITLES = {
    "model": "one model call: model.invoke",
    "chain": "a chain of prompt, model and parser: four runs, one of them a model call",
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=6000, help="measured calls per process")
    parser.add_argument("--warm-up", type=int, default=300, help="calls before the clock starts")
    parser.add_argument("--rounds", type=int, default=5, help="sets of fresh processes")
    parser.add_argument("--turns", type=int, default=20, help="into which a process's calls are divided")
    parser.add_argument("--workload", choices=sorted(WORKLOADS), action="append", help="may be repeated; default: all")
    parser.add_argument(
        "--only",
        metavar="SUBJECT",
        action="append",
        choices=[s.name for s in SUBJECTS],
        help="may be repeated; the baseline is always measured: " + ", ".join(s.name for s in SUBJECTS),
    )
    parser.add_argument("--no-memory", action="store_true", help="leave out what costtrace holds in memory")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true")
    form.add_argument("--json", action="store_true")
    return parser.parse_args()


def _progress(label: str, line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{label}{line}")
        sys.stderr.flush()


def _wanted(only: Sequence[str] | None) -> list[Subject]:
    return [subject for subject in SUBJECTS if not only or subject.name in only or subject.name == "baseline"]


def _machine() -> str:
    load = os.getloadavg()[0]
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f} at the start"


def _skipped(subject: Subject) -> str:
    return f"skipped: {subject.title}: pip install {' '.join(subject.distributions)}"


def _print(
    measured: Mapping[str, Mapping[str, Added]],
    memory: Mapping[str, float] | None,
    notes: Sequence[str],
    checks: Sequence[Check],
    *,
    markdown: bool,
) -> None:
    print(notes[0])
    for workload, added in measured.items():
        print(f"\n{_TITLES[workload]}\n")
        print((as_markdown if markdown else as_text)(rows(added)))
    if memory is not None:
        print(f"\n{memory_text(memory)}")
    print()
    for line in (*notes[1:], *checks):
        print(f"- {line}" if markdown else line)


def _measured(subjects: Sequence[Subject], workload: str, options: argparse.Namespace) -> dict[str, Added]:
    rounds = []
    for number in range(options.rounds):
        label = f"{workload}, round {number + 1} of {options.rounds}, "
        rounds.append(
            run_round(
                subjects,
                workload,
                calls=options.calls,
                turns=options.turns,
                warm_up=options.warm_up,
                progress=partial(_progress, label),
            )
        )
    baseline = [figures["baseline"] for figures in rounds]
    return {subject.name: Added.over(baseline, [figures[subject.name] for figures in rounds]) for subject in subjects}


def main() -> None:
    options = _arguments()
    notes = [_machine()]
    wanted = _wanted(options.only)
    subjects = [subject for subject in wanted if not subject.missing]
    notes += [_skipped(subject) for subject in wanted if subject.missing]
    measured: dict[str, dict[str, Added]] = {}
    for workload in options.workload or WORKLOADS:
        measured[workload] = _measured(subjects, workload, options)
    ours = any(subject.name == "costtrace" for subject in subjects)
    memory: dict[str, float] | None = in_own_process("_memory.py") if ours and not options.no_memory else None
    _progress("", "")
    checks = [
        *(overhead_checks(measured["model"]) if "model" in measured else ()),
        *(memory_checks(memory) if memory else ()),
    ]
    if options.json:
        added = {
            workload: {name: {"cpu": own.cpu, "wall": own.wall, **asdict(own)} for name, own in table.items()}
            for workload, table in measured.items()
        }
        verdicts = [{**asdict(check), "held": check.held} for check in checks]
        print(json.dumps({"notes": notes, "added_us": added, "memory_bytes": memory, "checks": verdicts}, indent=2))
    else:
        _print(measured, memory, notes, checks, markdown=options.markdown)
    sys.exit(1 if options.check and not all(check.held for check in checks) else 0)


if __name__ == "__main__":
    main()
