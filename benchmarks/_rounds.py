"""Gives the subjects their turns, each in a process of its own, and folds the rounds into one line per subject.

A shared machine runs at half its speed for seconds at a time, and CPU time is inflated with it. So within a round all
processes are alive and take many short turns, one process at a time, and a round's figure is the median of the faster
half of its turns: slow moments then hit some turns of every subject, and those do not count.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, TextIO, cast

from _subject import Subject

_HERE = Path(__file__).parent
_VENDOR_VARIABLES = ("COSTTRACE_", "LANGCHAIN_", "LANGFUSE_", "LANGSMITH_", "OTEL_", "POSTHOG_", "TRACELOOP_")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One subject's round, in microseconds per call; `records` per call is None where there is no far end."""

    cpu: float
    wall: float
    drain: float
    records: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """What a subject adds to a call, in microseconds: its figures less the baseline's, round by round."""

    cpu_rounds: tuple[float, ...]
    wall_rounds: tuple[float, ...]
    records: float | None

    @classmethod
    def over(cls, baseline: Sequence[Figures], rounds: Sequence[Figures]) -> "Added":
        """The rounds less the baseline of the same round."""
        return cls(
            cpu_rounds=tuple(mine.cpu - bare.cpu for mine, bare in zip(rounds, baseline, strict=True)),
            wall_rounds=tuple(mine.wall - bare.wall for mine, bare in zip(rounds, baseline, strict=True)),
            records=rounds[0].records,
        )

    @property
    def cpu(self) -> float:
        """The median round's CPU."""
        return median(self.cpu_rounds)

    @property
    def wall(self) -> float:
        """The median round's time until the call returned."""
        return median(self.wall_rounds)

    def of(self, other: "Added") -> float:
        """Its CPU as a part of the other's: the median of the rounds' ratios, in which the machine's speed cancels."""
        return median(mine / its for mine, its in zip(self.cpu_rounds, other.cpu_rounds, strict=True))

    def beyond(self, other: "Added") -> float:
        """Microseconds of CPU on top of the other's: the median of the rounds' differences."""
        return median(mine - its for mine, its in zip(self.cpu_rounds, other.cpu_rounds, strict=True))


def quiet_environment() -> dict[str, str]:
    """The environment without anything that would change a subject's defaults or lead to another host."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_VENDOR_VARIABLES) and name.lower() not in _PROXY_VARIABLES
    }
    return {**kept, "LANGSMITH_TRACING": "false", "PYTHONWARNINGS": "ignore::DeprecationWarning"}


def in_own_process(script: str) -> Any:
    """Run a script of this folder and return the JSON document it prints."""
    command = [sys.executable, str(_HERE / script)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=quiet_environment())
    return json.loads(done.stdout)


class _Contestant:
    """A subject's process, alive for one round."""

    def __init__(self, subject: Subject, questions: TextIO, answers: TextIO) -> None:
        self.subject = subject
        self._questions = questions
        self._answers = answers
        self._turns: list[dict[str, float]] = []

    def take_turn(self, calls: int, *, counted: bool = True) -> None:
        self._questions.write(f"{calls}\n")
        self._questions.flush()
        turn = self._answer()
        if counted:
            self._turns.append(turn)

    def finish(self) -> Figures:
        self._questions.close()
        records = self._answer()["records"]
        cpu, wall, drain = (_typical([turn[name] for turn in self._turns]) for name in ("cpu", "wall", "drain"))
        return Figures(cpu=cpu, wall=wall, drain=drain, records=records)

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise RuntimeError(f"{self.subject.title}: its process ended; the reason stands above")
        return cast("dict[str, Any]", json.loads(line))


def _typical(turns: Sequence[float]) -> float:
    return median(sorted(turns)[: (len(turns) + 1) // 2])


@contextmanager
def _contestant(subject: Subject, workload: str) -> Iterator[_Contestant]:
    command = [sys.executable, str(_HERE / "_worker.py"), subject.factory, workload]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet_environment()
    ) as process:
        yield _Contestant(subject, cast("TextIO", process.stdin), cast("TextIO", process.stdout))


def run_round(
    subjects: Sequence[Subject],
    workload: str,
    *,
    calls: int,
    turns: int,
    warm_up: int,
    progress: Callable[[str], None],
) -> dict[str, Figures]:
    """Every subject's figures from one set of fresh processes."""
    with ExitStack() as alive:
        contestants = []
        for subject in subjects:
            progress(f"warming up: {subject.title}")
            contestants.append(alive.enter_context(_contestant(subject, workload)))
            contestants[-1].take_turn(warm_up, counted=False)
        for turn in range(turns):
            progress(f"turn {turn + 1} of {turns}")
            first = turn % len(contestants)
            for contestant in (*contestants[first:], *contestants[:first]):
                contestant.take_turn(calls // turns)
        return {contestant.subject.name: contestant.finish() for contestant in contestants}
