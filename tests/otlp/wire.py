"""Reads OTLP off the wire by hand: tags, varints, fixed-size numbers, and the field numbers of the published protocol.

It shares no code with the exporters under test, whose encoder is generated from the same files as the usual decoder: a
mistake in those files, or in the library that reads them, would cancel out there.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.otlp.captured import (
    KINDS,
    STATUSES,
    Attributes,
    CapturedPoint,
    CapturedSpan,
    Event,
    Exemplar,
    Link,
    Status,
)

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

Field = int | bytes
Message = dict[int, list[Field]]
"""Every value of every field, in order; fixed-size numbers are bytes still."""


class Malformed(ValueError):  # noqa: N818 - names what is wrong
    """Bytes that are no protocol buffer."""


def read_message(data: bytes) -> Message:
    fields: Message = defaultdict(list)
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        value, at = _value(data, at, tag & 7)
        fields[tag >> 3].append(value)
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(data):
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7
    raise Malformed(f"a number breaks off at byte {at}")


def _value(data: bytes, at: int, wire_type: int) -> tuple[Field, int]:
    if wire_type == VARINT:
        return _varint(data, at)
    if wire_type == LENGTH:
        size, at = _varint(data, at)
    elif wire_type in {FIXED64, FIXED32}:
        size = 8 if wire_type == FIXED64 else 4
    else:
        raise Malformed(f"wire type {wire_type} at byte {at}")
    if at + size > len(data):
        raise Malformed(f"{size} bytes at byte {at} of {len(data)}")
    return data[at : at + size], at + size


def read_spans(data: bytes) -> list[CapturedSpan]:
    """The spans of an ExportTraceServiceRequest."""
    return [
        _span(read_message(span), resource, scope)
        for resource, groups in _resources(data)
        for group in groups
        for scope in [_text(_child(group, 1), 1)]
        for span in _children(group, 2)
    ]


def read_points(data: bytes) -> list[CapturedPoint]:
    """The points of an ExportMetricsServiceRequest."""
    return [
        point
        for resource, groups in _resources(data)
        for group in groups
        for metric in _children(group, 2)
        for point in _points(read_message(metric), resource)
    ]


def _resources(data: bytes) -> Iterator[tuple[Attributes, list[Message]]]:
    for item in _children(read_message(data), 1):
        resource = read_message(item)
        yield _attributes(_child(resource, 1), 1), [read_message(group) for group in _children(resource, 2)]


def _span(span: Message, resource: Attributes, scope: str) -> CapturedSpan:
    status = _child(span, 15)
    return CapturedSpan(
        name=_text(span, 5),
        kind=KINDS[_int(span, 6)],
        trace_id=_id(span, 1),
        span_id=_id(span, 2),
        parent_span_id=_id(span, 4),
        start_ns=_fixed64(span, 7),
        end_ns=_fixed64(span, 8),
        flags=_fixed32(span, 16),
        trace_state=_text(span, 3),
        attributes=_attributes(span, 9),
        links=tuple(
            Link(_id(link, 1), _id(link, 2), _attributes(link, 4), _fixed32(link, 6))
            for link in map(read_message, _children(span, 13))
        ),
        events=tuple(
            Event(_text(event, 2), _fixed64(event, 1), _attributes(event, 3))
            for event in map(read_message, _children(span, 11))
        ),
        status=Status(STATUSES[_int(status, 3)], _text(status, 2)),
        resource=resource,
        scope=scope,
    )


_POINT_TYPES = {5: "gauge", 7: "sum", 9: "histogram"}


def _points(metric: Message, resource: Attributes) -> Iterator[CapturedPoint]:
    for number, type_ in _POINT_TYPES.items():
        for data in map(read_message, _children(metric, number)):
            for point in map(read_message, _children(data, 1)):
                histogram = type_ == "histogram"
                yield CapturedPoint(
                    metric=_text(metric, 1),
                    unit=_text(metric, 3),
                    type=type_,
                    monotonic=type_ == "sum" and bool(_int(data, 3)),
                    attributes=_attributes(point, 9 if histogram else 7),
                    value=_double(point, 5) if histogram else _number(point, 4),
                    count=_fixed64(point, 4) if histogram else 0,
                    bounds=_packed(point, 7, "d") if histogram else (),
                    buckets=_packed(point, 6, "Q") if histogram else (),
                    exemplars=tuple(
                        Exemplar(_number(exemplar, 3), _id(exemplar, 5), _id(exemplar, 4))
                        for exemplar in map(read_message, _children(point, 8 if histogram else 5))
                    ),
                    resource=resource,
                )


def _number(point: Message, double: int) -> float:
    """A signed 64-bit integer (field 6), or a double, whose field differs between points (4) and exemplars (3)."""
    if 6 in point:
        return int(struct.unpack("<q", _bytes(point, 6))[0])
    return _double(point, double)


def _attributes(message: Message, number: int) -> Attributes:
    pairs = map(read_message, _children(message, number))
    return {_text(pair, 1): _any(_child(pair, 2)) for pair in pairs}


def _any(value: Message) -> Any:
    """An AnyValue: one field of several; the field says the type."""
    for number, read in _ANY.items():
        if number in value:
            return read(value)
    return None


_ANY: dict[int, Any] = {
    1: lambda value: _text(value, 1),
    2: lambda value: bool(_int(value, 2)),
    3: lambda value: _signed(_int(value, 3)),
    4: lambda value: _double(value, 4),
    5: lambda value: [_any(read_message(item)) for item in _children(_child(value, 5), 1)],
    6: lambda value: dict(_attributes(_child(value, 6), 1)),
    7: lambda value: _bytes(value, 7),
}


def _signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


def _child(message: Message, number: int) -> Message:
    return read_message(_bytes(message, number))


def _children(message: Message, number: int) -> list[bytes]:
    children = message.get(number, [])
    assert all(isinstance(child, bytes) for child in children), f"field {number} holds numbers"
    return children  # type: ignore[return-value]  # mypy does not follow the line above


def _bytes(message: Message, number: int) -> bytes:
    """The last one counts, as the protocol has it."""
    children = _children(message, number)
    return children[-1] if children else b""


def _text(message: Message, number: int) -> str:
    return _bytes(message, number).decode()


def _id(message: Message, number: int) -> str:
    return _bytes(message, number).hex()


def _int(message: Message, number: int) -> int:
    values = message.get(number, [0])
    assert isinstance(values[-1], int), f"field {number} is no varint"
    return values[-1]


def _fixed64(message: Message, number: int) -> int:
    return int.from_bytes(_bytes(message, number), "little")


def _fixed32(message: Message, number: int) -> int:
    return int.from_bytes(_bytes(message, number), "little")


def _double(message: Message, number: int) -> float:
    data = _bytes(message, number)
    return float(struct.unpack("<d", data)[0]) if data else 0.0


def _packed(message: Message, number: int, letter: str) -> tuple[Any, ...]:
    data = b"".join(_children(message, number))
    return struct.unpack(f"<{len(data) // 8}{letter}", data)
