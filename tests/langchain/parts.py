"""Parts a test can put in: a clock that it sets, a ledger that announces, a model whose streams begin with usage."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from queue import SimpleQueue
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGenerationChunk, ChatResult

from costtrace import Entry
from costtrace.testing import MemoryLedger

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
START = 1_795_300_000 * SECOND
"""22 November 2026."""


class Clock:
    """Nanoseconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class AnnouncingLedger(MemoryLedger):
    """Puts each entry on a queue as well, so that a test can wait for one that a timer writes."""

    def __init__(self) -> None:
        super().__init__()
        self._arrivals: SimpleQueue[Entry] = SimpleQueue()

    def spool(self, entry: Entry) -> None:
        super().spool(entry)
        self._arrivals.put(entry)

    def arrival(self) -> Entry:
        return self._arrivals.get(timeout=20)


class EarlyUsage(BaseChatModel):
    """Tells the input tokens with its first piece and the output tokens with its last, as no client does at present.

    Before the last piece it raises the `failure`, if one is given, or halts for good.
    """

    failure: Exception | None = None
    halts: bool = False

    @property
    def _llm_type(self) -> str:
        return "early-usage"

    def _get_ls_params(self, stop: list[str] | None = None, **_: Any) -> LangSmithParams:  # noqa: ARG002 - LangChain's name
        return LangSmithParams(ls_provider="openai", ls_model_name="gpt-4o", ls_model_type="chat")

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        yield self._piece("It is ", input_tokens=1000)
        if self.failure is not None:
            raise self.failure
        yield self._piece("sunny.", output_tokens=500)

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for piece in self._stream():
            yield piece
            if self.halts:
                await asyncio.Event().wait()

    def _piece(self, text: str, *, input_tokens: int = 0, output_tokens: int = 0) -> ChatGenerationChunk:
        usage = UsageMetadata(
            input_tokens=input_tokens, output_tokens=output_tokens, total_tokens=input_tokens + output_tokens
        )
        return ChatGenerationChunk(message=AIMessageChunk(content=text, usage_metadata=usage))
