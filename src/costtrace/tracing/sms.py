"""The spans of an SMS: its sending, each webhook that tells of it, and its price.

They are made by different processes, hours apart, and mostly in traces of their own. What joins them is a link to the
span of the sending, whose place stands with the SMS in the ledger, and the uuid of the message on each of them. They
hold neither numbers nor texts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import context as otel
from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, get_current_span

from costtrace.entry import Entry, SpanRef
from costtrace.money import Money, amount_text
from costtrace.tracing import names
from costtrace.tracing.attributes import entry_attributes
from costtrace.tracing.references import link, parse_traceparent, remote_context, span_ref, traceparent, traceparent_of
from costtrace.tracing.spans import Tracing

SEND: Final = "send sms"
STATUS: Final = "process sms.status"
INBOUND: Final = "process sms.inbound"
PRICE: Final = "reconcile sms.price"

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
MESSAGE_ID: Final = "messaging.message.id"
SMS_STATUS: Final = "costtrace.sms.status"
SEGMENTS: Final = "costtrace.sms.segments"
DUPLICATE: Final = "costtrace.sms.duplicate"
PRICE_USD: Final = "costtrace.sms.price.usd"
PRICE_AMOUNT: Final = "costtrace.sms.price.amount"
PRICE_CURRENCY: Final = "costtrace.sms.price.currency"
REVISION: Final = "costtrace.sms.price.revision"

ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        SYSTEM: "twilio",
        OPERATION_NAME: "send or process",
        OPERATION_TYPE: "the same, as the conventions class it",
        DESTINATION: "sms, sms.status or sms.inbound; never a number",
        MESSAGE_ID: "Twilio's MessageSid",
        SMS_STATUS: "Twilio's word, or rejected, send_unknown or already_sent; of a price: what became of it",
        SEGMENTS: "how many segments it has, as Twilio says, or else as they were counted before",
        DUPLICATE: "the webhook was a repetition",
        PRICE_USD: "the whole price by now in US dollars, as decimal text; the cost beside it is what this changed",
        PRICE_AMOUNT: "the whole price by now in another currency, as decimal text",
        PRICE_CURRENCY: "the currency of that price, ISO 4217",
        REVISION: "1 for the first price, and one more for each that Twilio changed it to",
    }
)
"""What the spans of an SMS say beside `costtrace.tracing.names.ATTRIBUTES`."""

ALREADY_SENT: Final = "already_sent"

_TWILIO: Final = "twilio"
_DESTINATION: Final = "sms"
_ROOT: Final = Context()


class SendSpan:
    """The span of one attempt to send an SMS: from before the attempt is written down until its outcome is.

    `server` is what `server_of` says of Twilio's API, `made_by` are the spans of the model calls that made the text.
    Nothing here raises; where nobody records spans there is none, and `traceparent` is that of the span around it.
    """

    __slots__ = ("_span", "_tracing", "ref", "traceparent")

    def __init__(
        self, tracing: Tracing, entry: Entry, *, server: Mapping[str, Any], made_by: Iterable[SpanRef]
    ) -> None:
        self._tracing = tracing
        self._span = None
        if tracing.active:
            self._span = tracing.start(
                SEND,
                SpanKind.PRODUCER,
                message_uuid=entry.message_uuid,
                attributes={**_messaging(tracing, "send", _DESTINATION), **server, **_expected(entry)},
                links=[link(ref, names.GENERATED_BY) for ref in made_by],
                parent=tracing.parent(),
            )
        self.ref = None if self._span is None else span_ref(self._span)
        """Which span it is; None where there is none."""
        self.traceparent = traceparent() if self.ref is None else traceparent_of(self.ref)
        """The same in W3C form, or the span around it."""

    def sent(self, sid: str, status: str, *, segments: int | None) -> None:
        """Twilio has taken it under that SID."""
        known = {MESSAGE_ID: sid, SMS_STATUS: status or None, SEGMENTS: segments}
        self._end({name: value for name, value in known.items() if value is not None})

    def failed(self, status: str, *, error: str) -> None:
        """It was refused, or nobody knows; `error` is Twilio's code or a word, never a text."""
        self._end({SMS_STATUS: status}, error=error)

    def not_made(self, *, error: str | None = None) -> None:
        """It was not even asked for: without an error, because an attempt of that name was made before."""
        self._end({} if error else {SMS_STATUS: ALREADY_SENT}, error=error)

    def _end(self, attributes: Mapping[str, Any], *, error: str | None = None) -> None:
        if self._span is not None:
            self._tracing.end(self._span, attributes=attributes, error=error)


def sending_of(details: Mapping[str, Any]) -> SpanRef | None:
    """The span of the sending, as it stands with what is kept of an SMS; None where that is no reference to any."""
    return parse_traceparent(details.get("traceparent"))


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a webhook came, and in which trace: what its span has to begin with, whenever that is made."""

    at_ns: int = field(default_factory=time.time_ns)
    """Nanoseconds since 1970."""
    around: Context = field(default_factory=otel.get_current)
    """The context it is taken in, with the span of the HTTP request where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What Twilio told of an SMS."""

    arrival: Arrival
    ended_ns: int
    """When it was stored, in nanoseconds since 1970."""
    message_uuid: str
    sid: str
    thread_id: str | None = None
    """The conversation it belongs to, where that is known: viewers without links show together what has the same."""
    duplicate: bool = False
    """It had been stored before."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What its span says, whatever was told."""
        said = {MESSAGE_ID: self.sid, names.CONVERSATION: self.thread_id, DUPLICATE: self.duplicate or None}
        return {name: value for name, value in said.items() if value is not None}


def show_status(
    tracing: Tracing, webhook: Webhook, status: str, *, error: str | None = None, send: SpanRef | None = None
) -> None:
    """The span of a status callback, linked to the span of the sending where that is known. Never raises.

    `error` is the code of what went wrong with the SMS. A repetition says nothing new, and is no error.
    """
    span = tracing.start(
        STATUS,
        SpanKind.CONSUMER,
        message_uuid=webhook.message_uuid,
        attributes={**_messaging(tracing, "process", "sms.status"), **webhook.attributes, SMS_STATUS: status},
        links=[] if send is None else [link(send, names.STATUS_OF)],
        start_ns=webhook.arrival.at_ns,
        parent=_parent(tracing, webhook.arrival.around, send),
    )
    if span is not None:
        tracing.end(span, error=None if webhook.duplicate else error, end_ns=webhook.ended_ns)


def _parent(tracing: Tracing, around: Context, send: SpanRef | None) -> Context:
    """The HTTP request's span, unless it was sampled otherwise than the sending: a callback is kept when that was."""
    if send is None:
        return around
    if tracing.callback_span == "child":
        return remote_context(send)
    request = get_current_span(around).get_span_context()
    return around if not request.is_valid or request.trace_flags.sampled == send.sampled else _ROOT


def show_inbound(tracing: Tracing, webhook: Webhook, *, segments: int | None = None) -> None:
    """The span of a message that came in. Never raises."""
    counted = {} if segments is None else {SEGMENTS: segments}
    span = tracing.start(
        INBOUND,
        SpanKind.CONSUMER,
        message_uuid=webhook.message_uuid,
        attributes={**_messaging(tracing, "process", "sms.inbound"), **webhook.attributes, **counted},
        start_ns=webhook.arrival.at_ns,
        parent=webhook.arrival.around,
    )
    if span is not None:
        tracing.end(span, end_ns=webhook.ended_ns)


def show_price(tracing: Tracing, revision: Entry, *, send: SpanRef | None = None) -> None:
    """The span of one revision of a price: a trace of its own, linked to the span of the sending. Never raises.

    Its cost is what this revision changed, the whole price at first; so the costs of all spans add up.
    """
    if not tracing.active:
        return
    span = tracing.start(
        PRICE,
        SpanKind.INTERNAL,
        message_uuid=revision.message_uuid,
        attributes={**_drawn_as(tracing), **price_attributes(revision)},
        links=[] if send is None else [link(send, names.PRICE_OF)],
        parent=_ROOT,
    )
    if span is not None:
        tracing.end(span)


def price_attributes(revision: Entry) -> dict[str, Any]:
    """What the span of that revision says."""
    price = None if revision.quote is None or not revision.quote.is_actual else revision.quote.money
    known = {
        SYSTEM: _TWILIO,
        SMS_STATUS: revision.status,
        MESSAGE_ID: revision.source_id,
        REVISION: revision.details.get("revision"),
        SEGMENTS: revision.details.get("num_segments"),
    }
    found = entry_attributes(revision)
    found.update((name, value) for name, value in known.items() if value is not None)
    if price is not None:
        found.update(_price(price))
    return found


def _price(price: Money) -> dict[str, str]:
    if price.currency == "USD":
        return {PRICE_USD: amount_text(price.amount)}
    return {PRICE_AMOUNT: amount_text(price.amount), PRICE_CURRENCY: price.currency}


def _messaging(tracing: Tracing, operation: str, destination: str) -> dict[str, Any]:
    said = {SYSTEM: _TWILIO, OPERATION_NAME: operation, OPERATION_TYPE: operation, DESTINATION: destination}
    return {**_drawn_as(tracing), **said}


def _drawn_as(tracing: Tracing) -> dict[str, Any]:
    """OpenInference has no kind for messages; a chain is what it calls any step between others."""
    return {names.OPENINFERENCE_KIND: "CHAIN"} if "openinference" in tracing.presets else {}


def server_of(address: str) -> Mapping[str, Any]:
    """What a span says of the API at that address."""
    try:
        parts = urlsplit(address)
        known = {names.SERVER_ADDRESS: parts.hostname, names.SERVER_PORT: parts.port}
    except ValueError:  # no address at all; whoever calls it will hear of that
        return {}
    return {name: value for name, value in known.items() if value is not None}


def _expected(entry: Entry) -> dict[str, Any]:
    """The estimate and what it was made from."""
    segments = entry.details.get("segments")
    found = entry_attributes(entry)
    return found if segments is None else {**found, SEGMENTS: segments}
