"""What the address of a page asks for: which time, in which zone, and which entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.datastructures import QueryParams

from costtrace.errors import InvalidValue
from costtrace.ledger import Selection

RANGES: Final[Mapping[str, tuple[str, timedelta | None]]] = {
    "24h": ("24 hours", timedelta(hours=24)),
    "7d": ("7 days", timedelta(days=7)),
    "30d": ("30 days", timedelta(days=30)),
    "all": ("all time", None),
}
"""The ranges that have a word of their own, each with its name and how far back it goes."""
CUSTOM: Final = "custom"
FILTERS: Final = (
    "user",
    "channel",
    "thread",
    "model",
    "provider",
    "kind",
    "direction",
    "message_type",
    "environment",
)
"""What entries can be chosen by, besides ``tag:NAME``; words of `costtrace.ledger.GROUPS`."""
_TAG: Final = "tag:"
WITHOUT: Final = "without"
"""Names what chosen entries say nothing of: ``?without=user``."""
_MOST_FILTERS: Final = 32
_MOST_GROUPS: Final = 8
_HOURS_UP_TO: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which entries a page is about."""

    range: str
    """A word of `RANGES`, or ``custom``."""
    since: datetime | None
    until: datetime | None
    zone: ZoneInfo
    zone_name: str
    where: Mapping[str, str | None] = field(default_factory=dict)
    """As `Selection.where`; None for entries that say nothing of it."""
    period_word: str = "day"
    """``hour`` where days would be too coarse to see anything; else ``day``."""
    texts: tuple[str, str] = ("", "")
    """The two ends of a custom range as they were written."""

    @property
    def selection(self) -> Selection:
        """As the ledger is asked."""
        return Selection(since=self.since, until=self.until, where=dict(self.where))

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for two that select the same."""
        return self.since, self.until, self.zone_name, tuple(sorted(self.where.items(), key=repr))

    @property
    def period_text(self) -> str:
        """The time, for people."""
        if self.range in RANGES:
            name = RANGES[self.range][0]
            return f"the last {name}" if self.since else name
        ends = [
            f"{word} {moment.astimezone(self.zone):%Y-%m-%d %H:%M}"
            for word, moment in (("from", self.since), ("before", self.until))
            if moment
        ]
        return " ".join(ends)

    def first_cut(self, word: str) -> str | None:
        """When the first ``hour``, ``day`` or ``month`` begins to count, where that is not its own beginning."""
        if self.since is None:
            return None
        local = self.since.astimezone(self.zone)
        begun = local.replace(minute=0, second=0, microsecond=0)
        if word != "hour":
            begun = begun.replace(hour=0)
        if word == "month":
            begun = begun.replace(day=1)
        return None if local == begun else f"{local:%Y-%m-%d %H:%M}"

    def query(self, **changes: str | None) -> str:
        """The query of a page about the same entries, with those changes; None takes something away."""
        pairs: list[tuple[str, str | None]] = [
            ("range", self.range),  # always: what goes without saying differs from page to page
            ("since", self.texts[0] or None),
            ("until", self.texts[1] or None),
            ("zone", None if self.zone_name == "UTC" else self.zone_name),
            *((word, value) for word, value in self.where.items() if value is not None),
            *((WITHOUT, word) for word, value in self.where.items() if value is None),
        ]
        if changes.get("range", CUSTOM) != CUSTOM:
            changes = {"since": None, "until": None, **changes}
        kept = [(name, value) for name, value in pairs if value is not None and name not in changes]
        added = [(name, value) for name, value in changes.items() if value is not None]
        return urlencode(kept + added)

    def exact_query(self, **changes: str | None) -> str:
        """As `query`, with both ends spelt out, so that it names the same entries tomorrow."""
        ends = {
            name: None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            for name, moment in (("since", self.since), ("until", self.until))
        }
        bounded = CUSTOM if any(ends.values()) else "all"
        return self.query(range=bounded, **ends, **changes)

    def with_group(self, word: str, value: str | None) -> str:
        """The query of the entries among these that belong to that group."""
        return replace(self, where={**self._others(word), word: value}).query()

    def without_filter(self, word: str) -> str:
        """The query without that filter."""
        return replace(self, where=self._others(word)).query()

    def _others(self, word: str) -> dict[str, str | None]:
        return {name: text for name, text in self.where.items() if name != word}


def asked(params: QueryParams, now: datetime, *, default: str = "7d") -> Asked:
    """What the query of an address asks for. Raises InvalidValue naming the part that cannot be understood."""
    zone_name = params.get("zone", "").strip() or "UTC"
    zone = _zone(zone_name)
    word = params.get("range", "").strip() or (CUSTOM if params.get("since") or params.get("until") else default)
    since, until = _ends(word, params, zone, now)
    texts = (params.get("since", "").strip(), params.get("until", "").strip()) if word == CUSTOM else ("", "")
    is_short = since is not None and (until or now) - since <= _HOURS_UP_TO
    return Asked(
        range=word,
        since=since,
        until=until,
        zone=zone,
        zone_name=zone_name,
        where=_where(params),
        period_word="hour" if is_short else "day",
        texts=texts,
    )


def is_filter(word: str) -> bool:
    """Whether entries can be chosen by that word."""
    return word in FILTERS or (word.startswith(_TAG) and len(word) > len(_TAG))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # a directory of the time zone data is an OSError
        raise InvalidValue("zone", name, "the name of a time zone, such as Europe/Berlin or UTC") from None


def _ends(word: str, params: QueryParams, zone: ZoneInfo, now: datetime) -> tuple[datetime | None, datetime | None]:
    if word in RANGES:
        back = RANGES[word][1]
        # To the minute: for as long, everybody who asks is shown the same sums.
        return (None if back is None else (now - back).replace(second=0, microsecond=0)), None
    if word != CUSTOM:
        raise InvalidValue("range", word, f"one of {', '.join([*RANGES, CUSTOM])}")
    since, until = (_moment(params.get(name, "").strip(), name, zone) for name in ("since", "until"))
    if since and until and since >= until:
        raise InvalidValue("before", params.get("until"), f"a moment after {params.get('since')}")
    return since, until


def _moment(text: str, name: str, zone: ZoneInfo) -> datetime | None:
    """The moment a text names; without a zone of its own it is one of the page's."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
        moment = (read.replace(tzinfo=zone) if read.tzinfo is None else read).astimezone(UTC)
        moment.astimezone(zone)  # as the page says it
    except (ValueError, OverflowError):  # what a zone moves out of the calendar
        label = "from" if name == "since" else "before"
        raise InvalidValue(label, text, "a date such as 2026-01-20 or a time such as 2026-01-20T09:30") from None
    return moment


def _where(params: QueryParams) -> dict[str, str | None]:
    said: dict[str, str | None] = {}
    for name, value in params.multi_items():
        if name == WITHOUT:
            if not is_filter(value):
                raise InvalidValue(WITHOUT, value, f"one of {', '.join(FILTERS)} or {_TAG}NAME")
            said[value] = None
        elif is_filter(name) and value:
            said[name] = value
    if len(said) > _MOST_FILTERS:
        raise InvalidValue("filters", len(said), f"at most {_MOST_FILTERS}")
    return said


def page_number(params: QueryParams) -> int:
    """The page that is asked for, from 1. Raises InvalidValue."""
    text = params.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):  # noqa: PLR2004 - digits enough
        raise InvalidValue("page", text, "a page number, such as 2")
    return int(text)


def words(text: str, known: Sequence[str]) -> tuple[str, ...]:
    """The groups a text names, separated by commas. Raises InvalidValue for one that nothing can be grouped by."""
    said = tuple(word for part in text.split(",") if (word := part.strip()))
    for word in said:
        if word not in known and not (word.startswith(_TAG) and len(word) > len(_TAG)):
            raise InvalidValue("by", word, f"one of {', '.join(known)} or {_TAG}NAME")
    if len(said) > _MOST_GROUPS:
        raise InvalidValue("by", f"{len(said)} words", f"at most {_MOST_GROUPS}")
    return said
