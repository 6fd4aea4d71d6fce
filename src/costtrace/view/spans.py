"""The spans of a message, made from its entries: what a tracer would have recorded, and what came too late for it.

Each message is one tree, whatever traces its parts were recorded in at the time: viewers without links show it whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Any, Final

from costtrace.entry import Entry, Kind, Status
from costtrace.messages import Message
from costtrace.money import amount_text
from costtrace.times import to_micros
from costtrace.tracing import names, sms
from costtrace.tracing.attributes import entry_attributes, operation_of
from costtrace.twilio import delivery, legs
from costtrace.twilio.legs import Leg
from costtrace.view.entries import corrected, parent_run, tool_of
from costtrace.view.items import runs_in_circles
from costtrace.view.sms import is_sms, legs_of

MESSAGE: Final = "message"
"""The span above everything that was recorded of a message."""

_BAD: Final = frozenset({"failed", "undelivered", delivery.REJECTED, delivery.SEND_UNKNOWN})


class SpanKind(IntEnum):
    """As ``opentelemetry.proto.trace.v1.Span.SpanKind`` numbers them."""

    INTERNAL = 1
    CLIENT = 3
    PRODUCER = 4
    CONSUMER = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span; its trace is that of its message."""

    span_id: str
    name: str
    kind: SpanKind
    start_us: int
    end_us: int
    attributes: Mapping[str, Any]
    parent_id: str | None = None
    links: Sequence[tuple[str, str]] = field(default=())
    """Span ids in the same trace, each with its type."""
    error: bool = False


def trace_id_of(message: Message) -> str:
    """The trace in which most of the message was recorded; one of its own where there is none."""
    recorded = [entry.span.trace_id for entry in message.entries if entry.span is not None]
    return max(recorded, key=recorded.count) if recorded else _id(f"trace/{message.uuid}", 32)


def _id(name: str, digits: int) -> str:
    return sha256(name.encode()).hexdigest()[:digits]


def _span_id(entry: Entry) -> str:
    """That of its own span, if one was recorded: what was learned later refers to the span of what it is about."""
    is_own = entry.span is not None and entry.replaces is None
    return entry.span.span_id if entry.span is not None and is_own else _id(f"span/{entry.entry_id}", 16)


def tree_of(message: Message) -> Iterator[Span]:
    """The spans of that message: first the root, then all else by time."""
    root_id = _id(f"message/{message.uuid}", 16)
    found = [*_entries(message, root_id), *_sms(message, root_id)]
    moments = [moment for span in found for moment in (span.start_us, span.end_us)]
    yield Span(
        span_id=root_id,
        name=MESSAGE,
        kind=SpanKind.INTERNAL,
        start_us=min(moments),
        end_us=max(moments),
        attributes=_root_attributes(message),
    )
    yield from sorted(found, key=lambda span: (span.start_us, span.span_id))


def _root_attributes(message: Message) -> dict[str, Any]:
    total = message.total
    found: dict[str, Any] = {names.MESSAGE_UUID: message.uuid, names.TOTAL_USD: amount_text(total.known.usd)}
    if (incomplete := total.estimated + total.unpriced) > 0:
        found[names.TOTAL_INCOMPLETE] = incomplete
    if message.context.thread_id:
        found[names.CONVERSATION] = message.context.thread_id
    return found


def _entries(message: Message, root_id: str) -> Iterator[Span]:
    """What is no SMS: model calls, tools, corrections."""
    entries = [entry for entry in message.entries if not is_sms(entry)]
    parents = _parents(entries)
    by_id = {entry.entry_id: _span_id(entry) for entry in entries}
    for entry in entries:
        is_correction = entry.kind == Kind.CORRECTION
        start = to_micros(entry.recorded_at if is_correction else entry.occurred_at)
        original = by_id.get(corrected(entry) or "")
        yield Span(
            span_id=_span_id(entry),
            name=_name(entry),
            kind=SpanKind.CLIENT if entry.kind in (Kind.LLM, Kind.EMBEDDING) else SpanKind.INTERNAL,
            start_us=start,
            end_us=start + (0 if is_correction else entry.duration_us or 0),
            attributes=entry_attributes(entry),
            parent_id=parents.get(_span_id(entry), root_id),
            links=[] if original is None else [(original, names.CORRECTION_OF)],
            error=entry.status == Status.FAILED,
        )


def _parents(entries: Sequence[Entry]) -> dict[str, str]:
    """The span that each of them happened within, by its own."""
    runs = {entry.source_id: _span_id(entry) for entry in entries if entry.kind != Kind.CORRECTION}
    named = {_span_id(entry): runs.get(parent_run(entry) or "") for entry in entries}
    return {own: parent for own, parent in named.items() if parent is not None and not runs_in_circles(own, named)}


def _name(entry: Entry) -> str:
    said = entry.requested_model or entry.model or tool_of(entry)
    return " ".join(word for word in (operation_of(entry) or entry.kind, said) if word)


def _sms(message: Message, root_id: str) -> Iterator[Span]:
    by_run = {entry.source_id: _span_id(entry) for entry in message.entries if entry.kind == Kind.LLM}
    for leg in legs_of(message):
        entries = [entry for entry in message.entries if is_sms(entry) and _belongs(entry, leg)]
        origin = min(entries, key=_is_later)
        send = _send(leg, origin, entries, by_run, root_id)
        yield send
        for entry in entries:
            if entry is not origin and (told := _told(entry, send.span_id, root_id)) is not None:
                yield told


def _is_later(entry: Entry) -> tuple[int, int]:
    """Least for the entry that began an SMS: what is learned of its price counts from the same moment."""
    ranks = {legs.SEND: 0, legs.SMS: 1 if entry.status != legs.IDENTIFIED else 2}
    return ranks.get(entry.kind, 3), to_micros(entry.recorded_at)


def _belongs(entry: Entry, leg: Leg) -> bool:
    if entry.source_id is not None:
        return entry.source_id == leg.sid
    return leg.send_id is not None and entry.details.get("send_id") == leg.send_id


def _send(leg: Leg, origin: Entry, entries: Iterable[Entry], by_run: Mapping[str | None, str], root_id: str) -> Span:
    """The span of the sending, or of what came in."""
    is_inbound = leg.direction == "inbound"
    refused = leg.refusal
    attributes = entry_attributes(origin if refused is None else refused)
    if leg.sid is not None:
        attributes[sms.MESSAGE_ID] = leg.sid
    if leg.delivery is not None:
        attributes[sms.SMS_STATUS] = leg.delivery.status
    if isinstance(segments := leg.details.get("segments"), int):
        attributes[sms.SEGMENTS] = segments
    moments = [_moment(entry) for entry in entries if entry is origin or _ends_the_request(entry)]
    links = leg.details.get("links")
    runs = [run for run in links if isinstance(run, str)] if isinstance(links, list) else []
    return Span(
        span_id=_span_id(origin),
        name=sms.INBOUND if is_inbound else sms.SEND,
        kind=SpanKind.CONSUMER if is_inbound else SpanKind.PRODUCER,
        start_us=to_micros(origin.occurred_at),
        end_us=max(moments),
        attributes={**attributes, **_messaging("process" if is_inbound else "send", "inbound" if is_inbound else "")},
        parent_id=root_id,
        links=[(by_run[run], names.GENERATED_BY) for run in runs if run in by_run],
        error=leg.delivery is not None and leg.delivery.status in (delivery.REJECTED, delivery.SEND_UNKNOWN),
    )


def _ends_the_request(entry: Entry) -> bool:
    return entry.kind == legs.END or entry.status == legs.IDENTIFIED or entry.details.get("source") == delivery.CREATE


def _moment(entry: Entry) -> int:
    return to_micros(entry.recorded_at if entry.replaces is not None else entry.occurred_at)


def _told(entry: Entry, send_id: str, root_id: str) -> Span | None:
    """The span of what was said of an SMS later; None where that is part of the sending."""
    if entry.kind == legs.STATUS and entry.details.get("source") != delivery.CREATE:
        attributes = {**entry_attributes(entry), **_messaging("process", "status"), sms.SMS_STATUS: entry.status}
        if (code := entry.details.get("error_code")) is not None:
            attributes[names.ERROR_TYPE] = str(code)
        name, kind, link = sms.STATUS, SpanKind.CONSUMER, names.STATUS_OF
    elif entry.kind in (legs.PRICE, legs.CHECK):
        attributes = sms.price_attributes(entry)
        name, kind, link = sms.PRICE, SpanKind.INTERNAL, names.PRICE_OF
    else:
        return None
    if entry.source_id is not None:
        attributes[sms.MESSAGE_ID] = entry.source_id
    moment = _moment(entry) if entry.kind != legs.PRICE else to_micros(entry.recorded_at)
    return Span(
        span_id=_span_id(entry),
        name=name,
        kind=kind,
        start_us=moment,
        end_us=moment,
        attributes=attributes,
        parent_id=root_id,
        links=[(send_id, link)],
        error=entry.kind == legs.STATUS and entry.status in _BAD,
    )


def _messaging(operation: str, part: str) -> dict[str, str]:
    destination = f"sms.{part}" if part else "sms"
    return {
        sms.SYSTEM: "twilio",
        sms.OPERATION_NAME: operation,
        sms.OPERATION_TYPE: operation,
        sms.DESTINATION: destination,
    }
