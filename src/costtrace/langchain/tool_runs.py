"""Runs of tools as entries: when, how long, how they ended. Nothing of what went in or came out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from langchain_core.messages import ToolMessage

from costtrace.entry import Entry, Kind, Status
from costtrace.langchain.runs import Step
from costtrace.times import from_micros
from costtrace.tracing import span_ref

INTERRUPTED: Final = "interrupted"
"""A graph stopped to ask somebody; the step runs again when it goes on."""
HANDLED: Final = "tool_error"
"""The tool failed, and turned that into an answer for the model: of which class the failure was is not reported."""


def failure_of(error: BaseException) -> tuple[str, str | None]:
    """How a run ended that raised this: its status, and the class of a failure."""
    if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
        return Status.CANCELLED, None
    if any(base.__name__ == "GraphBubbleUp" for base in type(error).__mro__):  # how LangGraph stops a graph
        return INTERRUPTED, None
    return Status.FAILED, type(error).__name__


def result_of(output: object) -> tuple[str, str | None]:
    """How a tool ended that returned this."""
    failed = isinstance(output, ToolMessage) and output.status == "error"
    return (Status.FAILED, HANDLED) if failed else (Status.COMPLETED, None)


def tool_run(step: Step, *, status: str, error: str | None, end_ns: int | None, now: datetime, late: bool) -> Entry:
    """The entry of a tool's run; `late` is that of one which was given up before."""
    start_us = step.start_ns // 1000
    entry_id = f"{Kind.TOOL_RUN}/{step.run_id}/{start_us}"
    details: dict[str, Any] = {"tool": step.name, **_known(step)}
    if late:
        details |= {"late": True, "corrects": entry_id}
        entry_id = f"{Kind.TOOL_RUN}/{step.run_id}/late/{start_us}"
    return Entry(
        entry_id=entry_id,
        message_uuid=step.message_uuid,
        kind=Kind.TOOL_RUN,
        status=status,
        occurred_at=from_micros(start_us),
        recorded_at=now,
        duration_us=None if end_ns is None else max(end_ns - step.start_ns, 0) // 1000,
        source_id=str(step.run_id),
        context=step.context,
        span=None if step.span is None else span_ref(step.span),
        error=error,
        details=details,
    )


def _known(step: Step) -> Mapping[str, Any]:
    found = {"message_from": "run"} if step.source == "run" else {}
    if step.parent_run_id is not None:
        found["parent_run_id"] = str(step.parent_run_id)
    if step.tool_call_id is not None:
        found["tool_call_id"] = step.tool_call_id
    return found
