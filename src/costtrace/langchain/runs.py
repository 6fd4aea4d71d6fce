"""What is remembered of a LangChain run between its start and its end."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from opentelemetry.trace import Span, SpanContext

from costtrace.context import Context
from costtrace.langchain.requests import Asked
from costtrace.recorder import Recorder
from costtrace.tracing import Place
from costtrace.tracing.names import CHAT


@dataclass(slots=True)
class Chain:
    """A run that is no model call: it passes its message, and its place in the trace, on to the runs below it."""

    message_uuid: str
    context: Context
    source: str
    root: Chain | None
    runs: dict[int, Call | Step] | None = None
    """Only on a root: what is open below it."""
    place: Place | None = None
    """Where in the trace the runs below it hang; None where nothing is shown."""
    in_agent: bool = False
    """Whether it is an agent, or part of one."""
    attempt: SpanContext | None = None
    """The span of the attempt directly below it that failed last."""


@dataclass(slots=True)
class Step:
    """A chain that is shown, or a tool: its end is of interest."""

    run_id: UUID
    parent_run_id: UUID | None
    message_uuid: str
    context: Context
    source: str
    start_ns: int
    name: str
    operation: str
    """One of `costtrace.tracing.names.OPERATIONS`."""
    recorder: Recorder
    """Kept alive by its open runs: one that nobody else holds still has to write them down."""
    root: Chain | None = None
    """None on a root itself."""
    tool_call_id: str | None = None
    span: Span | None = None


@dataclass(slots=True)
class Call:
    """A model call that was started."""

    run_id: UUID
    parent_run_id: UUID | None
    message_uuid: str
    context: Context
    source: str
    """Where the message came from: metadata, scope, parent or run."""
    start_ns: int
    provider: str | None
    model: str | None
    asked: Asked | None
    """What the request says that selects a rate, if anything."""
    recorder: Recorder
    """Kept alive by its open runs: one that nobody else holds still has to write them down."""
    root: Chain | None = None
    operation: str = CHAT
    place: Place | None = None
    """Where in the trace it hangs, not its own place."""
    span: Span | None = None


Run = Call | Step
