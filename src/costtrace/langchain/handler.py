"""CostCallbackHandler: from LangChain's callbacks to recorded calls.

Synchronous and inline, because an answer that the handler has seen must be in the ledger before the application goes
on, and because LangChain hands a non-inline handler every streamed token through an executor. Every hook is total: a
fault in here is counted and logged by the recorder, and the application never hears of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from costtrace.entry import Status
from costtrace.langchain.custom_events import COST_EVENT
from costtrace.langchain.recording import Recording
from costtrace.langchain.tool_runs import failure_of, result_of
from costtrace.recorder import Recorder
from costtrace.tracing.names import EXECUTE_TOOL, RETRIEVAL, TEXT_COMPLETION

Hook = TypeVar("Hook", bound=Callable[..., None])


def _total(hook: Hook) -> Hook:
    """Keep every fault of the hook from the application."""

    @functools.wraps(hook)
    def guarded(self: CostCallbackHandler, *args: Any, **kwargs: Any) -> None:
        try:
            hook(self, *args, **kwargs)
        except Exception:  # noqa: BLE001 - the one boundary between us and the host application
            self.recorder.fault(f"handling {hook.__name__}")

    return cast("Hook", guarded)


class CostCallbackHandler(BaseCallbackHandler):
    """Records every model call that LangChain reports to it, under the message it belongs to.

    One handler serves a whole process: it keeps no prompt, no answer and nothing "current", only open runs by run id.
    Attach it by ``config={"callbacks": [handler]}``, in a model's constructor, with ``graph.with_config`` or by
    `costtrace.install`; attached in several ways at once it still records each call once. Handlers of one recorder
    count as one. A call belongs to the message that its ``metadata["message_uuid"]`` names, unless a
    `costtrace.message` was opened inside that one since; else to the open `costtrace.message`, else to that of its
    parent run, else to a message of its own root run.

    Without a recorder, one is made from the environment (see `costtrace.settings`).
    """

    raise_error = False
    run_inline = True
    ignore_retry = True

    def __init__(self, recorder: Recorder | None = None) -> None:
        if recorder is None:
            from costtrace.settings import default_recorder  # noqa: PLC0415 - only this form reads the environment

            recorder = default_recorder()
        self.recorder = recorder
        self.recording = Recording(recorder)
        """What it does with what LangChain tells it; for the other sources of this package."""

    def __copy__(self) -> CostCallbackHandler:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CostCallbackHandler:
        return self

    @property
    def open_runs(self) -> int:
        """How many runs have started and not ended."""
        return len(self.recording.runs)

    def sweep(self) -> None:
        """Close the runs whose root has ended and whose time is over."""
        self.recording.runs.give_up_overdue()

    def close(self) -> None:
        """Close every open run as abandoned and store what waits."""
        self.recording.runs.give_up_all()
        self.recorder.flush()

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model was called."""
        try:  # as `_total` does, which would pack and unpack all of these on the way of every call
            if (recording := self._beginning()) is not None:
                recording.begin_call(
                    run_id, parent_run_id, metadata or {}, kwargs, serialized=serialized, messages=messages
                )
        except Exception:  # noqa: BLE001 - as there
            self.recorder.fault("handling on_chat_model_start")

    @_total
    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A text model was called."""
        if (recording := self._beginning()) is not None:
            recording.begin_call(
                run_id, parent_run_id, metadata or {}, kwargs, serialized=serialized, operation=TEXT_COMPLETION
            )

    def on_llm_end(
        self, response: LLMResult, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """A model answered, or LangChain's cache did."""
        try:  # see `on_chat_model_start`
            if (recording := self._ending(run_id)) is not None:
                recording.end_call(run_id, parent_run_id, response)
        except Exception:  # noqa: BLE001 - as there
            self.recorder.fault("handling on_llm_end")

    @_total
    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """A call failed, or its stream was given up."""
        if (recording := self._ending(run_id)) is not None:
            recording.end_call(run_id, parent_run_id, kwargs.get("response"), error)

    @_total
    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        *args: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chain, a graph or one of its nodes began."""
        if (recording := self._beginning()) is not None:
            recording.begin_run(run_id, parent_run_id, metadata or {}, kwargs, serialized=serialized)

    @_total
    def on_tool_start(
        self,
        serialized: dict[str, Any] | None,
        *args: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool began."""
        if (recording := self._beginning()) is not None:
            recording.begin_run(
                run_id, parent_run_id, metadata or {}, kwargs, serialized=serialized, operation=EXECUTE_TOOL
            )

    @_total
    def on_retriever_start(
        self,
        serialized: dict[str, Any] | None,
        *args: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A search for documents began."""
        if (recording := self._beginning()) is not None:
            recording.begin_run(
                run_id, parent_run_id, metadata or {}, kwargs, serialized=serialized, operation=RETRIEVAL
            )

    @_total
    def on_chain_end(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """It ended."""
        if (recording := self._ending(run_id)) is not None:
            recording.end_run(run_id, Status.COMPLETED)

    on_retriever_end = on_chain_end

    @_total
    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool answered."""
        if (recording := self._ending(run_id)) is not None:
            recording.end_run(run_id, *result_of(output))

    @_total
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It failed or was cancelled; LangChain then says nothing of the calls that were cancelled with it."""
        if (recording := self._ending(run_id)) is not None:
            recording.end_run(run_id, *failure_of(error))

    on_tool_error = on_chain_error
    on_retriever_error = on_chain_error

    @_total
    def on_custom_event(
        self, name: str, data: Any, *, run_id: UUID, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Somebody inside a run has dispatched an event; one named `COST_EVENT` says what something cost."""
        if name == COST_EVENT and (recording := self._beginning()) is not None:
            recording.cost_event(data, run_id, metadata)

    def _beginning(self) -> Recording | None:
        """Where what begins is recorded; None where it is not."""
        return self.recording

    def _ending(self, run_id: UUID) -> Recording | None:
        """Where that run, which ends, was recorded; None where it was not."""
        return self.recording
