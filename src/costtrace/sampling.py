"""A sampler that follows links, so that a callback is kept exactly when the sending it tells of was.

A callback comes minutes later, in another process, and starts a trace of its own. A sampler that looks at trace ids
alone decides anew about it: of ten sends kept at 10 %, one would have its callback.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from costtrace.errors import MissingExtra

try:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler, SamplingResult
except ImportError:
    raise MissingExtra(package="opentelemetry-sdk", feature="sampling", extra="otel") from None


class LinkedSampler(Sampler):
    """Keeps a root span that links to a sampled one, drops one that links to unsampled ones only; of all others, and of
    spans that have a parent, `delegate` decides.

    A sampler sees the links a span is started with, and no later ones.
    """

    def __init__(self, delegate: Sampler) -> None:
        self._delegate = delegate

    def should_sample(  # noqa: PLR0917 - the SDK calls it so
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """What the links say, or else what `delegate` says."""
        linked = [link.context.trace_flags.sampled for link in links or () if link.context.is_valid]
        if not linked or trace.get_current_span(parent_context).get_span_context().is_valid:
            return self._delegate.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if any(linked):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return SamplingResult(Decision.DROP, None, trace_state)

    def get_description(self) -> str:
        """The name of the sampler, as OpenTelemetry writes those."""
        return f"LinkedSampler{{{self._delegate.get_description()}}}"


def link_aware(sampler: Sampler) -> Sampler:
    """That sampler, following links as well; below a parent, spans go with their parent as that sampler has it.

    What samples nothing at all goes on sampling nothing.
    """
    if sampler is ALWAYS_OFF:
        return sampler
    linked = LinkedSampler(sampler)
    if isinstance(sampler, ParentBased):
        return linked
    # Without this, the children of a span that was kept for its link would be judged by their trace id again.
    return ParentBased(linked, remote_parent_sampled=sampler, remote_parent_not_sampled=sampler)
