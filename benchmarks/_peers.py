"""The peers, each as its documentation attaches it, with its default settings; nothing leaves the machine.

Packages are imported by name because a type checker without them must still pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from _sink import running_sink
from _subject import Attached
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler


@contextmanager
def baseline() -> Iterator[Attached]:
    yield Attached()


class _EmptyHandler(BaseCallbackHandler):
    """What LangChain itself charges for one more handler: two empty hooks, every switch at its default."""

    def on_chat_model_start(self, *_: Any, **__: Any) -> None:
        pass

    def on_llm_end(self, *_: Any, **__: Any) -> None:
        pass


@contextmanager
def no_op() -> Iterator[Attached]:
    yield Attached(callbacks=[_EmptyHandler()])


@contextmanager
def usage_metadata() -> Iterator[Attached]:
    yield Attached(callbacks=[UsageMetadataCallbackHandler()])


@contextmanager
def posthog() -> Iterator[Attached]:
    with running_sink() as sink:
        client = import_module("posthog").Posthog("phc_benchmark", host=sink.url)
        handler = import_module("posthog.ai.langchain").CallbackHandler(client=client, distinct_id="u1")
        yield Attached(callbacks=[handler], drain=client.flush, records=sink.records)
        client.shutdown()


@contextmanager
def langfuse() -> Iterator[Attached]:
    with running_sink() as sink:
        client = import_module("langfuse").Langfuse(
            public_key="pk-lf-benchmark",
            secret_key="sk-lf-benchmark",  # noqa: S106  (the loopback sink asks for none)
            base_url=sink.url,
        )
        handler = import_module("langfuse.langchain").CallbackHandler()
        yield Attached(callbacks=[handler], drain=client.flush, records=sink.records)
        client.shutdown()


class CountingExporter:
    """Counts spans and drops them: the cheapest exporter there can be, the same for every OpenTelemetry subject."""

    def __init__(self) -> None:
        self.spans = 0
        self._success = import_module("opentelemetry.sdk.trace.export").SpanExportResult.SUCCESS

    def export(self, spans: Sequence[Any]) -> Any:
        self.spans += len(spans)
        return self._success

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002  (the SDK's signature)
        return True


@contextmanager
def sdk_provider() -> Iterator[tuple[Any, CountingExporter]]:
    sdk = import_module("opentelemetry.sdk.trace")
    exporter = CountingExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(import_module("opentelemetry.sdk.trace.export").BatchSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


@contextmanager
def _instrumented(module: str, name: str) -> Iterator[Attached]:
    instrumentor = getattr(import_module(module), name)()
    with sdk_provider() as (provider, exporter):
        instrumentor.instrument(tracer_provider=provider)
        yield Attached(drain=provider.force_flush, records=lambda: exporter.spans)
        instrumentor.uninstrument()


@contextmanager
def openinference() -> Iterator[Attached]:
    with _instrumented("openinference.instrumentation.langchain", "LangChainInstrumentor") as attached:
        yield attached


@contextmanager
def traceloop() -> Iterator[Attached]:
    with _instrumented("opentelemetry.instrumentation.langchain", "LangchainInstrumentor") as attached:
        yield attached


@contextmanager
def official() -> Iterator[Attached]:
    with _instrumented("opentelemetry.instrumentation.genai.langchain", "LangChainInstrumentor") as attached:
        yield attached
