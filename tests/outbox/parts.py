"""An exporter that answers as a test says, a clock that goes as a test says, and ledgers with entries in them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from costtrace.entry import Entry
from costtrace.exporters import Fate, Refusal
from costtrace.ledger import SqliteLedger
from costtrace.outbox import Outbox
from tests.factories import NOW, make_costs

START_NS = int(NOW.timestamp()) * 1_000_000_000
NEVER = Refusal(entry_id="nobody", fate=Fate.DEAD, reason="")

Answer = BaseException | dict[str, Refusal] | Callable[[Sequence[Entry]], Sequence[Refusal]]


class Clock:
    """Nanoseconds since 1970 that pass when a test says so; as a `Stop` it lets waiting take no time at all."""

    def __init__(self, ends_after_s: float = float("inf")) -> None:
        self.now_ns = START_NS
        self._ends_ns = START_NS + ends_after_s * 1e9

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)

    def is_set(self) -> bool:
        return self.now_ns >= self._ends_ns

    def wait(self, timeout: float) -> bool:
        self.advance(timeout)
        return self.is_set()


class Scripted:
    """An exporter that answers its requests one after the other as it was told, and takes everything after that."""

    def __init__(self, *plan: Answer, name: str = "scripted", batch_size: int = 100) -> None:
        self.name = name
        self.batch_size = batch_size
        self.plan: list[Answer] = list(plan)
        self.requests: list[list[str]] = []
        """The ids of each batch."""
        self.closed = 0

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        self.requests.append([entry.entry_id for entry in entries])
        answer = self.plan.pop(0) if self.plan else {}
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return answer(entries)
        return list(answer.values())

    def close(self) -> None:
        self.closed += 1

    @property
    def delivered(self) -> list[str]:
        """The ids of all batches, in the order they came."""
        return [entry_id for request in self.requests for entry_id in request]


class Slow(Scripted):
    """Waits inside of its first request until it is let go."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        self.entered.set()
        assert self.go_on.wait(30)
        return super().export(entries)


def refused(fate: Fate, *numbers: int, reason: str = "because") -> dict[str, Refusal]:
    """An answer that refuses those entries."""
    ids = (f"e/{number}" for number in numbers)
    return {entry_id: Refusal(entry_id=entry_id, fate=fate, reason=reason) for entry_id in ids}


def breaks_at(*numbers: int, error: type[Exception] = KeyError) -> Callable[[Sequence[Entry]], Sequence[Refusal]]:
    """An answer that breaks where one of those entries is in the batch."""

    def answer(entries: Sequence[Entry]) -> Sequence[Refusal]:
        for entry in entries:
            if int(entry.entry_id[2:]) in numbers:
                raise error(entry.entry_id)
        return []

    return answer


def make_entries(numbers: Iterable[int]) -> list[Entry]:
    """Entries ``e/1``, ``e/2``, ..., each for one trillionth, so that a sum counts them."""
    return [make_costs("0.000000000001", number=number, entry_id=f"e/{number}") for number in numbers]


def filled(path: Path, count: int, *, first: int = 1) -> SqliteLedger:
    """A ledger of that many entries."""
    ledger = SqliteLedger(path, busy_timeout_s=10)
    ledger.append(make_entries(range(first, first + count)))
    return ledger


def ids(*numbers: int) -> list[str]:
    return [f"e/{number}" for number in numbers]


def make_outbox(ledger: SqliteLedger, *exporters: Any, clock: Clock | None = None, **options: Any) -> Outbox:
    """An outbox that waits as long as it may: no luck in the pauses."""
    return Outbox(ledger, exporters, **{"clock": clock or Clock(), "chance": lambda: 1.0, **options})
