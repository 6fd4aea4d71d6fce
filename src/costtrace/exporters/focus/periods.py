"""Billing and charge periods: whole months and whole seconds in UTC, the end not included."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""There is no later one; what would end after it ends there."""
_SECOND: Final = timedelta(seconds=1)


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """First moment of the month, and first moment of the next."""
    start = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if start.month < 12:  # noqa: PLR2004 - December
        return start, start.replace(month=start.month + 1)
    return start, _LAST if start.year == _LAST.year else start.replace(year=start.year + 1, month=1)


def seconds_of(moment: datetime, duration_us: int | None) -> tuple[datetime, datetime]:
    """The seconds that were touched, one at least: a period that has no length would hold nothing."""
    start = moment.replace(microsecond=0)
    try:
        end = moment + timedelta(microseconds=duration_us or 0)
        whole = end.replace(microsecond=0)
        return start, max(whole if whole == end else whole + _SECOND, start + _SECOND)
    except OverflowError:
        return start, _LAST


def moment_second_text(moment: datetime) -> str:
    """The only form of a moment that FOCUS knows: ``2026-01-20T09:30:01Z``."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}Z"
