"""CostCallbackHandler: from LangChain's callbacks to recorded calls.

Synchronous and inline, because an answer that the handler has seen must be in the ledger before the application goes
on, and because LangChain hands a non-inline handler every streamed token through an executor. Every hook is total: a
fault in here is counted and logged by the recorder, and the application never hears of it.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult

from costtrace.context import MESSAGE_UUID, NOTHING, TEXT_FIELDS, Context, current_message
from costtrace.entry import NO_DETAILS, Status
from costtrace.langchain.custom_events import COST_EVENT, cost_of, is_first_sight, values_left_out
from costtrace.langchain.requests import asked_for
from costtrace.langchain.results import Answer, completed, failed
from costtrace.langchain.runs import Call, Chain, RunTable
from costtrace.recorder import Recorder
from costtrace.responses import text
from costtrace.usage import Usage, flagged

Hook = TypeVar("Hook", bound=Callable[..., None])

NO_MESSAGES: Final[list[list[Any]]] = []
_THREAD_KEYS: Final = ("thread_id", "conversation_id", "session_id")
_CONTEXT_KEYS: Final = frozenset({*TEXT_FIELDS, *_THREAD_KEYS})


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
        self._runs = _runs_of(recorder)

    def __copy__(self) -> CostCallbackHandler:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CostCallbackHandler:
        return self

    @property
    def open_runs(self) -> int:
        """How many runs have started and not ended."""
        return len(self._runs)

    def sweep(self) -> None:
        """Close the calls whose root has ended and whose time is over."""
        self._runs.give_up_overdue()

    def close(self) -> None:
        """Close every open call as abandoned and store what waits."""
        self._runs.give_up_all()
        self.recorder.flush()

    @_total
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
        self._start(run_id, parent_run_id, metadata or {}, kwargs, serialized=serialized, messages=messages)

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
        self._start(run_id, parent_run_id, metadata or {}, kwargs, serialized=serialized)

    @_total
    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model answered, or LangChain's cache did."""
        self._end(run_id, kwargs.get("parent_run_id"), lambda sold_by: completed(response, sold_by), Status.COMPLETED)

    @_total
    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A call failed, or its stream was given up."""
        result = kwargs.get("response")
        self._end(run_id, kwargs.get("parent_run_id"), lambda sold_by: failed(error, result, sold_by), Status.FAILED)

    @_total
    def on_chain_start(
        self,
        *args: Any,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Remember whose runs are below this one."""
        self._open_chain(run_id, parent_run_id, metadata)

    on_tool_start = on_chain_start
    on_retriever_start = on_chain_start

    @_total
    def on_chain_end(self, *args: Any, run_id: UUID, **kwargs: Any) -> None:
        """It ended."""
        self._runs.close_chain(run_id)

    on_tool_end = on_chain_end
    on_retriever_end = on_chain_end

    @_total
    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It failed or was cancelled; LangChain then says nothing of the calls that were cancelled with it."""
        self._runs.close_chain(run_id, cancelled=isinstance(error, (asyncio.CancelledError, GeneratorExit)))

    on_tool_error = on_chain_error
    on_retriever_error = on_chain_error

    @_total
    def on_custom_event(
        self, name: str, data: Any, *, run_id: UUID, metadata: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Somebody inside a run has dispatched an event; one named `COST_EVENT` says what something cost."""
        if name == COST_EVENT:
            self._record_cost(data, run_id, metadata)

    def _record_cost(self, data: Any, run_id: UUID, metadata: Mapping[str, Any] | None) -> None:
        if not is_first_sight(self.recorder.ledger.name, data, metadata):
            return
        with values_left_out():
            said = cost_of(data)
            if "message_uuid" not in said:
                said["message_uuid"], said["context"], source = self.belongs_to(run_id, metadata or {}, run_id)
                if source == "run":
                    said["details"] = {**said.get("details", NO_DETAILS), "message_from": "run"}
            self.recorder.record_cost(**said)

    def belongs_to(
        self, parent_run_id: UUID | None, metadata: Mapping[str, Any], own_id: UUID
    ) -> tuple[str, Context, str]:
        """The message of something that happened inside that run, with its context and where that was learnt.

        `own_id` names the message where none is known: then the last word is ``run``.
        """
        return self._message(metadata, self._runs.chain(parent_run_id), own_id)

    def _open_chain(self, run_id: UUID, parent_run_id: UUID | None, metadata: Mapping[str, Any] | None) -> None:
        parent = self._runs.chain(parent_run_id)
        uuid, context, source = self._message(metadata or {}, parent, run_id)
        root = None if parent is None else parent.root or parent
        self._runs.open_chain(run_id, Chain(uuid, context, source, root))

    def _start(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any],
        kwargs: Mapping[str, Any],
        *,
        serialized: Mapping[str, Any],
        messages: list[list[Any]] = NO_MESSAGES,
    ) -> None:
        parent = self._runs.chain(parent_run_id)
        uuid, context, source = self._message(metadata, parent, run_id)
        options = kwargs.get("invocation_params") or {}
        provider = text(metadata.get("ls_provider") or options.get("_type"))  # a text model's batch has no ls_ keys
        call = Call(
            run_id=run_id,
            parent_run_id=parent_run_id,
            message_uuid=uuid,
            context=context,
            source=source,
            start_ns=self.recorder.clock(),
            provider=provider,
            model=text(metadata.get("ls_model_name") or options.get("model") or options.get("model_name")),
            asked=asked_for(provider, serialized, messages, options),
            recorder=self.recorder,
            root=None if parent is None else parent.root or parent,
        )
        if self._runs.open_call(call):
            call.span = self.recorder.tracing.start_call(
                provider=call.provider, model=call.model, message_uuid=uuid, start_ns=call.start_ns
            )

    def _end(
        self, run_id: UUID, parent_run_id: UUID | None, read: Callable[[str | None], Answer], otherwise: str
    ) -> None:
        runs = self._runs_awaiting(run_id)
        call = runs.close_call(run_id)
        late = False
        if call is None:
            seen, given_up = runs.closed_call(run_id)
            if seen and given_up is None:
                return  # the same end, seen twice
            late = given_up is not None
            call = given_up or self._unannounced(run_id, parent_run_id)
        duration_us = max(self.recorder.clock() - call.start_ns, 0) // 1000
        self._record(call, self._read(read, call, otherwise), duration_us, late=late)

    def _runs_awaiting(self, run_id: UUID) -> RunTable:
        return self._runs

    def _read(self, read: Callable[[str | None], Answer], call: Call, otherwise: str) -> Answer:
        """What the result says; a result that cannot be read must not cost us the entry."""
        try:
            return read(call.provider)
        except Exception:  # noqa: BLE001 - a result may come from any integration, in any shape
            self.recorder.fault("reading a result")
            return Answer(otherwise, None)

    def _record(self, call: Call, answer: Answer, duration_us: int | None, *, late: bool = False) -> None:
        details: dict[str, Any] = {"message_from": "run"} if call.source == "run" else {}
        if call.parent_run_id is not None:
            details["parent_run_id"] = str(call.parent_run_id)
        if answer.note:
            details["usage"] = answer.note
        call.recorder.record_call(
            run_id=str(call.run_id),
            message_uuid=call.message_uuid,
            context=call.context,
            status=answer.status,
            start_us=call.start_ns // 1000,
            duration_us=duration_us,
            provider=call.provider or answer.provider,
            model=answer.model or call.model,
            requested_model=call.model,
            service_tier=answer.service_tier,
            usage=_usage(call, answer),
            refused=answer.refused,
            late=late,
            error=answer.error,
            span=call.span,
            price_context=_price_context(call, answer),
            details=details,
        )

    @_total
    def _give_up(self, call: Call) -> None:
        """Nobody reported its end."""
        self._record(call, Answer(call.verdict, None), None)

    def _unannounced(self, run_id: UUID, parent_run_id: UUID | None) -> Call:
        """An end without a start: LangChain skips starts for some handlers (async text models beside an inline one)."""
        uuid, context, source = self._message({}, self._runs.chain(parent_run_id), run_id)
        now = self.recorder.clock()
        return Call(run_id, parent_run_id, uuid, context, source, now, None, None, None, self.recorder)

    def _message(self, metadata: Mapping[str, Any], parent: Chain | None, run_id: UUID) -> tuple[str, Context, str]:
        scope = current_message()
        named = text(metadata.get(MESSAGE_UUID))
        if named is not None and not (
            scope is not None and scope.inside(named)
        ):  # metadata is inherited: see `message`
            known = NOTHING
            if scope is not None and scope.uuid == named:
                known = scope.context
            elif parent is not None and parent.message_uuid == named:
                known = parent.context
            return named, _context(metadata, known), "metadata"
        if scope is not None:
            return scope.uuid, _context(metadata, scope.context), "scope"
        if parent is not None:
            return (
                parent.message_uuid,
                _context(metadata, parent.context),
                "run" if parent.source == "run" else "parent",
            )
        return str(run_id), _context(metadata, NOTHING), "run"


def _context(metadata: Mapping[str, Any], known: Context) -> Context:
    """What the metadata says, and where it is silent what is known already."""
    if _CONTEXT_KEYS.isdisjoint(metadata):
        return known
    said = {name: text(metadata[name]) for name in TEXT_FIELDS if name in metadata}
    said["thread_id"] = next(filter(None, (text(metadata.get(key)) for key in _THREAD_KEYS)), None)
    for name, value in said.items():
        if value is not None and getattr(known, name) != value:
            return Context(**cast("dict[str, Any]", said)).over(known)
    return known


def _usage(call: Call, answer: Answer) -> Usage | None:
    usage = answer.usage
    if usage is None or call.asked is None or call.asked.flag is None:
        return usage
    return flagged(usage, call.asked.flag)


def _price_context(call: Call, answer: Answer) -> Mapping[str, Any]:
    """What request and answer say that selects a rate; the answer knows better."""
    if call.asked is None and not answer.context and not answer.reported:
        return NO_DETAILS
    said: dict[str, Any] = {}
    if call.asked is not None:
        said.update(call.asked.context)
        if answer.service_tier is None and call.asked.service_tier is not None:
            said["requested_service_tier"] = call.asked.service_tier
    said.update(answer.context)
    if answer.reported:
        said["provider_reported"] = answer.reported
    if "cache_ttl" in said and (answer.usage is None or "cache_write" not in answer.usage.buckets):
        del said["cache_ttl"]  # the answer says itself how long each write is kept, or nothing was written
    return said


_tables: Final[dict[str, RunTable]] = {}
_tables_lock: Final = threading.RLock()


def _runs_of(recorder: Recorder) -> RunTable:
    """The open runs of a ledger: shared by all handlers that write to it, so that two of them record a call once."""
    with _tables_lock:
        if recorder.ledger.name not in _tables:
            _tables[recorder.ledger.name] = RunTable(recorder.clock, _give_up)
        return _tables[recorder.ledger.name]


def _give_up(call: Call) -> None:
    CostCallbackHandler(call.recorder)._give_up(call)  # noqa: SLF001 - our own


def _at_exit() -> None:
    for table in list(_tables.values()):
        table.give_up_all()


def _after_fork() -> None:
    for table in list(_tables.values()):
        table.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
