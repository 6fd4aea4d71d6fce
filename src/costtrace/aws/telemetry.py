"""The traces of a function: a span around each call, and every span out of the process before it is frozen.

The address and the headers of the collector are OpenTelemetry's own variables, which its exporter reads. Only the time
limit is ours, because that of the exporter decides how long a flush takes, whatever the flush itself was given.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from costtrace.errors import MissingExtra

try:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    raise MissingExtra(
        package="opentelemetry-exporter-otlp-proto-http", feature="sending traces", extra="otel"
    ) from None

from costtrace.sampling import link_aware


class Traces:
    """A tracer provider that sends to the collector of the environment; `timeout_s` is for one attempt to send.

    Its sampler follows links: the callback of an SMS is kept when its sending was, in whichever function.
    """

    def __init__(self, *, timeout_s: float) -> None:
        exporter = OTLPSpanExporter(timeout=timeout_s)
        self.provider = TracerProvider()  # which reads OTEL_TRACES_SAMPLER
        self.provider.sampler = link_aware(self.provider.sampler)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("costtrace.aws")
        self._timeout_s = timeout_s
        self._flushing = threading.Lock()  # each flush of a collector that hangs would leave a thread behind

    @contextmanager
    def call(self, name: str, invocation_id: str) -> Iterator[None]:
        """The span of one call of the function; what happens inside is below it."""
        attributes = {"faas.invocation_id": invocation_id}
        with self._tracer.start_as_current_span(
            name,
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,  # the text of an exception may quote what a person wrote
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(trace.StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise

    def flush(self) -> None:
        """Send what waits. While another call's flush hangs, that one is waited for, and not joined."""
        if self._flushing.acquire(timeout=self._timeout_s):
            try:
                self.provider.force_flush()
            finally:
                self._flushing.release()
