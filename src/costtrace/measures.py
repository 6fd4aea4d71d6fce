"""Metrics of what is recorded, for whatever OpenTelemetry SDK the process has; without one they cost nothing.

They are for charts and alarms: doubles, counted by each process of what it recorded itself. The exact sums are the
ledger's. A histogram cannot take anything back, so an amount is put into it once, when it first becomes known; what
changes it later goes to ``costtrace.corrections.usd``, and the two together are what the ledger says.

No attribute holds a uuid, a number or a MessageSid. Of each that anybody can choose, such as the model, a process tells
the first hundred values apart.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, get_meter_provider
from opentelemetry.trace import Span, set_span_in_context

from costtrace.entry import Entry, Kind, Standing, Status
from costtrace.faults import Faults
from costtrace.instruments import Instruments, MoneyInstruments, is_real
from costtrace.money import Money
from costtrace.quote import QuoteStatus
from costtrace.tracing import names
from costtrace.tracing.amid import amid_sdk
from costtrace.tracing.attributes import operation_of, provider_name
from costtrace.tracing.sms import SMS_STATUS, SYSTEM

KIND: Final = "costtrace.kind"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - of a language model
OTHER: Final = "_OTHER"
"""Stands for names beyond those that are told apart."""

_BROKEN_OFF: Final = frozenset({Status.CANCELLED, Status.ABANDONED})
"""How calls end that a garbage collection ends."""
_MODEL_KINDS: Final = frozenset({Kind.LLM, Kind.EMBEDDING})
_SMS: Final = "sms"
_NEW_SMS: Final = frozenset({"sms", "sms-send"})
_KNOWN: Final = frozenset({Standing.SETTLED, Standing.CALCULATED})
_NOT_COUNTED: Final = frozenset({None, Standing.PENDING})
"""What an unpriced entry took the place of, where it was not counted as unpriced before."""
_NAMES: Final = 100
_REMEMBERED: Final = 1_000
_LOOK_AGAIN_S: Final = 1.0


class Measures:
    """The metrics of one recorder. Safe to use from many threads; it never raises into them.

    Without a `meter_provider`, the process's own is used once there is one: it is looked for at most once a second.
    """

    def __init__(self, meter_provider: MeterProvider | None = None, *, faults: Faults | None = None) -> None:
        self._provider = meter_provider
        self._faults = Faults() if faults is None else faults
        self._names = _Names(_NAMES)
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._recent: dict[str, None] = {}
        self._later: deque[Callable[[Instruments], None]] = deque(maxlen=_REMEMBERED)
        self._found: Instruments | None = None
        self._look_at = float("-inf")
        _live.add(self)

    @property
    def active(self) -> bool:
        """Whether what is measured now would reach anybody."""
        return self._instruments() is not None

    def entry(self, entry: Entry, span: Span | None = None) -> None:
        """Measure an entry; one that was measured shortly before is not again. `span` is what an exemplar shows."""
        if entry.status in _BROKEN_OFF and amid_sdk():
            self._later.append(partial(self._measure, entry=entry, span=span))
            return
        instruments = self._instruments()
        if instruments is None:
            return
        try:
            self._measure(instruments, entry, span)
            with suppress(IndexError):  # another thread may take the last one
                while self._later:
                    self._later.popleft()(instruments)
        except Exception:  # noqa: BLE001 - a meter is the application's, and may do anything
            self._faults.note("measuring an entry")

    def delivered(self, seconds: float, status: str, provider: str) -> None:
        """An SMS has its final status, so long after it was sent."""
        instruments = self._instruments()
        if instruments is None:
            return
        try:
            attributes = {SYSTEM: self._names.kept(SYSTEM, provider), SMS_STATUS: self._names.kept(SMS_STATUS, status)}
            instruments.delivery.record(max(seconds, 0.0), attributes)
        except Exception:  # noqa: BLE001 - as above
            self._faults.note("measuring a delivery")

    def ledger_failed(self) -> None:
        """The ledger did not take what it was given, which waits in memory."""
        if amid_sdk():
            self._later.append(_count_failure)
            return
        instruments = self._instruments()
        if instruments is None:
            return
        try:
            _count_failure(instruments)
        except Exception:  # noqa: BLE001 - as above
            self._faults.note("counting a failure of the ledger")

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held a lock, and what waits is the parent's."""
        self._lock = threading.RLock()
        self._later.clear()
        if self._found is not None:
            self._found.after_fork()

    def _instruments(self) -> Instruments | None:
        if self._found is not None:
            return self._found
        now = time.monotonic()
        if now < self._look_at:
            return None
        self._look_at = now + _LOOK_AGAIN_S
        return self._find()

    def _find(self) -> Instruments | None:
        try:
            with self._lock:
                provider = get_meter_provider() if self._provider is None else self._provider
                if self._found is None and is_real(provider):
                    self._found = Instruments(provider.get_meter("costtrace", version("langchain-costtrace")))
        except Exception:  # noqa: BLE001 - as above
            self._faults.note("making metrics")
        return self._found

    def _measure(self, instruments: Instruments, entry: Entry, span: Span | None) -> None:
        if not self._is_new(entry.entry_id):
            return
        context = None if span is None else set_span_in_context(span)
        who = self._who(entry)
        if entry.kind in _MODEL_KINDS:
            if entry.duration_us is not None and entry.replaces is None:
                failed = self._named(names.ERROR_TYPE, entry.error)
                instruments.duration.record(entry.duration_us / 1_000_000, {**who, **failed}, context)
            if entry.usage is not None:
                instruments.tokens.record(entry.usage.input_tokens, {**who, TOKEN_TYPE: "input"}, context)
                instruments.tokens.record(entry.usage.output_tokens, {**who, TOKEN_TYPE: "output"}, context)
        elif _is_new_sms(entry) and (segments := _segments(entry)) is not None:
            instruments.segments.record(segments, who, context)
        said = {KIND: self._kind(entry), **who, names.COST_STATUS: entry.cost_status or "unknown"}
        if entry.standing is Standing.UNPRICED and entry.replaces in _NOT_COUNTED:
            instruments.unpriced.add(1, said, context)
        cost = entry.cost
        if cost is not None and (cost.amount or entry.cost_status != QuoteStatus.NOT_BILLED):
            self._cost(instruments.money(cost), entry, cost, said, context)

    def _is_new(self, entry_id: str) -> bool:
        """A purchase may be recorded twice under its name, and counts once."""
        with self._lock:
            if entry_id in self._recent:
                return False
            self._recent[entry_id] = None
            if len(self._recent) > _REMEMBERED:
                del self._recent[next(iter(self._recent))]
            return True

    @staticmethod
    def _cost(
        into: MoneyInstruments, entry: Entry, cost: Money, said: Mapping[str, Any], context: Context | None
    ) -> None:
        if entry.replaces in _KNOWN or entry.kind == Kind.CORRECTION or cost.amount < 0:
            into.corrections.add(float(cost.amount), said, context)
        else:
            into.cost.record(float(cost.amount), said, context)

    def _kind(self, entry: Entry) -> str:
        return _SMS if entry.kind.startswith(_SMS) else self._names.kept(KIND, entry.kind)

    def _who(self, entry: Entry) -> dict[str, str]:
        """What the entry is of: operation, provider and models of a model call, and what they are elsewhere."""
        if entry.kind.startswith(_SMS):
            return self._named(SYSTEM, entry.provider)
        if entry.kind not in _MODEL_KINDS:
            return self._named(names.TOOL_NAME, entry.model)
        known = {
            names.OPERATION: operation_of(entry),
            names.PROVIDER: entry.provider and provider_name(entry.provider),
            names.REQUEST_MODEL: entry.requested_model,
            names.RESPONSE_MODEL: entry.model,
        }
        return {name: self._names.kept(name, value) for name, value in known.items() if value}

    def _named(self, attribute: str, value: str | None) -> dict[str, str]:
        return {attribute: self._names.kept(attribute, value)} if value else {}


def _count_failure(instruments: Instruments) -> None:
    instruments.ledger_failures.add(1)


def _is_new_sms(entry: Entry) -> bool:
    """Whether it is heard of for the first time: the SID of an attempt names one that was counted when it was made."""
    return entry.kind in _NEW_SMS and (entry.kind != _SMS or "send_id" not in entry.details)


def _segments(entry: Entry) -> int | None:
    """As Twilio counted them, or as they were counted before it was asked."""
    for name in ("num_segments", "segments"):
        if isinstance(count := entry.details.get(name), int):
            return count
    return None


class _Names:
    """Tells the first so many values of an attribute apart: there are thousands of models, and more are made."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: defaultdict[str, set[str]] = defaultdict(set)

    def kept(self, attribute: str, value: str) -> str:
        known = self._known[attribute]
        if value in known:
            return value
        if len(known) >= self._capacity:
            return OTHER
        known.add(value)
        return value


_live: Final[weakref.WeakSet[Measures]] = weakref.WeakSet()


def _after_fork() -> None:
    for measures in list(_live):
        measures.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
