"""Tracing: starts and ends spans, and never lets what goes wrong with one reach the application.

Only `opentelemetry-api` is used, no global provider is ever set, and no context is ever attached.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NoOpTracerProvider,
    ProxyTracer,
    ProxyTracerProvider,
    Span,
    SpanKind,
    StatusCode,
    TracerProvider,
)

from costtrace.entry import Entry
from costtrace.entry import Status as Outcome
from costtrace.errors import InvalidValue
from costtrace.faults import Faults
from costtrace.times import to_micros
from costtrace.tracing.amid import amid_sdk
from costtrace.tracing.attributes import outcome_attributes
from costtrace.tracing.names import (
    ABANDONED,
    CALLBACK_SPANS,
    CANCELLED,
    ERROR_TYPE,
    MESSAGE_UUID,
    NOTHING,
    PRESETS,
    SPANS,
)
from costtrace.tracing.places import Place, parent_context

Locator = Callable[[], Place | None]

_NOT_REAL: Final = (ProxyTracerProvider, NoOpTracerProvider)
_UNSET: Final = ProxyTracerProvider()
"""Gives proxies while the process has no provider. To ask for that itself reads the environment each time."""
_PUT_OFF: Final = 1_000


class Tracing:
    """The spans of one recorder. Safe to use from many threads; it never raises into them.

    `spans` says which runs are shown (`names.SPANS`), `presets` under which further names (`names.PRESETS`),
    `callback_span` how a late callback hangs together with its send (`names.CALLBACK_SPANS`). Without a
    `tracer_provider`, the process's own is used once there is one. Raises InvalidValue for words it does not know.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        spans: str = "leaf",
        presets: Iterable[str] = (),
        callback_span: str = "link",
        faults: Faults | None = None,
    ) -> None:
        self.spans = _word(spans, SPANS, "spans")
        self.presets = _presets(presets)
        self.callback_span = _word(callback_span, CALLBACK_SPANS, "callback_span")
        self._provider = tracer_provider
        self._tracer: trace.Tracer | None = None
        self._asked = False
        """Whether the process was asked for its provider, and so has read from its environment which one to make."""
        self._locators: list[Locator] = []
        self._later: deque[Callable[[], None]] = deque(maxlen=_PUT_OFF)
        self._faults = Faults() if faults is None else faults

    @property
    def active(self) -> bool:
        """Whether a span started now would be shown to anybody."""
        return self._tracer is not None or self._find_tracer() is not None

    @property
    def shows_all(self) -> bool:
        """Whether inner chains and graph nodes are shown too."""
        return self.spans == "all"

    def _find_tracer(self) -> trace.Tracer | None:
        """Looked for until it is found: a process may set its provider after it has made its recorder, but once."""
        if self.spans == "off" or (self._asked and isinstance(_UNSET.get_tracer("costtrace"), ProxyTracer)):
            return None
        self._asked = self._provider is None
        try:
            provider = trace.get_tracer_provider() if self._provider is None else self._provider
            if not isinstance(provider, _NOT_REAL):
                self._tracer = provider.get_tracer("costtrace", version("langchain-costtrace"))
        except Exception:  # noqa: BLE001 - a provider is the application's, and may do anything
            self._faults.note("looking for a tracer")
        return self._tracer

    def add_locator(self, find: Locator) -> None:
        """Ask `find` as well which shown run is current: whoever calls the application knows. Asked in order."""
        if find not in self._locators:
            self._locators.append(find)

    def parent(self) -> Context | None:
        """The context for a span that happens here and now: below the current run, or None for the ambient one."""
        try:
            return parent_context(self.place()) if self.active else None
        except Exception:  # noqa: BLE001 - a span is a view; whatever runs here must go on
            self._faults.note("looking for the current span")
            return None

    def place(self) -> Place | None:
        """The shown run that is current here, where a locator knows one."""
        for find in self._locators:
            if (place := find()) is not None:
                return place
        return None

    def count(self, entry: Entry) -> None:
        """Add an entry that was recorded here and now to what the root of the current run adds up to."""
        try:
            if (place := self.place()) is not None:
                place.bill.add_once(entry)
        except Exception:  # noqa: BLE001 - as above
            self._faults.note("adding up a trace")

    def start(
        self,
        name: str,
        kind: SpanKind,
        *,
        message_uuid: str,
        attributes: Mapping[str, Any] = NOTHING,
        links: Sequence[Link] = (),
        start_ns: int | None = None,
        parent: Context | None = None,
    ) -> Span | None:
        """A span below `parent`, or below the ambient one; None where nobody would see it.

        A sampler sees the attributes and links that are given here, and no later ones. `start_ns` counts nanoseconds
        since 1970.
        """
        tracer = self._tracer or self._find_tracer()
        if tracer is None:
            return None
        try:
            span = tracer.start_span(
                name, parent, kind, {MESSAGE_UUID: message_uuid, **attributes}, links, start_time=start_ns
            )
            return span if span.get_span_context().is_valid else None
        except Exception:  # noqa: BLE001 - samplers and processors are the application's, and may do anything
            self._faults.note("starting a span")
            return None

    def end(
        self,
        span: Span | None,
        *,
        attributes: Mapping[str, Any] = NOTHING,
        error: str | None = None,
        end_ns: int | None = None,
    ) -> None:
        """Say what came out, and end it; one that has ended stays as it is. `error` is class and code of a failure.

        What was broken off amid the SDK's own work is ended with the next span that is.
        """
        if span is None:
            return
        if (CANCELLED in attributes or ABANDONED in attributes) and amid_sdk():
            self._later.append(partial(self._end, span, attributes, error, end_ns or time.time_ns()))
            return
        self._end(span, attributes, error, end_ns)
        if self._later:
            with suppress(IndexError):  # another thread may take the last one
                while self._later:
                    self._later.popleft()()

    def _end(self, span: Span, attributes: Mapping[str, Any], error: str | None, end_ns: int | None) -> None:
        try:
            if span.is_recording():
                if error is not None:
                    span.set_status(StatusCode.ERROR)
                    attributes = {**attributes, ERROR_TYPE: error}
                if attributes:
                    span.set_attributes(attributes)
                span.end(end_ns)
        except Exception:  # noqa: BLE001 - processors and exporters are the application's, and may do anything
            self._faults.note("ending a span")

    def end_with(self, span: Span, entry: Entry, attributes: Mapping[str, Any] = NOTHING) -> None:
        """Show on its span how an entry turned out, beside those attributes, and end it when the entry ended."""
        if not span.is_recording():  # not sampled, or its entry comes late
            return
        try:
            began = to_micros(entry.occurred_at)
            ended = to_micros(entry.recorded_at) if entry.duration_us is None else began + entry.duration_us
            found = {**attributes, **outcome_attributes(entry, self.presets)}
        except Exception:  # noqa: BLE001 - a span is a view; the entry stands in the ledger
            self._faults.note("describing an entry on its span")
            self.end(span)
            return
        self.end(
            span, attributes=found, error=entry.error if entry.status == Outcome.FAILED else None, end_ns=ended * 1000
        )


def _word(word: str, known: Sequence[str], field: str) -> str:
    if word not in known:
        raise InvalidValue(field, word, f"one of {', '.join(known)}")
    return word


def _presets(presets: object) -> frozenset[str]:
    if isinstance(presets, str) or not isinstance(presets, Iterable):
        raise InvalidValue("span_presets", presets, f"a list of any of {', '.join(PRESETS)}")
    return frozenset(_word(preset, PRESETS, "span_presets") for preset in presets)
