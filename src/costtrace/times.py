"""Moments: always aware, always UTC, to the microsecond, and ISO 8601 with a Z in text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from costtrace.errors import InvalidValue

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S: Final = 86_400
_SECOND_US: Final = 1_000_000


def utc(moment: object, field: str) -> datetime:
    """The moment in UTC; a naive datetime is refused, because nobody can know what it meant."""
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise InvalidValue(field, moment, "a datetime with a time zone, such as datetime.now(UTC)")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970, exactly."""
    since = moment - EPOCH
    return (since.days * _DAY_S + since.seconds) * _SECOND_US + since.microseconds


def from_micros(micros: int) -> datetime:
    """The moment that many microseconds after 1970, exactly."""
    return EPOCH + timedelta(0, micros // _SECOND_US, micros % _SECOND_US)


def moment_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds, such as ``2026-01-20T09:30:00.000000Z``: sorts as time does."""
    return (moment if moment.tzinfo is UTC else moment.astimezone(UTC)).isoformat("T", "microseconds")[:-6] + "Z"


def parse_moment(text: object, field: str) -> datetime:
    """The UTC moment of an ISO 8601 text; a bare date is its first moment in UTC. Raises InvalidValue."""
    try:
        moment = datetime.fromisoformat(text)  # type: ignore[arg-type]  # raises TypeError for what is no text
    except (TypeError, ValueError):
        raise InvalidValue(field, text, "a date such as 2026-01-20 or a time such as 2026-01-20T09:30:00Z") from None
    if moment.tzinfo is None and len(str(text)) == len("2026-01-20"):
        moment = moment.replace(tzinfo=UTC)
    return utc(moment, field)
