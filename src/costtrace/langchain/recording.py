"""From what LangChain reports of runs to entries and spans: what a handler does, without its hooks.

Nothing is kept but open runs by run id: no prompt, no answer and nothing "current".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast
from uuid import UUID

from langchain_core.outputs import LLMResult

from costtrace.entry import NO_DETAILS, Entry, Status
from costtrace.langchain.belonging import message_of
from costtrace.langchain.custom_events import cost_of, is_first_sight, values_left_out
from costtrace.langchain.described import request_attributes, shown_of
from costtrace.langchain.open_runs import table_of
from costtrace.langchain.plain import plain_answer
from costtrace.langchain.price_context import price_context, usage_of
from costtrace.langchain.requests import asked_for
from costtrace.langchain.results import Answer, completed, failed
from costtrace.langchain.runs import Call, Chain, Run, Step
from costtrace.langchain.shortcut import Shortcut
from costtrace.langchain.spans import RunSpans, in_agent, note_failure
from costtrace.langchain.tool_runs import tool_run
from costtrace.recorder import Recorder
from costtrace.responses import text
from costtrace.times import from_micros
from costtrace.tracing import names

NO_MESSAGES: Final[list[list[Any]]] = []


class Recording:
    """The open runs of one ledger, and the recorder that their ends are written down by."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.runs = table_of(recorder, _give_up)
        self.spans = RunSpans(recorder.tracing)
        self.shortcut = Shortcut(recorder)

    def begin_run(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any],
        kwargs: Mapping[str, Any],
        *,
        serialized: Mapping[str, Any] | None,
        operation: str | None = None,
    ) -> None:
        """A chain began, or the tool or retriever that `operation` says; `kwargs` are those of the hook."""
        parent = self.runs.chain(parent_run_id)
        belongs = message_of(metadata, parent, run_id)
        root = None if parent is None else parent.root or parent
        chain = Chain(*belongs, root, in_agent=in_agent(metadata))
        wanted, tags = self.spans.wanted(parent), kwargs.get("tags") or ()
        shown = wanted and self.spans.shown_as(operation, kwargs.get("name"), metadata, tags, parent)
        if not shown and operation != names.EXECUTE_TOOL:
            chain.place = None if parent is None else parent.place
            self.runs.open_chain(run_id, chain)
            return
        step = Step(
            run_id,
            parent_run_id,
            *belongs,
            start_ns=self.recorder.clock(),
            name=_name(kwargs, serialized),
            operation=shown or names.EXECUTE_TOOL,
            recorder=self.recorder,
            root=root,
            tool_call_id=text(kwargs.get("tool_call_id")),
        )
        if self.runs.open_chain(run_id, chain, step) and wanted:
            self.spans.begin_step(step, chain, parent, tags)

    def end_run(self, run_id: UUID, status: str, error: str | None = None) -> None:
        """It ended so; `error` is the class of a failure."""
        runs = self.runs
        chain = runs.chain(run_id)
        step = runs.close_chain(run_id, cancelled=status == Status.CANCELLED)
        late = step is None and runs.awaits(run_id)
        if late:
            _, given_up = runs.closed_run(run_id)
            step = given_up if isinstance(given_up, Step) else None
        if step is not None:
            self._record_step(step, chain, status, error, step.recorder.clock(), late=late)
            if status == Status.FAILED:
                note_failure(runs.chain(step.parent_run_id), step)

    def cost_event(self, data: Any, run_id: UUID, metadata: Mapping[str, Any] | None) -> None:
        """Somebody inside that run said what something cost. Raises InvalidValue for what cannot be right."""
        if not is_first_sight(self.recorder.ledger.name, data, metadata):
            return
        chain = self.runs.chain(run_id)
        with values_left_out():
            said = cost_of(data)
            if "message_uuid" not in said:
                belongs = message_of(metadata or {}, chain, run_id)
                said["message_uuid"], said["context"], source = belongs
                if source == "run":
                    said["details"] = {**said.get("details", NO_DETAILS), "message_from": "run"}
            entry = self.recorder.record_cost(**said)
        if chain is not None and chain.place is not None:
            chain.place.bill.add_once(entry)

    def _record_step(
        self, step: Step, chain: Chain | None, status: str, error: str | None, end_ns: int | None, *, late: bool = False
    ) -> None:
        recorder = step.recorder
        now_ns = recorder.clock() if end_ns is None else end_ns
        if step.operation == names.EXECUTE_TOOL:
            now = from_micros(now_ns // 1000)
            recorder.record(tool_run(step, status=status, error=error, end_ns=end_ns, now=now, late=late))
        place = None if chain is None else chain.place
        self.spans.end_step(step, place, status=status, error=error, end_ns=now_ns)

    def begin_call(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: Mapping[str, Any],
        kwargs: Mapping[str, Any],
        *,
        serialized: Mapping[str, Any],
        messages: list[list[Any]] = NO_MESSAGES,
        operation: str = names.CHAT,
    ) -> None:
        """A model was called."""
        parent = None if parent_run_id is None else self.runs.chain(parent_run_id)
        options = kwargs.get("invocation_params") or {}
        provider = text(metadata.get("ls_provider") or options.get("_type"))  # a text model's batch has no ls_ keys
        call = Call(
            run_id,
            parent_run_id,
            *message_of(metadata, parent, run_id),
            start_ns=self.recorder.clock(),
            provider=provider,
            model=text(metadata.get("ls_model_name") or options.get("model") or options.get("model_name")),
            asked=asked_for(provider, serialized, messages, options),
            recorder=self.recorder,
            root=None if parent is None else parent.root or parent,
            operation=operation,
        )
        if self.runs.open_run(call) and self.spans.wanted(parent):
            said = request_attributes(options, call.asked)
            self.spans.begin_call(call, parent, said, kwargs.get("tags") or ())

    def end_call(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        result: LLMResult | None,
        error: BaseException | None = None,
    ) -> None:
        """It ended with a result, or with an error and the part of a result that had come."""
        runs = self.runs
        call = runs.close_call(run_id)
        late = False
        if call is None:
            seen, given_up = runs.closed_run(run_id)
            if seen and given_up is None:
                return  # the same end, seen twice
            late = given_up is not None
            call = given_up if isinstance(given_up, Call) else self._unannounced(run_id, parent_run_id)
        duration_us = max(self.recorder.clock() - call.start_ns, 0) // 1000
        plain = None
        if error is None and result is not None and not late:
            plain = plain_answer(result)
            if plain is not None and self.shortcut.took(call, plain, duration_us, result):
                return
        answer = self._read(call, result, error)
        entry = self._record(call, answer, duration_us, late=late, result=result)
        if plain is not None:
            self.shortcut.learn(call, plain, entry)
        if answer.status == Status.FAILED:
            note_failure(runs.chain(call.parent_run_id), call)

    def _read(self, call: Call, result: LLMResult | None, error: BaseException | None) -> Answer:
        """What the result says; a result that cannot be read must not cost us the entry."""
        try:
            if error is not None:
                return failed(error, result, call.provider)
            return completed(cast("LLMResult", result), call.provider)
        except Exception:  # noqa: BLE001 - a result may come from any integration, in any shape
            self.recorder.fault("reading a result")
            return Answer(Status.COMPLETED if error is None else Status.FAILED, None)

    def _record(
        self,
        call: Call,
        answer: Answer,
        duration_us: int | None,
        *,
        late: bool = False,
        result: LLMResult | None = None,
    ) -> Entry:
        details: dict[str, Any] = {"message_from": "run"} if call.source == "run" else {}
        if call.parent_run_id is not None:
            details["parent_run_id"] = str(call.parent_run_id)
        if call.operation != names.CHAT:
            details["operation"] = call.operation
        if answer.note:
            details["usage"] = answer.note
        entry = call.recorder.record_call(
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
            usage=usage_of(call.asked, answer),
            refused=answer.refused,
            late=late,
            error=answer.error,
            span=call.span,
            shown=shown_of(call, result),
            price_context=price_context(call.asked, answer),
            details=details,
        )
        if call.place is not None:
            call.place.bill.add(entry)
        return entry

    def give_up(self, run: Run, status: str) -> None:
        """Nobody reported its end."""
        if isinstance(run, Call):
            self._record(run, Answer(status, None), None)
        else:
            self._record_step(run, self.runs.chain(run.run_id), status, None, None)

    def _unannounced(self, run_id: UUID, parent_run_id: UUID | None) -> Call:
        """An end without a start: LangChain skips starts for some handlers (async text models beside an inline one)."""
        now = self.recorder.clock()
        belongs = message_of({}, self.runs.chain(parent_run_id), run_id)
        return Call(
            run_id, parent_run_id, *belongs, start_ns=now, provider=None, model=None, asked=None, recorder=self.recorder
        )


def _name(kwargs: Mapping[str, Any], serialized: Mapping[str, Any] | None) -> str:
    return text(kwargs.get("name")) or text((serialized or {}).get("name")) or "unnamed"


def _give_up(run: Run, status: str) -> None:
    try:
        Recording(run.recorder).give_up(run, status)
    except Exception:  # noqa: BLE001 - it runs wherever a run is given up, in a hook or in a thread of ours
        run.recorder.fault("giving up a run")
