"""Spans in memory, drawn as a tree; and a model that answers what the test says, at a price in the open."""

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from costtrace.tracing import names


class Trace(InMemorySpanExporter):
    """What was exported."""

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.get_finished_spans())

    def only(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def tree(self) -> list[str]:
        """One line for each span, indented below its parent, in the order they began."""
        below: dict[int, list[ReadableSpan]] = {}
        known = {id_of(span) for span in self.spans}
        for span in sorted(self.spans, key=lambda span: span.start_time or 0):
            above = span.parent.span_id if span.parent is not None and span.parent.span_id in known else 0
            below.setdefault(above, []).append(span)
        lines: list[str] = []

        def draw(above: int, depth: int) -> None:
            for span in below.get(above, ()):
                lines.append("  " * depth + span.name)
                draw(id_of(span), depth + 1)

        draw(0, 0)
        assert len(lines) == len(self.spans)
        return lines


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def said(span: ReadableSpan, prefix: str = "") -> dict[str, object]:
    return {key: value for key, value in (span.attributes or {}).items() if key.startswith(prefix)}


def check_names(spans: Sequence[ReadableSpan]) -> None:
    """Every key that was written is in the table, and every span of ours says which message it is of."""
    for span in spans:
        if span.instrumentation_scope is None or span.instrumentation_scope.name != "costtrace":
            continue
        assert set(said(span)) <= set(names.ATTRIBUTES)
        assert said(span)[names.MESSAGE_UUID]
        assert {key for link in span.links for key in link.attributes or {}} <= set(names.ATTRIBUTES)


def asks_for(tool: str, **arguments: Any) -> AIMessage:
    """An answer that calls a tool."""
    return AIMessage("", tool_calls=[ToolCall(name=tool, args=arguments, id=f"call_{tool}")])


class Scripted(BaseChatModel):
    """Gives the answers in turn, or raises them, the last one for ever.

    Each takes 1000 tokens in and 500 out of gpt-4o, which OpenAI asks 0.0075 dollars for.
    """

    answers: list[Any] = [AIMessage("Sunny.")]  # noqa: RUF012 - pydantic copies it
    pause_s: float = 0.0
    asked: int = 0

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _get_ls_params(self, stop: list[str] | None = None, **_: Any) -> LangSmithParams:  # noqa: ARG002 - LangChain's name
        return LangSmithParams(ls_provider="openai", ls_model_name="gpt-4o", ls_model_type="chat")

    def bind_tools(self, *_: Any, **__: Any) -> "Scripted":
        return self

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        usage = UsageMetadata(input_tokens=1000, output_tokens=500, total_tokens=1500)
        message = AIMessage(answer.content, tool_calls=answer.tool_calls, usage_metadata=usage)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, *args: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(self.pause_s)
        return self._generate(*args, **kwargs)
