"""Days and hours of a time zone: calendar days as people there count them, and hours that no clock change merges.

A quarter of an hour has one label where the zone's offset is the same at both its ends and so is the label. In any
other, each moment is asked for by itself, so that zones of any offset, and clocks set at any second, come out right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Final

from costtrace.errors import InvalidValue
from costtrace.times import from_micros

QUARTER_US: Final = 900_000_000
"""The offsets in use today are whole numbers of these."""


def _hour(moment: datetime) -> str:
    return moment.replace(minute=0, second=0, microsecond=0).isoformat(timespec="minutes")


LABELS: Final[Mapping[str, Callable[[datetime], str]]] = MappingProxyType(
    {"day": lambda moment: moment.date().isoformat(), "hour": _hour}
)
"""The parts of time that reports group by: a day is ``2026-10-25``, an hour ``2026-10-25T02:00+02:00``.

An hour is named with its offset, because the one at which clocks are set back comes twice.
"""


class LocalTime:
    """The days and hours of one zone. It keeps what it was asked, so make one for each report.

    Raises InvalidValue for what is no time zone.
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        if not isinstance(zone, tzinfo):
            raise InvalidValue("zone", zone, "a time zone, such as zoneinfo.ZoneInfo('Europe/Berlin')")
        self._zone = zone
        self._quarters: dict[tuple[str, int], str | None] = {}

    def label(self, part: str, micros: int) -> str:
        """The part of time, one of `LABELS`, in which the moment so many microseconds after 1970 lies."""
        quarter = micros // QUARTER_US
        if (part, quarter) not in self._quarters:
            self._quarters[part, quarter] = self.common(part, quarter * QUARTER_US, (quarter + 1) * QUARTER_US)
        return self._quarters[part, quarter] or LABELS[part](self._local(micros))

    def common(self, part: str, start: int, end: int) -> str | None:
        """The one label of all moments from `start` up to `end`, a day at most; None where they have several."""
        first, last = self._local(start), self._local(end - 1)
        label = LABELS[part](first)
        return label if first.utcoffset() == last.utcoffset() and label == LABELS[part](last) else None

    def _local(self, micros: int) -> datetime:
        moment = from_micros(micros)
        try:
            return moment.astimezone(self._zone)
        except OverflowError:  # a day before the first or behind the last that a calendar here has
            return moment
