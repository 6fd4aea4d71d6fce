"""Where in a trace something happens, known without any context being attached.

LangChain ends a run in another context than it started it in, so a token taken at the start cannot be given back at the
end. Instead each run that is shown has a place, which the runs below it are given; the place outlives its span, because
a background task may begin a call after everything above it has ended.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext

from costtrace.entry import Entry, Standing
from costtrace.money import EXACT, ZERO, amount_text
from costtrace.tracing.names import TOTAL_INCOMPLETE, TOTAL_USD

_SETTLED: Final = frozenset({Standing.SETTLED, Standing.CALCULATED, None})


class Bill:
    """The exact sum of what was recorded below one root, in this process, in US dollars."""

    __slots__ = ("_amount", "_incomplete", "_lock", "_priced", "_told")

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._amount: Decimal = ZERO
        self._incomplete = 0
        self._priced = False
        self._told: set[str] = set()

    def add_once(self, entry: Entry) -> None:
        """Count an entry that somebody else named, and may tell of again."""
        if entry.cost is None and entry.standing in _SETTLED:
            return
        with self._lock:
            if entry.entry_id not in self._told:
                self._told.add(entry.entry_id)
                self.add(entry)

    def add(self, entry: Entry) -> None:
        """Count an entry that nobody tells of twice."""
        cost = entry.cost
        with self._lock:
            if self._incomplete and entry.replaces is not None and entry.replaces not in _SETTLED:
                self._incomplete -= 1
            if cost is not None and cost.currency == "USD":
                self._amount, self._priced = EXACT.add(self._amount, cost.amount), True
            elif cost is not None or entry.standing not in _SETTLED:
                self._incomplete += 1

    def add_dollars(self, amount: Decimal) -> None:
        """Count an entry of which only its actual cost is known here."""
        with self._lock:
            self._amount, self._priced = EXACT.add(self._amount, amount), True

    def attributes(self) -> dict[str, Any]:
        """What a root's span says of it; of nothing recorded it says nothing."""
        with self._lock:
            found: dict[str, Any] = {TOTAL_USD: amount_text(self._amount)} if self._priced else {}
            if self._incomplete:
                found[TOTAL_INCOMPLETE] = self._incomplete
        return found


@dataclass(slots=True, frozen=True)
class Place:
    """A run that is shown, as its descendants know it."""

    span: SpanContext
    start_ns: int
    """When its span began, in nanoseconds since 1970."""
    ambient: int
    """The id of the span that was current where the run began; 0 for none."""
    is_root: bool
    """Whether no run that is shown is above it."""
    bill: Bill = field(repr=False)
    """What everything below its root adds up to."""
    child_context: Context = field(repr=False)
    """In it, a span is this one's child."""


def place_of(span: Span, start_ns: int, above: Place | None) -> Place:
    """The place of a span that was started here and now, below that place."""
    context = span.get_span_context()
    return Place(
        span=context,
        start_ns=start_ns,
        ambient=trace.get_current_span().get_span_context().span_id,
        is_root=above is None,
        bill=Bill() if above is None else above.bill,
        child_context=trace.set_span_in_context(NonRecordingSpan(context)),
    )


def parent_context(place: Place | None) -> Context | None:
    """The context to start a span in that happens here and now, in a run of that place; None for the ambient one.

    The run's own span is its parent, unless the application has opened a span of its own since, inside the run. Such a
    span is told by three things: it is current here and was not where the run began, it is of the same trace, and it is
    younger. All three are facts about this very context, so runs beside this one cannot confuse them; and a span that
    was attached elsewhere and leaked in is older, or of another trace.
    """
    if place is None:
        return None
    current = trace.get_current_span()
    context = current.get_span_context()
    if context.span_id in {place.ambient, place.span.span_id} or context.trace_id != place.span.trace_id:
        return place.child_context
    began = getattr(current, "start_time", None)  # only spans of the SDK tell
    return None if isinstance(began, int) and began >= place.start_ns else place.child_context
