"""How the runs of LangChain are shown as spans.

Each hangs below the nearest run above it that is shown, which its parent's run id leads to, whatever thread or task it
runs in; the ambient span is asked only where nothing is above, or where the application opened one of its own inside
the run (`costtrace.tracing.places.parent_context`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from costtrace.entry import Status
from costtrace.langchain.instrumentations import warn_of_others
from costtrace.langchain.open_runs import give_up_before_spans
from costtrace.langchain.runs import Call, Chain, Step
from costtrace.langchain.tool_runs import INTERRUPTED
from costtrace.tracing import Place, Tracing, names
from costtrace.tracing.attributes import OPENINFERENCE_KINDS, provider_name
from costtrace.tracing.places import parent_context, place_of

_AGENT: Final = "langchain_create_agent"
"""What `langchain.agents.create_agent` puts into its metadata as ``ls_integration``; all below it inherits that."""
_HIDDEN: Final = "langsmith:hidden"
"""How LangChain tags runs that are its own business."""
_NODE: Final = "graph:step:"
_RETRIED: Final = "retry:attempt:"
"""How `with_retry` tags every attempt but the first; all attempts have the same parent."""
_NAMED: Final[Mapping[str, str]] = {
    names.INVOKE_WORKFLOW: names.WORKFLOW_NAME,
    names.INVOKE_AGENT: names.AGENT_NAME,
    names.EXECUTE_TOOL: names.TOOL_NAME,
}
_ENDINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    Status.CANCELLED: {names.CANCELLED: True},
    Status.ABANDONED: {names.ABANDONED: True},
    INTERRUPTED: {names.INTERRUPTED: True},
}


class RunSpans:
    """Starts and ends the spans of runs, below those that are shown already."""

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._looked_around = False

    def wanted(self, parent: Chain | None) -> bool:
        """Whether a run below that one may be shown; all runs below one root are, or none is."""
        return self._tracing.active if parent is None else parent.place is not None

    def shown_as(
        self,
        operation: str | None,
        name: object,
        metadata: Mapping[str, Any],
        tags: Sequence[str],
        parent: Chain | None,
    ) -> str | None:
        """The operation that a run is shown as, which a tool and a retriever are given; None for one that is not."""
        if operation == names.EXECUTE_TOOL:
            return operation
        if operation is None and is_agent(name, metadata, tags, parent):
            return names.INVOKE_AGENT
        inner = parent is not None and (not self._tracing.shows_all or _HIDDEN in tags)
        return None if inner else operation or names.INVOKE_WORKFLOW

    def begin_step(self, step: Step, chain: Chain, parent: Chain | None, tags: Sequence[str]) -> None:
        """Show a chain or a tool that began here and now."""
        said = self._common(step)
        if step.operation in _NAMED:
            said[_NAMED[step.operation]] = step.name
        if step.tool_call_id is not None:
            said[names.TOOL_CALL_ID] = step.tool_call_id
        above = self._above(parent)
        links = _earlier_attempt(parent, tags)
        name = f"{step.operation} {step.name}"
        self._start(step, name, SpanKind.INTERNAL, parent=parent_context(above), links=links, said=said)
        chain.place = above if step.span is None else place_of(step.span, step.start_ns, above)

    def begin_call(
        self, call: Call, parent: Chain | None, said: Mapping[str, Any] = names.NOTHING, tags: Sequence[str] = ()
    ) -> None:
        """Show a model call that began here and now; `said` is what its request says."""
        known = self._common(call)
        if call.provider:
            known[names.PROVIDER] = provider_name(call.provider)
        if call.model:
            known[names.REQUEST_MODEL] = call.model
        known.update(said)
        call.place = self._above(parent)
        name = f"{call.operation} {call.model}" if call.model else call.operation
        links = _earlier_attempt(parent, tags)
        self._start(call, name, SpanKind.CLIENT, parent=parent_context(call.place), links=links, said=known)

    def end_step(self, step: Step, place: Place | None, *, status: str, error: str | None, end_ns: int) -> None:
        """A chain ended."""
        said = _ENDINGS.get(status, names.NOTHING)
        if step.root is None and place is not None and place.is_root:
            said = {**said, **place.bill.attributes()}
        self._tracing.end(step.span, attributes=said, error=error, end_ns=end_ns)

    def _above(self, parent: Chain | None) -> Place | None:
        """The place to hang a run below. One without a parent may be inside a run too: its callbacks were replaced."""
        return self._tracing.place() if parent is None else parent.place

    def _start(
        self,
        run: Step | Call,
        name: str,
        kind: SpanKind,
        *,
        parent: Context | None,
        links: Sequence[Link],
        said: Mapping[str, Any],
    ) -> None:
        give_up_before_spans()
        run.span = self._tracing.start(
            name,
            kind,
            message_uuid=run.message_uuid,
            attributes=said,
            links=links,
            start_ns=run.start_ns,
            parent=parent,
        )
        if run.span is not None and not self._looked_around:
            self._looked_around = True
            warn_of_others()

    def _common(self, run: Step | Call) -> dict[str, Any]:
        found: dict[str, Any] = {names.OPERATION: run.operation}
        if run.context.thread_id:
            found[names.CONVERSATION] = run.context.thread_id
        if "openinference" in self._tracing.presets:
            found[names.OPENINFERENCE_KIND] = OPENINFERENCE_KINDS[run.operation]
        return found


def is_agent(name: object, metadata: Mapping[str, Any], tags: Sequence[str], parent: Chain | None) -> bool:
    """Whether a chain is the whole of an agent that `create_agent` made.

    Its mark is inherited by everything below it. So it is the run on which the mark appears first, or, for an agent
    inside another's tool, one that bears the name that the metadata says. One without a name inside another cannot be
    told from any other graph there.
    """
    if not in_agent(metadata) or any(tag.startswith(_NODE) for tag in tags):
        return False
    return parent is None or not parent.in_agent or name == metadata.get("lc_agent_name")


def in_agent(metadata: Mapping[str, Any]) -> bool:
    """Whether a run is an agent, or part of one."""
    return metadata.get("ls_integration") == _AGENT


def note_failure(parent: Chain | None, run: Step | Call) -> None:
    """Remember an attempt that failed, for the one that may follow it."""
    if parent is not None and run.span is not None:
        parent.attempt = run.span.get_span_context()


def _earlier_attempt(parent: Chain | None, tags: Sequence[str]) -> Sequence[Link]:
    if parent is None or parent.attempt is None or not any(tag.startswith(_RETRIED) for tag in tags):
        return ()
    return (Link(parent.attempt, {names.LINK_TYPE: names.RETRY_OF}),)
