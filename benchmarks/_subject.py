"""What is measured: the list of subjects, and what each hands to the measuring loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from langchain_core.callbacks import BaseCallbackHandler


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A subject ready to be measured.

    `drain` finishes all deferred work, so that it is charged. `records` counts what has arrived at the far end, so that
    a subject that drops its work is seen; None for a subject without a far end. `around`, where given, makes the call
    in the subject's own frame.
    """

    callbacks: list[BaseCallbackHandler] = field(default_factory=list)
    drain: Callable[[], object] = lambda: None
    records: Callable[[], int] | None = None
    around: Callable[[Callable[[], object]], None] | None = None


Factory = Callable[[], AbstractContextManager[Attached]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One line of the comparison; `factory` is `module:function`, imported only in the subject's own process."""

    name: str
    title: str
    factory: str
    distributions: tuple[str, ...]
    tracing_peer: bool = False

    @property
    def missing(self) -> bool:
        """Whether a package it needs is not installed here."""
        return self.version is None

    @property
    def version(self) -> str | None:
        """Version of its first distribution; None when one is not installed."""
        try:
            versions = [version(name) for name in self.distributions]
        except PackageNotFoundError:
            return None
        return versions[0] if versions else ""


_OURS = "langchain-costtrace"
_SDK = "opentelemetry-sdk"

SUBJECTS = (
    Subject(name="baseline", title="no handler", factory="_peers:baseline", distributions=()),
    Subject(name="no-op", title="a handler with empty hooks", factory="_peers:no_op", distributions=()),
    Subject(name="costtrace", title="costtrace, ledger only", factory="_ours:ledger_only", distributions=(_OURS,)),
    Subject(
        name="costtrace-message",
        title="costtrace, ledger, a message scope per call",
        factory="_ours:message_scope",
        distributions=(_OURS,),
    ),
    Subject(
        name="costtrace-span",
        title="costtrace, ledger and SDK span",
        factory="_ours:with_span",
        distributions=(_OURS, _SDK),
    ),
    Subject(
        name="costtrace-spans-off",
        title="costtrace, ledger, SDK there, spans off",
        factory="_ours:spans_off",
        distributions=(_OURS, _SDK),
    ),
    Subject(
        name="bare-span",
        title="a bare SDK span, same attributes",
        factory="_ours:bare_span",
        distributions=(_SDK, _OURS),
    ),
    Subject(
        name="usage-metadata",
        title="LangChain UsageMetadataCallbackHandler",
        factory="_peers:usage_metadata",
        distributions=("langchain-core",),
    ),
    Subject(
        name="posthog",
        title="PostHog CallbackHandler",
        factory="_peers:posthog",
        distributions=("posthog",),
        tracing_peer=True,
    ),
    Subject(
        name="langfuse",
        title="Langfuse CallbackHandler",
        factory="_peers:langfuse",
        distributions=("langfuse",),
        tracing_peer=True,
    ),
    Subject(
        name="openinference",
        title="OpenInference instrumentor",
        factory="_peers:openinference",
        distributions=("openinference-instrumentation-langchain", _SDK),
        tracing_peer=True,
    ),
    Subject(
        name="traceloop",
        title="Traceloop instrumentor",
        factory="_peers:traceloop",
        distributions=("opentelemetry-instrumentation-langchain", _SDK),
        tracing_peer=True,
    ),
    Subject(
        name="otel-genai",
        title="OpenTelemetry GenAI instrumentor",
        factory="_peers:official",
        distributions=("opentelemetry-instrumentation-genai-langchain", _SDK),
        tracing_peer=True,
    ),
)
