"""Whatever exporters answer and whoever dies when: every entry ends acknowledged or in a letter, never in neither."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from costtrace.entry import Entry
from costtrace.errors import ExporterStopped, ExporterUnavailable
from costtrace.exporters import Fate, Refusal
from costtrace.ledger import SqliteLedger
from costtrace.outbox import Outbox
from tests.outbox.parts import Clock, make_entries

pytestmark = pytest.mark.expects_fault  # exporters break here, and are found out

NAME = "any"
FATES = st.none() | st.sampled_from(Fate)
FAILURES = st.sampled_from(["unavailable", "stopped", "breaks", "killed before", "killed after"])
ANSWERS = FAILURES | st.lists(FATES, min_size=1, max_size=6)
"""One request: a way to fail, or what becomes of the entries, in turn."""


class Killed(BaseException):
    """Ends the process, as far as the outbox can tell."""


class World:
    """The other side, which remembers what it has stored, and answers as it was told."""

    name = NAME

    def __init__(self) -> None:
        self.stored: set[str] = set()
        self.answers: list[Any] = []
        self.poison: set[str] = set()
        self.batch_size = 3

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        if any(entry.entry_id in self.poison for entry in entries):
            raise LookupError
        answer = self.answers.pop(0) if self.answers else [None]
        match answer:
            case "unavailable":
                raise ExporterUnavailable("down")
            case "stopped":
                raise ExporterStopped("wrong key")
            case "breaks":
                raise ArithmeticError
            case "killed before":
                raise Killed
            case "killed after":
                self.stored.update(entry.entry_id for entry in entries)
                raise Killed
        fates = {entry.entry_id: answer[place % len(answer)] for place, entry in enumerate(entries)}
        self.stored.update(entry_id for entry_id, fate in fates.items() if fate is None)
        return [Refusal(entry_id=entry_id, fate=fate, reason="no") for entry_id, fate in fates.items() if fate]

    def close(self) -> None:
        """Nothing is held open."""


class Deliveries(RuleBasedStateMachine):
    """Two processes, or what passes for them, over one ledger."""

    @initialize(from_now=st.booleans(), before=st.integers(0, 3))
    def begin(self, *, from_now: bool, before: int) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name) / "costs.db"
        self.clock = Clock()
        self.world = World()
        self.count = 0
        self.append(before)
        self.start = before if from_now else 0
        self.from_now = from_now
        self.outboxes = [self.new_outbox(), self.new_outbox()]

    def new_outbox(self) -> Outbox:
        ledger = SqliteLedger(self.path)
        return Outbox(ledger, [self.world], clock=self.clock, chance=lambda: 0.5, from_now=self.from_now, lease_s=30)

    @rule(count=st.integers(1, 8))
    def append(self, count: int) -> None:
        entries = make_entries(range(self.count + 1, self.count + count + 1))
        with_ledger(self.path, lambda ledger: ledger.append(entries))
        self.count += count

    @rule(who=st.integers(0, 1), answers=st.lists(ANSWERS, max_size=5))
    def deliver(self, who: int, answers: list[Any]) -> None:
        self.world.answers = answers
        try:
            self.outboxes[who].deliver_once()
        except Killed:
            self.outboxes[who] = self.new_outbox()
        self.world.answers = []

    @rule(number=st.integers(0, 40))
    def poison(self, number: int) -> None:
        self.world.poison = {f"e/{number}"}

    @rule(seconds=st.sampled_from([0.5, 5, 60, 400, 86_400, 8 * 86_400]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(parked=st.booleans())
    def replay(self, *, parked: bool) -> None:
        self.outboxes[0].replay(NAME, parked=parked, dead=not parked)

    @rule(numbers=st.sets(st.integers(1, 40), max_size=3))
    def requeue(self, numbers: set[int]) -> None:
        self.outboxes[1].requeue(NAME, [f"e/{number}" for number in numbers if self.start < number <= self.count])

    @rule()
    def resume(self) -> None:
        self.outboxes[0].resume(NAME)

    @invariant()
    def every_entry_is_somewhere(self) -> None:
        if not hasattr(self, "outboxes"):
            return
        [status] = self.outboxes[0].status()
        assert status.sent + status.pending + status.parked + status.dead == self.count - self.start
        store = self.outboxes[0]._deliveries
        delivery = store.get(NAME)
        assert delivery is not None
        letters = store.letters(NAME)
        assert delivery.owner is None
        for seq in range(self.start + 1, self.count + 1):  # without conflicts, the sequence has no gaps
            if seq <= delivery.cursor and seq not in letters:
                assert f"e/{seq}" in self.world.stored

    def teardown(self) -> None:
        """With the other side well again and everything replayed, nothing is left."""
        if not hasattr(self, "outboxes"):
            return
        self.world.poison = set()
        last = self.new_outbox()
        last.resume(NAME)
        last.replay(NAME, parked=True, dead=True)
        for _ in range(3):
            self.clock.advance(400)
            last.deliver_once()
        [status] = last.status()
        assert (status.pending, status.parked, status.dead) == (0, 0, 0)
        assert self.world.stored >= {f"e/{number}" for number in range(self.start + 1, self.count + 1)}
        self.directory.cleanup()


def with_ledger(path: Path, use: Callable[[SqliteLedger], object]) -> None:
    ledger = SqliteLedger(path)
    use(ledger)
    ledger.close()


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
