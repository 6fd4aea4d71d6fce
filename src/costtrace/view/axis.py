"""The time axis of a turn: what happens close together is drawn to scale, and a long silence is cut out and named.

A model call takes a second, the carrier's word comes a minute later and the price hours after that. To one scale the
calls would be a hair's breadth, so the axis is made of stretches, all of the same scale, with breaks between them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_BREAK: Final = 0.07
_BREAKS: Final = 0.45
"""All breaks together take no more of the width than this."""
_PAD: Final = 0.012
_PADS: Final = 0.2
"""All room beside stretches together takes no more than this of what breaks leave."""
_MAX_TICKS: Final = 8
_MS: Final = 1_000
_S: Final = 1_000 * _MS
_MIN: Final = 60 * _S
_H: Final = 60 * _MIN
_DAY: Final = 24 * _H
_TICKS: Final = (
    *(unit * factor for unit in (1, 10, 100, _MS, 10 * _MS, 100 * _MS) for factor in (1, 2, 5)),
    *(seconds * _S for seconds in (1, 2, 5, 10, 20, 30)),
    *(minutes * _MIN for minutes in (1, 2, 5, 10, 20, 30)),
    *(hours * _H for hours in (1, 2, 3, 6, 12)),
)

Interval = tuple[int, int]
"""First and last moment, in microseconds since 1970; both the same for an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of the axis that is drawn to scale; positions are fractions of the whole width."""

    start: int
    end: int
    left: float
    right: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A silence that was cut out."""

    left: float
    right: float
    gap_us: int
    """How long nothing happened."""

    @property
    def middle(self) -> float:
        """Where its name goes."""
        return (self.left + self.right) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Where moments stand, as fractions of the width: later is never further left."""

    stretches: tuple[Stretch, ...]
    breaks: tuple[Break, ...]

    @property
    def start(self) -> int:
        """The first moment."""
        return self.stretches[0].start

    def at(self, moment: int) -> float:
        """The place of a moment, 0 to 1: within a break in proportion, and outside the axis at its end."""
        place = max(bisect_right(self.stretches, moment, key=lambda stretch: stretch.start) - 1, 0)
        here = self.stretches[place]
        if moment <= here.end:
            return _between(moment, here.start, here.end, here.left, here.right)
        if place + 1 == len(self.stretches):
            return here.right
        then = self.stretches[place + 1]
        return _between(moment, here.end, then.start, here.right, then.left)

    def ticks(self) -> Iterator[int]:
        """Round distances from the first moment, in microseconds, that fall into the first stretch."""
        first = self.stretches[0]
        share = (first.right - first.left) or 1
        wanted = max(round(_MAX_TICKS * share), 1)
        length = first.end - first.start
        step = next((tick for tick in _TICKS if length <= tick * wanted), -(-length // wanted // _DAY) * _DAY)
        yield from range(0, length + 1, max(step, 1))


def axis(intervals: Iterable[Interval]) -> Axis:
    """The axis on which those intervals can be told apart, in whatever order they come.

    A silence is kept to scale where it is no longer than everything that is kept to scale besides, the shorter ones
    first. Raises ValueError where there is no interval.
    """
    busy = list(_merged(intervals))
    if not busy:
        raise ValueError("an axis needs at least one moment")
    longest_kept = _longest_kept(busy)
    groups = [busy[0]]
    for start, end in busy[1:]:
        if start - groups[-1][1] <= longest_kept:
            groups[-1] = (groups[-1][0], end)
        else:
            groups.append((start, end))
    return _laid_out(groups)


def _merged(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """The times at which something was going on, apart from each other."""
    ordered = sorted((min(interval), max(interval)) for interval in intervals)
    if not ordered:
        return
    since, until = ordered[0]
    for start, end in ordered[1:]:
        if start > until:
            yield since, until
            since, until = start, end
        until = max(until, end)
    yield since, until


def _longest_kept(busy: Sequence[Interval]) -> int:
    kept = sum(end - start for start, end in busy)
    longest = 0
    for gap in sorted(then[0] - here[1] for here, then in pairwise(busy)):
        if kept and gap > kept:  # where there are only instants, the shortest silence is the scale
            break
        kept += gap
        longest = gap
    return longest


def _laid_out(groups: Sequence[Interval]) -> Axis:
    count = len(groups)
    gap_width = min(_BREAK, _BREAKS / (count - 1)) if count > 1 else 0.0
    room = 1 - gap_width * (count - 1)
    pad = min(_PAD, _PADS * room / (2 * count))
    length = sum(end - start for start, end in groups)
    scale = (room - 2 * pad * count) / length if length else 0.0
    stretches: list[Stretch] = []
    breaks: list[Break] = []
    left = 0.0
    for start, end in groups:
        if stretches:
            breaks.append(Break(left=left, right=left + gap_width, gap_us=start - stretches[-1].end))
            left += gap_width
        right = min(left + pad + (end - start) * scale, 1.0)
        stretches.append(Stretch(start=start, end=end, left=left + pad, right=right))
        left = right + pad
    return Axis(stretches=tuple(stretches), breaks=tuple(breaks))


def _between(moment: int, start: int, end: int, left: float, right: float) -> float:
    """In proportion; never outside, whatever floats make of it."""
    if end <= start or moment <= start:
        return left
    return min(left + (moment - start) / (end - start) * (right - left), right)


def length_text(microseconds: int) -> str:
    """A length of time as people say it: ``340 ms``, ``48.1 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    us = abs(microseconds)
    sign = "-" if microseconds < 0 else ""
    if us == 0:
        return "0 s"
    if us < _S:
        return f"{sign}{us / _MS:.{0 if us >= 10 * _MS or us % _MS == 0 else 1}f} ms"
    if us < _MIN:
        return f"{sign}{f'{us / _S:.2f}'.rstrip('0').rstrip('.')} s"
    for large, small, names in ((_DAY, _H, "d h"), (_H, _MIN, "h min"), (_MIN, _S, "min s")):
        if us >= large:
            whole, rest = us // large, us % large // small
            big, little = names.split()
            return f"{sign}{whole} {big} {rest} {little}" if rest else f"{sign}{whole} {big}"
    raise AssertionError  # pragma: no cover - a minute is the smallest of them
