"""Recorder: the one writer. It quotes, stores and shows; and whatever goes wrong in it stays in it.

Order of work for each call: usage, quote, ledger, metrics, span. The ledger comes before anything that could fail or
be sampled away. An entry the ledger cannot take now waits in memory (`costtrace.backlog`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, TracerProvider

from costtrace.backlog import Backlog
from costtrace.context import NOTHING, Context, check_text, current_message, new_message_uuid
from costtrace.entry import NO_DETAILS, Entry, Kind, Standing, Status
from costtrace.errors import InvalidValue
from costtrace.faults import Faults
from costtrace.jsontext import encode
from costtrace.ledger import Ledger, LedgerHealth
from costtrace.measures import Measures
from costtrace.money import Money
from costtrace.pricing import Catalog, QuoteStatus
from costtrace.quote import Quote, no_quote
from costtrace.times import from_micros, utc
from costtrace.tracing import Tracing, span_ref
from costtrace.usage import Usage, check_count

_log: Final = logging.getLogger("costtrace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How recording is going in this process."""

    recorded: int
    """Entries handed to the ledger and accepted."""
    buffered: int
    """Entries that wait in memory for the ledger to come back."""
    lost: int
    """Entries that found the buffer full."""
    faults: int
    """Faults of our own that were kept from the application."""
    unpriced: Mapping[str, int]
    """Calls without a price, by ``provider/model``."""
    problem: str | None
    """What the ledger said last time it refused."""
    ledger: LedgerHealth


class Recorder:
    """Turns what sources report into entries of one ledger. Safe to use from many threads; never raises into them.

    `catalog` is the default one (bundled list prices) unless given; `buffer` is how many entries wait in memory while
    the ledger cannot take them. `meter_provider` is the process's own unless given, as is `tracer_provider`; `spans`,
    `span_presets` and `callback_span` are those of `costtrace.tracing.Tracing`. Raises InvalidValue for a word among
    them that it does not know.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        catalog: Catalog | None = None,
        clock: Callable[[], int] = time.time_ns,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        spans: str = "leaf",
        span_presets: Iterable[str] = (),
        callback_span: str = "link",
        buffer: int = 10_000,
    ) -> None:
        self.ledger = ledger
        self.catalog = Catalog.default() if catalog is None else catalog
        self.clock = clock
        """Nanoseconds since 1970."""
        self._faults = Faults()
        self.tracing = Tracing(
            tracer_provider, spans=spans, presets=span_presets, callback_span=callback_span, faults=self._faults
        )
        self.metrics = Measures(meter_provider, faults=self._faults)
        self._backlog = Backlog(ledger, capacity=buffer, faults=self._faults, on_refusal=self.metrics.ledger_failed)
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._unpriced: dict[str, int] = {}
        self._warned: set[str] = set()
        _live.add(self)

    def record_call(
        self,
        *,
        kind: str = Kind.LLM,
        run_id: str,
        message_uuid: str,
        context: Context,
        status: str,
        start_us: int,
        duration_us: int | None,
        provider: str | None,
        model: str | None,
        requested_model: str | None,
        service_tier: str | None,
        usage: Usage | None,
        refused: bool = False,
        late: bool = False,
        error: str | None = None,
        span: Span | None = None,
        shown: Mapping[str, Any] = NO_DETAILS,
        price_context: Mapping[str, Any] = NO_DETAILS,
        details: Mapping[str, Any] = NO_DETAILS,
    ) -> Entry:
        """Price a model call, store it, show it. The entry is durable, or buffered, when this returns.

        `start_us` counts microseconds since 1970; `model` and `service_tier` are as served; `price_context` is the
        context that `Catalog.quote` takes, and is kept in the entry so that the call can be priced again; `refused`
        says that the provider turned the call down, so that nothing was bought; `late` that this takes the place of the
        entry that said the call was given up; `span` is ended here, and says what is `shown` besides.
        """
        moment = from_micros(start_us)
        quote = None
        if not refused:
            quote = self._quote(
                provider=provider,
                model=model,
                usage=usage,
                service_tier=service_tier,
                at=moment,
                context=price_context,
            )
        entry_id = f"{kind}/{run_id}/{start_us}"
        if late:
            details = {**details, "late": True, "corrects": entry_id}
            entry_id = f"{kind}/{run_id}/late/{start_us}"
        if service_tier:
            details = {**details, "service_tier": service_tier}
        if price_context:
            details = {**details, "price_context": dict(price_context)}
        money = None if quote is None else quote.money
        actual = quote is not None and quote.is_actual
        entry = Entry(
            entry_id=entry_id,
            message_uuid=message_uuid,
            kind=kind,
            status=status,
            occurred_at=moment,
            recorded_at=from_micros(self.clock() // 1000),
            duration_us=duration_us,
            provider=provider,
            model=model,
            requested_model=requested_model,
            source_id=run_id,
            usage=usage,
            quote=quote,
            cost=money if actual else None,
            estimate=None if actual else money,
            replaces=Standing.UNPRICED if late else None,  # a call that was given up has no usage to price
            context=context,
            span=None if span is None else span_ref(span),
            error=error,
            details=details,
        )
        self._store(entry, span)
        if money is None and quote is not None:
            self._count_unpriced(entry, quote)
        if span is not None:
            self.tracing.end_with(span, entry, shown)
        return entry

    def record_cost(
        self,
        *,
        name: str,
        kind: str = Kind.TOOL,
        cost: Money | None = None,
        estimate: Money | None = None,
        usage: Usage | Mapping[str, int] | None = None,
        provider: str | None = None,
        message_uuid: str | None = None,
        context: Context | None = None,
        source_id: str | None = None,
        occurred_at: datetime | None = None,
        details: Mapping[str, Any] = NO_DETAILS,
    ) -> Entry:
        """Record what something beside the model calls cost: a tool, a search API, anything with a price of its own.

            recorder.record_cost(name="tavily-search", cost=Money("0.008"), source_id=response["request_id"])

        Give a `cost` that is known, or an `estimate`, or a `usage` alone (counts by bucket, such as ``{"request": 1}``)
        that the catalog prices by `provider` and `name`, as your rates file has them. `name` stands where a call has
        its model. The message is the open one unless `message_uuid` names another. `source_id` is what the seller calls
        this purchase: recorded again under the same kind and id, by whichever process, it counts once (on DynamoDB:
        once in each message). `occurred_at` is now unless given. `details` must hold no text that a person wrote.

        Raises InvalidValue for what cannot be right, nothing being recorded then; never for a broken store.
        """
        _check_purchase(kind, cost, estimate, usage)
        now = from_micros(self.clock() // 1000)
        moment = now if occurred_at is None else utc(occurred_at, "occurred_at")
        uuid, context = _message_of(message_uuid, context)
        consumed = usage if usage is None or isinstance(usage, Usage) else _counted(usage)
        quote = None
        if cost is None and estimate is None:
            quote = self._quote(provider=provider, model=name, usage=consumed, at=moment)
            cost, estimate = (quote.money, None) if quote.is_actual else (None, quote.money)
        entry = Entry(
            entry_id=f"{kind}/{new_message_uuid() if source_id is None else source_id}",
            message_uuid=uuid,
            kind=kind,
            status=Status.COMPLETED,
            occurred_at=moment,
            recorded_at=now,
            provider=provider,
            model=check_text(name, "name"),
            source_id=source_id,
            usage=consumed,
            quote=quote,
            cost=cost,
            estimate=estimate,
            context=context,
            details=details,
        )
        self.record(entry)
        if quote is not None and quote.amount is None:
            self._count_unpriced(entry, quote)
        return entry

    def record(self, entry: Entry, span: Span | None = None) -> None:
        """Store one entry; it is durable, or waits in memory, when this returns. Never raises for a broken store.

        `span` is the one that an exemplar of its measures shows.
        """
        self._store(entry, span)
        self.tracing.count(entry)

    def _store(self, entry: Entry, span: Span | None) -> None:
        self._backlog.store(entry)
        self.metrics.entry(entry, span)

    def show(self, entry: Entry, span: Span | None, shown: Mapping[str, Any] = NO_DETAILS) -> None:
        """Measure an entry that is stored already, and end its span, which says what is `shown` besides."""
        self.metrics.entry(entry, span)
        if span is not None:
            self.tracing.end_with(span, entry, shown)

    def store_line(self, line: bytes) -> bool:
        """Store an entry in its written form; False where it has to be recorded as an `Entry` instead."""
        return self._backlog.store_line(line)

    def fault(self, doing: str) -> None:
        """Log and count a fault of our own; to be called where the exception was caught. Logged once for each doing."""
        self._faults.note(doing)

    @property
    def buffered(self) -> int:
        """How many entries wait in memory; the ledger is not asked anything for this."""
        return len(self._backlog)

    def drain(self) -> int:
        """Try now to store what waits in memory; how many entries still wait."""
        return self._backlog.drain()

    def flush(self) -> Health:
        """Try to store everything that waits, and say how it went."""
        self._backlog.flush()
        return self.health()

    def health(self) -> Health:
        """How recording is going."""
        return Health(
            recorded=self._backlog.stored,
            buffered=len(self._backlog),
            lost=self._backlog.lost,
            faults=self._faults.count,
            unpriced=dict(self._unpriced),
            problem=self._backlog.problem,
            ledger=self.ledger.health(),
        )

    def close(self) -> None:
        """Store what waits and close the ledger."""
        self.flush()
        self.ledger.close()

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()
        self._faults.after_fork()

    def _quote(self, **call: Any) -> Quote:
        """The catalog's answer; a catalog that fails must not cost us the entry."""
        try:
            return self.catalog.quote(**call)
        except Exception:  # noqa: BLE001 - whatever a price list raises, the usage has to be kept
            self.fault("pricing a call")
            return no_quote(QuoteStatus.UNPRICED, "the price catalog failed on this call; see the log")

    def _count_unpriced(self, entry: Entry, quote: Quote) -> None:
        pair = f"{entry.provider}/{entry.model}"
        with self._lock:
            self._unpriced[pair] = self._unpriced.get(pair, 0) + 1
            if quote.status is not QuoteStatus.UNPRICED or pair in self._warned:
                return
            self._warned.add(pair)
        _log.warning("%s; its calls are recorded without a cost", quote.reason)


def _check_purchase(kind: object, cost: object, estimate: object, usage: object) -> None:
    if not isinstance(kind, str) or not kind.isidentifier():
        raise InvalidValue("kind", kind, "a word of letters, digits and underscores, such as 'tool'")
    for field, money in (("cost", cost), ("estimate", estimate)):
        if money is not None and not isinstance(money, Money):
            raise InvalidValue(field, money, 'Money, such as Money("0.008")')
    if cost is not None and estimate is not None:
        raise InvalidValue("estimate", estimate, "no estimate beside an actual cost")
    if cost is None and estimate is None and usage is None:
        raise InvalidValue("cost", None, "a cost, an estimate or a usage that the catalog can price")


def _message_of(message_uuid: str | None, context: Context | None) -> tuple[str, Context]:
    """The message that was named, or the open one; its context where that is known here."""
    scope = current_message()
    if message_uuid is None:
        if scope is None:
            raise InvalidValue("message_uuid", None, "the uuid of a message, since no costtrace.message is open here")
        message_uuid = scope.uuid
    if context is None:
        context = scope.context if scope is not None and scope.uuid == message_uuid else NOTHING
    return message_uuid, context


def _counted(counts: object) -> Usage:
    """The usage of those counts, which stand in for a provider's own record."""
    if not isinstance(counts, Mapping) or not counts or not all(isinstance(bucket, str) for bucket in counts):
        raise InvalidValue("usage", counts, 'counts by bucket, such as {"request": 1}')
    for bucket, count in counts.items():
        check_count(count, f"usage.{bucket}")
    return Usage(buckets=counts, raw_json=encode(dict(counts)))


_live: Final[weakref.WeakSet[Recorder]] = weakref.WeakSet()


def _after_fork() -> None:
    for recorder in list(_live):
        recorder.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
