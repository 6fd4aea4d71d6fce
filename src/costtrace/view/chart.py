"""The waterfall of a story as numbers: bars, marks, breaks and wires, in hundredths of the width of the chart.

Nothing here is in pixels but the guess of how wide a label is, so the same chart fits a desk and a phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from costtrace.times import to_micros
from costtrace.view.axis import Axis, Interval, axis, length_text
from costtrace.view.steps import LinkType, Step
from costtrace.view.story import Story

_CHARACTER_PX: Final = 6.6
"""Of the labels' type; only to keep labels apart."""
_APART_PX: Final = 10
_WIDE_PX: Final = 440
_NARROW_PX: Final = 230
_EDGE: Final = 6.0
"""Nearer to an edge than this, a label begins or ends at its place instead of being centred there."""
_THINNEST: Final = 0.001
"""A bar without any width is not drawn at all, not even its outline."""
_FURTHEST: Final = 40
"""A wire across more rows than this is drawn at both its ends only."""


class WirePart(StrEnum):
    """Which piece of a wire a row holds. A wire leaves its origin sideways, runs along rows and ends with a head."""

    ACROSS = "across"
    UPPER = "upper"
    """From the top of the row to its middle."""
    LOWER = "lower"
    """From its middle to the bottom."""
    THROUGH = "through"
    HEAD = "head"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A horizontal piece, in hundredths of the width."""

    x: float
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class Wire:
    """One piece of a wire, in one row."""

    part: WirePart
    type: LinkType
    x: float
    width: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step as it is drawn."""

    step: Step
    bar: Span | None
    """None for an instant."""
    under_way: Span | None
    marks: tuple[float, ...]
    wires: tuple[Wire, ...]
    after: str
    """How long after the beginning of the story it began."""
    lasted: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A word on the axis."""

    x: float
    text: str
    anchor: str
    """``start``, ``middle`` or ``end``, as SVG has it."""
    wide: bool
    """Whether it has room on a wide chart only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The waterfall."""

    rows: Mapping[int, Row]
    """By the number of their step."""
    breaks: tuple[Span, ...]
    lines: tuple[float, ...]
    """Where a time is named."""
    times: tuple[Label, ...]
    gaps: tuple[Label, ...]
    """How long nothing happened, above each break that has room for it."""


def chart_of(story: Story) -> Chart:
    """The waterfall of that story."""
    steps = story.steps
    scale = axis(interval for step in steps for interval in _intervals(step))
    places = {step.number: place for place, step in enumerate(steps)}
    wires = _wires(steps, places, scale)
    ticks = [(scale.at(scale.start + tick), length_text(tick)) for tick in scale.ticks()]
    later = [(stretch.left, f"+{length_text(stretch.start - scale.start)}") for stretch in scale.stretches[1:]]
    return Chart(
        rows={step.number: _row(step, scale, tuple(wires.get(place, ()))) for place, step in enumerate(steps)},
        breaks=tuple(Span(x=_hundredths(one.left), width=_hundredths(one.right - one.left)) for one in scale.breaks),
        lines=tuple(_hundredths(place) for place, _ in (*ticks, *later)),
        times=tuple(_labels([*later[-1:], *later[:-1], *ticks])),
        gaps=tuple(_labels((one.middle, length_text(one.gap_us)) for one in scale.breaks)),
    )


def _intervals(step: Step) -> Iterator[Interval]:
    start = to_micros(step.starts)
    yield start, start if step.ends is None else to_micros(step.ends)
    for moment in (*step.marks, *(() if step.under_way_until is None else (step.under_way_until,))):
        yield to_micros(moment), to_micros(moment)


def _row(step: Step, scale: Axis, wires: tuple[Wire, ...]) -> Row:
    start = _place(scale, step.starts)
    end = start if step.ends is None else _place(scale, step.ends)
    until = end if step.under_way_until is None else _place(scale, step.under_way_until)
    lasted = None if step.ends is None else length_text(to_micros(step.ends) - to_micros(step.starts))
    return Row(
        step=step,
        bar=None if step.ends is None else Span(x=start, width=max(end - start, _THINNEST)),
        under_way=Span(x=end, width=until - end) if until > end else None,
        marks=tuple(_place(scale, mark) for mark in step.marks) or (() if step.ends is not None else (start,)),
        wires=wires,
        after=length_text(to_micros(step.starts) - scale.start),
        lasted=lasted,
    )


def _place(scale: Axis, moment: datetime) -> float:
    return _hundredths(scale.at(to_micros(moment)))


def _hundredths(fraction: float) -> float:
    return round(fraction * 100, 3)


def _wires(steps: Sequence[Step], places: Mapping[int, int], scale: Axis) -> dict[int, list[Wire]]:
    """The pieces of all wires by row, each once. A wire runs from the end of one step to the beginning of the other."""
    found: dict[int, dict[Wire, None]] = {}
    for place, step in enumerate(steps):
        for link in step.links:
            origin = places[link.to]
            begins = _place(scale, steps[origin].ends or steps[origin].starts)
            for row, wire in _pieces(origin, place, begins, _place(scale, step.starts), link.type):
                found.setdefault(row, {})[wire] = None
    return {row: list(wires) for row, wires in found.items()}


def _pieces(origin: int, target: int, begins: float, ends: float, kind: LinkType) -> Iterator[tuple[int, Wire]]:
    """A wire always runs down: a story tells of nothing before what it goes back to."""
    yield origin, Wire(WirePart.ACROSS, kind, min(begins, ends), round(abs(ends - begins), 3))
    yield origin, Wire(WirePart.LOWER, kind, ends)
    between = range(origin + 1, target)
    if len(between) <= _FURTHEST:
        for row in between:
            yield row, Wire(WirePart.THROUGH, kind, ends)
    yield target, Wire(WirePart.UPPER, kind, ends)
    yield target, Wire(WirePart.HEAD, kind, ends)


def _labels(wanted: Iterable[tuple[float, str]]) -> Iterator[Label]:
    """The labels for which there is room; of two that would touch, the one that was wanted first stays."""
    wide: list[tuple[float, float]] = []
    narrow: list[tuple[float, float]] = []
    for place, text in wanted:
        x = _hundredths(place)
        anchor = "start" if x < _EDGE else "end" if x > 100 - _EDGE else "middle"
        if not _fits(x, text, anchor, wide, _WIDE_PX):
            continue
        yield Label(x=x, text=text, anchor=anchor, wide=not _fits(x, text, anchor, narrow, _NARROW_PX))


def _fits(x: float, text: str, anchor: str, taken: list[tuple[float, float]], width_px: int) -> bool:
    """Whether that label touches no other; then its room is taken."""
    length = len(text) * _CHARACTER_PX
    left = x / 100 * width_px - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
    right = left + length
    if any(left < end + _APART_PX and begin < right + _APART_PX for begin, end in taken):
        return False
    taken.append((left, right))
    return True
