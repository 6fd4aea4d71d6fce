"""What arrived over OTLP, as plain values whose reprs tell their types apart: 1, 1.0 and True are three values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Attributes = Mapping[str, Any]
"""Texts, truth values, integers, doubles, bytes, lists and mappings of them; None for a value without content."""

KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES = ("UNSET", "OK", "ERROR")


class Link(NamedTuple):
    trace_id: str
    span_id: str
    attributes: Attributes
    flags: int


class Event(NamedTuple):
    name: str
    time_ns: int
    attributes: Attributes


class Status(NamedTuple):
    code: str
    """One of `STATUSES`."""
    message: str


class Exemplar(NamedTuple):
    value: float
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedSpan:
    """Ids are lower-case hexadecimal digits, empty where there is none."""

    name: str
    kind: str
    """One of `KINDS`."""
    trace_id: str
    span_id: str
    parent_span_id: str
    start_ns: int
    end_ns: int
    flags: int
    trace_state: str
    attributes: Attributes
    links: tuple[Link, ...]
    events: tuple[Event, ...]
    status: Status
    resource: Attributes
    scope: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedPoint:
    """One number, or one histogram, of one metric under one set of attributes."""

    metric: str
    unit: str
    type: str
    """``gauge``, ``sum`` or ``histogram``."""
    monotonic: bool
    """Whether a sum only grows: a counter."""
    attributes: Attributes
    value: float
    """The number, or the sum of the histogram."""
    count: int
    """How many values a histogram has seen; 0 for a number."""
    bounds: tuple[float, ...]
    buckets: tuple[int, ...]
    exemplars: tuple[Exemplar, ...]
    resource: Attributes
