"""From entries to events: which entry makes which event, and what every event says.

===================  ==================================================================================
entry                event
===================  ==================================================================================
``llm``              ``$ai_generation``
``embedding``        ``$ai_embedding``
``sms``              ``sms_inbound`` or ``sms_outbound``: one for each MessageSid
``sms-price``        ``sms_cost_update``: the whole price, by version
``correction``       the event of what it corrects, with the difference; it counts as no call
another, with money  ``tool_cost``
another              none: the request to send, delivery statuses and vain looks for a price cost nothing
===================  ==================================================================================

Each entry makes at most one event, with the uuid `event_uuid(name, entry_id)` and the entry's own moment; and a message
of which all costs are known makes a ``message_cost`` beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from importlib.metadata import version
from typing import Any, Final

from costtrace.context import Context
from costtrace.entry import Entry, Kind
from costtrace.errors import UnknownMessage
from costtrace.exporters.posthog.ai import put_ai
from costtrace.exporters.posthog.contract import (
    AI_EMBEDDING,
    AI_GENERATION,
    MESSAGE_COST,
    SCHEMA_VERSION,
    SMS_COST_UPDATE,
    SMS_INBOUND,
    SMS_OUTBOUND,
    TOOL_COST,
    Event,
    put_known,
)
from costtrace.exporters.posthog.ids import event_uuid
from costtrace.exporters.posthog.money import put_cost, put_estimate, put_standing
from costtrace.exporters.posthog.personal import Hasher, environment_name, identifier, model_name, named, person, word
from costtrace.exporters.posthog.sms import put_price, put_sms
from costtrace.exporters.posthog.totals import corrected_kind, is_money, put_total, settled_entries
from costtrace.messages import Message
from costtrace.twilio.envelope import INBOUND, OUTBOUND
from costtrace.twilio.legs import KINDS as SMS_KINDS
from costtrace.twilio.legs import PRICE, SMS, Leg, leg_of

Messages = Callable[[str], Message]
"""Reads a message by its uuid, such as ``ledger.message``; raises UnknownMessage."""

_AI: Final = {Kind.LLM.value: AI_GENERATION, Kind.EMBEDDING.value: AI_EMBEDDING}


def event_name(entry: Entry) -> str | None:
    """The name of the event that the entry makes; None where it makes none."""
    kind = entry.kind
    if kind == Kind.CORRECTION:
        kind = corrected_kind(entry)
    if kind in _AI:
        return _AI[kind]
    if kind == SMS:
        return SMS_INBOUND if entry.context.direction == INBOUND else SMS_OUTBOUND
    if kind == PRICE:
        return SMS_COST_UPDATE
    if kind in SMS_KINDS:  # they carry no money; should one, it must not be lost
        return SMS_COST_UPDATE if entry.cost is not None and entry.cost.amount else None
    return TOOL_COST if is_money(entry) else None


class EventMapper:
    """Makes events of entries. It keeps nothing between two calls.

    `environment` stands where neither the entry nor its message names one. `hasher`, such as `NumberHasher`, stands for
    ids that must not leave; without it, such an id is left out and the message stands for its user. `tags` names those
    of the application's own labels that leave, as ``tag_NAME``; the others do not. `messages` is asked for what an
    entry itself does not say, and for the totals of messages; without it there are no ``message_cost`` events.

    Raises InvalidValue for an environment that is no word: reports ask for it by name.
    """

    def __init__(
        self,
        *,
        environment: str | None = None,
        hasher: Hasher | None = None,
        tags: Collection[str] = (),
        messages: Messages | None = None,
    ) -> None:
        self._environment = None if environment is None else environment_name(environment)
        self._hasher = hasher
        self._tags = tuple(tags)
        self._messages = messages
        self._everywhere = {
            "schema_version": SCHEMA_VERSION,
            "costtrace_version": version("langchain-costtrace"),
            "$geoip_disable": True,
        }

    def events(self, entries: Iterable[Entry]) -> list[Event]:
        """The events of those entries, in their order, and the totals of the messages that they settle.

        Raises what `messages` raises, UnknownMessage excepted.
        """
        known: dict[str, Message | None] = {}
        made: list[Event] = []
        settling: dict[str, str] = {}
        for entry in entries:
            name = event_name(entry)
            if name is not None:
                made.append(self._event(name, entry, known))
            if self._messages is not None and is_money(entry):
                settling[entry.message_uuid] = entry.entry_id
        for uuid, entry_id in settling.items():
            message = self._message(uuid, known)
            event = None if message is None else self.message_cost(message, entry_id=entry_id)
            if event is not None:
                made.append(event)
        return made

    def message_cost(self, message: Message, *, entry_id: str = "") -> Event | None:
        """What the message came to; None while something of it is not known. `entry_id` is that of `Event`."""
        entries = settled_entries(message)
        if not entries:
            return None
        context = message.context
        uuid = event_uuid(MESSAGE_COST, f"{message.uuid}/{len(entries)}")
        properties = self._common(message.uuid, context)
        put_total(properties, entries)
        moment = _moment(entries[0])
        who = self._person(message.uuid, context, message, entries[0], uuid)
        return Event(MESSAGE_COST, uuid, moment, who, properties, entry_id)

    def _event(self, name: str, entry: Entry, known: dict[str, Message | None]) -> Event:
        uuid = event_uuid(name, entry.entry_id)
        context, message, leg = entry.context, None, None
        if entry.kind in SMS_KINDS:
            message = self._message(entry.message_uuid, known)
            leg = None if message is None else _leg(message, entry)
            for more in (leg, message):
                context = context if more is None else context.over(more.context)
        properties = self._common(entry.message_uuid, context)
        if entry.span is not None:
            properties["otel_trace_id"], properties["otel_span_id"] = entry.span.trace_id, entry.span.span_id
        self._put_body(name, properties, entry, leg)
        if entry.replaces is not None:
            corrects = entry.details.get("corrects")
            if isinstance(corrects, str) and name not in {SMS_COST_UPDATE, SMS_INBOUND, SMS_OUTBOUND}:
                properties["corrects"] = event_uuid(name, corrects)
        who = self._person(entry.message_uuid, context, message, entry, uuid)
        return Event(name, uuid, _moment(entry), who, properties, entry.entry_id)

    def _put_body(self, name: str, properties: dict[str, Any], entry: Entry, leg: Leg | None) -> None:
        if name == SMS_COST_UPDATE:
            properties.setdefault("direction", OUTBOUND)
            put_price(properties, entry, leg)
            return
        if name in {SMS_INBOUND, SMS_OUTBOUND}:
            properties["direction"] = INBOUND if name == SMS_INBOUND else OUTBOUND
            put_sms(properties, entry, leg)
        else:
            put_standing(properties, entry)
            if name == TOOL_COST:
                _put_tool(properties, entry)
            else:
                put_ai(properties, entry)
        put_cost(properties, entry.cost)
        put_estimate(properties, entry.estimate)

    def _common(self, message_uuid: str, context: Context) -> dict[str, Any]:
        """What every event says, as far as it is known."""
        properties: dict[str, Any] = self._everywhere.copy()
        put_known(properties, "message_uuid", named(message_uuid, self._hasher))
        put_known(properties, "conversation_id", named(context.thread_id, self._hasher))
        put_known(properties, "channel", word(context.channel))
        put_known(properties, "direction", word(context.direction))
        put_known(properties, "message_type", word(context.message_type))
        put_known(properties, "environment", word(context.environment or self._environment))
        put_known(properties, "reply_to", identifier(context.reply_to))
        if self._tags and context.tags:
            for tag in self._tags:
                put_known(properties, f"tag_{tag}", identifier(context.tags.get(tag)))
        return properties

    def _person(self, message_uuid: str, context: Context, message: Message | None, entry: Entry, event: str) -> str:
        """The distinct id: the user, or the phone number's keyed hash, or what stands for nobody else."""
        who = person(context.user_id, self._hasher)
        if who is None and entry.kind in SMS_KINDS:
            who = _number_hash(context, (entry,) if message is None else (entry, *message.entries))
        return who or f"message:{named(message_uuid, self._hasher) or event}"

    def _message(self, uuid: str, known: dict[str, Message | None]) -> Message | None:
        if uuid not in known:
            try:
                known[uuid] = None if self._messages is None else self._messages(uuid)
            except UnknownMessage:
                known[uuid] = None
        return known[uuid]


def _leg(message: Message, entry: Entry) -> Leg | None:
    send_id = entry.details.get("send_id")
    return leg_of(message, sid=entry.source_id, send_id=send_id if isinstance(send_id, str) else None)


def _number_hash(context: Context, entries: Iterable[Entry]) -> str | None:
    """The keyed hash of the other side's number, where one was kept."""
    name = "from_hash" if context.direction == INBOUND else "to_hash"
    hashes = (entry.details.get(name) for entry in entries)
    return identifier(next((found for found in hashes if isinstance(found, str)), None))


def _put_tool(properties: dict[str, Any], entry: Entry) -> None:
    put_known(properties, "kind", word(corrected_kind(entry) if entry.kind == Kind.CORRECTION else entry.kind))
    put_known(properties, "name", model_name(entry.model))
    put_known(properties, "provider", word(entry.provider))
    put_known(properties, "source_id", identifier(entry.source_id))


def _moment(entry: Entry) -> str:
    return entry.occurred_at.isoformat("T", "milliseconds")[:-6] + "Z"
