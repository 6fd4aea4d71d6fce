"""What costtrace's handler holds: per run in flight, after their end, and of cancelled runs. Prints bytes per run as
JSON.

Everything is done once before it is measured, so that what is kept in a fixed size, whatever the number of runs, is
there already.
"""

import asyncio
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any
from uuid import UUID

from _ours import recorder
from _workloads import InProcessChatModel
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatResult, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import PrivateAttr

from costtrace import CostCallbackHandler

RUNS = 10_000
_AT_ONCE = 500
_HOUR_NS = 3600 * 1_000_000_000


class _MovableClock:
    """The real time, plus what a test of long waits adds to it."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead_ns


class _NeverAnswers(InProcessChatModel):
    """A model whose answer is still on its way when the application gives up."""

    _asked: asyncio.Semaphore = PrivateAttr(default_factory=lambda: asyncio.Semaphore(0))

    async def asked(self, times: int) -> None:
        """Wait until that many more calls wait for their answer."""
        for _ in range(times):
            await self._asked.acquire()

    async def _agenerate(
        self,
        messages: list[BaseMessage],  # noqa: ARG002  (the base class's signature)
        stop: list[str] | None = None,  # noqa: ARG002  (the base class's signature)
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002  (the base class's signature)
        **kwargs: Any,  # noqa: ARG002  (the base class's signature)
    ) -> ChatResult:
        self._asked.release()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets that event")


def _run_id(number: int) -> UUID:
    return UUID(int=(1 << 127) + number)


def _start_all(handler: CostCallbackHandler) -> None:
    for number in range(RUNS):
        handler.on_chat_model_start(
            {"lc": 1, "type": "constructor", "id": ["langchain", "chat_models", "openai", "ChatOpenAI"]},
            [[HumanMessage("hello")]],
            run_id=_run_id(number),
            metadata={"ls_provider": "openai", "ls_model_name": "gpt-4o", "ls_model_type": "chat"},
            invocation_params={"model": "gpt-4o", "stream": False},
        )


def _end_all(handler: CostCallbackHandler) -> None:
    result = InProcessChatModel()._generate([])  # noqa: SLF001  (the answer alone is wanted, not a call)
    answer = LLMResult(generations=[list(result.generations)], llm_output=result.llm_output)
    for number in range(RUNS):
        handler.on_llm_end(answer, run_id=_run_id(number))
    handler.recorder.ledger.flush()


def _cancel_all(handler: CostCallbackHandler, *, in_a_chain: bool) -> None:
    async def one_batch() -> None:
        model = _NeverAnswers()
        runnable: Runnable[Any, Any] = RunnableLambda(_identity) | model if in_a_chain else model
        config: RunnableConfig = {"callbacks": [handler]}
        calls = [asyncio.ensure_future(runnable.ainvoke("hello", config=config)) for _ in range(_AT_ONCE)]
        await model.asked(_AT_ONCE)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    for _ in range(RUNS // _AT_ONCE):
        asyncio.run(one_batch())


def _grown(work: Callable[[], None]) -> float:
    """Bytes per run that the work leaves behind."""
    before = _traced()
    work()
    return (_traced() - before) / RUNS


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _held_and_left(begin: Callable[[], None], finish: Callable[[], None]) -> tuple[float, float]:
    """Bytes per run held between beginning and finish, and left after the finish."""
    begin()
    finish()
    held = _grown(begin)
    return held, held + _grown(finish)


def measure() -> dict[str, float]:
    clock = _MovableClock()
    tracemalloc.start()
    with recorder(clock=clock) as opened:
        handler = CostCallbackHandler(opened)

        def sweep() -> None:
            clock.ahead_ns += _HOUR_NS
            handler.sweep()
            opened.ledger.flush()

        in_flight, after_end = _held_and_left(lambda: _start_all(handler), lambda: _end_all(handler))
        in_chains, after_sweep = _held_and_left(lambda: _cancel_all(handler, in_a_chain=True), sweep)
        open_after_sweep = handler.open_runs
        bare, after_close = _held_and_left(lambda: _cancel_all(handler, in_a_chain=False), handler.close)
        return {
            "in_flight": in_flight,
            "after_end": after_end,
            "cancelled_in_chains": in_chains,
            "after_sweep": after_sweep,
            "open_after_sweep": open_after_sweep,
            "cancelled_bare": bare,
            "after_close": after_close,
            "open_after_close": handler.open_runs,
        }


def _identity(question: str) -> str:
    return question


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure()) + "\n")
