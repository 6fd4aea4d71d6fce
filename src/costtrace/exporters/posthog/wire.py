"""Events in the form of PostHog's two endpoints, and requests that hold as many of them as they may."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from costtrace.exporters.posthog.contract import Event
from costtrace.jsontext import encode

MAX_BYTES: Final = 1_000_000
"""Of a request. PostHog takes more; what one answer says nothing of should not be much."""

LIBRARY: Final = "langchain-costtrace"


class Packed(NamedTuple):
    """An event, and its JSON for the endpoint that answers for each event."""

    event: Event
    json: bytes


def packed(events: Iterable[Event], *, person_profiles: bool) -> list[Packed]:
    """The events as ``/i/v1/analytics/events`` takes them, each uuid once.

    One uuid that comes twice makes PostHog refuse the whole request. Skew correction would move an event's time by what
    lies between sending and storing it: near midnight, a retry would then be another day's event and never be merged.
    """
    options = {"disable_skew_correction": True, "process_person_profile": person_profiles}
    distinct: dict[str, Packed] = {}
    for event in events:
        if event.uuid not in distinct:
            record = {
                "event": event.name,
                "uuid": event.uuid,
                "distinct_id": event.distinct_id,
                "timestamp": event.timestamp,
                "options": options,
                "properties": event.properties,
            }
            distinct[event.uuid] = Packed(event, encode(record).encode())
    return list(distinct.values())


def requests_of(events: Sequence[Packed], *, limit: int) -> Iterator[Sequence[Packed]]:
    """The events in requests of at most that many, and of at most `MAX_BYTES`; one larger event goes alone."""
    first = size = 0
    for number, event in enumerate(events):
        if number > first and (number - first == limit or size + len(event.json) > MAX_BYTES):
            yield events[first:number]
            first, size = number, 0
        size += len(event.json) + 1
    if first < len(events):
        yield events[first:]


def body(events: Sequence[Packed], *, created_at: str) -> bytes:
    """The body of a request to ``/i/v1/analytics/events``."""
    return b'{"created_at":"%b","batch":[%b]}' % (created_at.encode(), b",".join(event.json for event in events))


def batch_record(event: Event, *, person_profiles: bool, version: str) -> dict[str, Any]:
    """The event as ``/batch/`` takes it: what are options of the other endpoint are properties there."""
    return {
        "event": event.name,
        "uuid": event.uuid,
        "distinct_id": event.distinct_id,
        "timestamp": event.timestamp,
        "properties": {
            **event.properties,
            "$ignore_sent_at": True,
            "$process_person_profile": person_profiles,
            "$lib": LIBRARY,
            "$lib_version": version,
        },
    }
