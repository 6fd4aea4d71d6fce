"""In whatever order LangChain's events come, doubled, late or never: one entry for each call, and nothing left open."""

import asyncio
from collections import Counter
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from langchain_core.outputs import LLMResult

from costtrace import CostCallbackHandler, Recorder
from costtrace.testing import MemoryLedger
from tests.langchain.calls import entries
from tests.langchain.parts import SECOND, Clock

GPT_4O = {"ls_provider": "openai", "ls_model_name": "gpt-4o"}
PICK = st.integers(min_value=0, max_value=1_000_000)
ERRORS = st.sampled_from([None, ValueError(), asyncio.CancelledError(), GeneratorExit()])
TIMES = st.integers(min_value=1, max_value=2)


class Events(RuleBasedStateMachine):
    """LangChain with two handlers of one recorder; what it tells them, and what must be in the ledger for it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.ledger = MemoryLedger()
        recorder = Recorder(self.ledger, clock=self.clock)
        self.handlers = [CostCallbackHandler(recorder), CostCallbackHandler(recorder)]
        self.made = 0
        self.chains: list[UUID] = []
        self.calls: list[UUID] = []
        self.roots: dict[UUID, UUID] = {}
        self.told: Counter[str] = Counter()

    def _new(self, parent: int | None) -> tuple[UUID, UUID | None]:
        self.made += 1
        run_id = UUID(int=self.made)
        above = self.chains[parent % len(self.chains)] if self.chains and parent is not None else None
        self.roots[run_id] = run_id if above is None else self.roots[above]
        return run_id, above

    @rule(parent=st.none() | PICK, times=TIMES)
    def a_chain_begins(self, parent: int | None, times: int) -> None:
        run_id, above = self._new(parent)
        self.chains.append(run_id)
        for handler in self.handlers[:times]:
            handler.on_chain_start({}, {}, run_id=run_id, parent_run_id=above)

    @rule(parent=st.none() | PICK, times=TIMES)
    def a_call_begins(self, parent: int | None, times: int) -> None:
        run_id, above = self._new(parent)
        self.calls.append(run_id)
        for handler in self.handlers[:times]:
            handler.on_chat_model_start({}, [[]], run_id=run_id, parent_run_id=above, metadata=GPT_4O)

    @rule(pick=PICK, error=ERRORS, times=TIMES)
    def a_chain_ends(self, pick: int, error: BaseException | None, times: int) -> None:
        if not self.chains:
            return
        run_id = self.chains[pick % len(self.chains)]
        for handler in self.handlers[:times]:
            if error is None:
                handler.on_chain_end({}, run_id=run_id)
            else:
                handler.on_chain_error(error, run_id=run_id)

    @rule(pick=PICK, error=ERRORS, times=TIMES)
    def a_call_ends(self, pick: int, error: BaseException | None, times: int) -> None:
        if not self.calls:
            return
        run_id = self.calls[pick % len(self.calls)]
        self.told[str(run_id)] += 1
        for handler in self.handlers[:times]:
            if error is None:
                handler.on_llm_end(LLMResult(generations=[]), run_id=run_id)
            else:
                handler.on_llm_error(error, run_id=run_id)

    @rule(seconds=st.sampled_from([1, 120, 90_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds * SECOND
        self.handlers[0].sweep()

    @rule()
    def it_is_closed(self) -> None:
        self.handlers[0].close()
        assert self.handlers[1].open_runs == 0

    @invariant()
    def no_call_has_two_entries_but_for_a_late_end(self) -> None:
        found = Counter((entry.source_id or "", entry.replaces) for entry in entries(self.ledger))
        assert not found or max(found.values()) == 1
        for source_id, replaces in found:
            if replaces is not None:
                assert found[source_id, None] == 1
                assert self.told[source_id] >= 1

    @invariant()
    def every_call_below_a_root_is_of_its_message(self) -> None:
        for entry in entries(self.ledger):
            run_id = UUID(entry.source_id or "")
            assert entry.message_uuid == str(self.roots[run_id])

    def teardown(self) -> None:
        self.handlers[0].close()
        assert self.handlers[0].open_runs == 0
        recorded = {entry.source_id for entry in entries(self.ledger)}
        assert recorded >= {str(run_id) for run_id in self.calls}
        assert self.handlers[0].recorder.health().faults == 0


TestEvents = Events.TestCase
TestEvents.settings = settings(max_examples=150, stateful_step_count=40)
