"""Proof of delivery: what PostHog holds of a day beside what the ledger made of it.

Compared are, by the name of the event, how many there are and what they add to the cost, in whole 1e-12: first as sums,
and event by event where those differ. What is missing, or stands there with another amount, is told by its entry; what
is missing can be delivered again. What PostHog holds beyond that (another ledger's events, another environment's) is no
fault. ``message_cost`` events repeat what others say and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from costtrace.entry import Entry
from costtrace.errors import ExporterUnavailable, InvalidValue
from costtrace.exporters.posthog.contract import COSTED, Event
from costtrace.exporters.posthog.events import EventMapper
from costtrace.ledger import Ledger, Selection
from costtrace.money import amount_text, pico_amount
from costtrace.posthog_reports.answers import Queries, integer
from costtrace.posthog_reports.definitions import MAX_ROWS, between
from costtrace.posthog_reports.items import quoted

SETTLES_AFTER: Final = timedelta(hours=2)
"""Before that, what is on its way looks as if it were lost."""

_DAY: Final = timedelta(days=1)
Requeue = Callable[[Sequence[Entry]], int]
"""Has those entries delivered again; how many of them were not still to be delivered anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Events of one name."""

    events: int = 0
    usd: Decimal = Decimal(0)
    """What they add to the cost in US dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The events of one name, on both sides."""

    event: str
    ledger: Sum
    posthog: Sum
    missing: tuple[str, ...] = ()
    """The entries whose events PostHog does not have."""
    differing: tuple[str, ...] = ()
    """The entries whose events PostHog has, with another amount."""

    @property
    def is_same(self) -> bool:
        """Whether both sides say the same."""
        return self.ledger == self.posthog


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What one day's comparison came to."""

    day: date
    comparisons: tuple[Comparison, ...]
    """By the name of the event; names that neither side has are left out."""
    requeued: int = 0
    """Missing ones that are delivered again. The others were still to be delivered."""

    @property
    def missing(self) -> int:
        """How many events of the ledger PostHog does not have."""
        return sum(len(one.missing) for one in self.comparisons)

    @property
    def differing(self) -> int:
        """How many events of the ledger PostHog has with another amount. Sent again, both would stand there."""
        return sum(len(one.differing) for one in self.comparisons)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON objects, money as text."""
        return {
            "day": self.day.isoformat(),
            "missing": self.missing,
            "differing": self.differing,
            "requeued": self.requeued,
            "events": [
                {
                    "event": one.event,
                    "ledger": _plain(one.ledger),
                    "posthog": _plain(one.posthog),
                    "missing": list(one.missing),
                    "differing": list(one.differing),
                }
                for one in self.comparisons
            ],
        }


def verify(
    queries: Queries,
    ledger: Ledger,
    day: date,
    *,
    now: datetime,
    requeue: Requeue | None = None,
    page_size: int = MAX_ROWS,
) -> Verified:
    """Compare a UTC day, and with `requeue` let be delivered again what PostHog does not have.

    `page_size` is how many events are asked for at a time where sums differ. Raises InvalidValue for a day that has not
    ended two hours ago, and what ledger, query and `requeue` raise.
    """
    since, until = _bounds(day, now)
    ledger_day, posthog_day = _LedgerDay(ledger, since, until), _PostHogDay(queries, since, until)
    ours, theirs = ledger_day.sums(), posthog_day.sums()
    unequal = {name for name in ours if ours[name] != theirs.get(name)}
    faults = ledger_day.faults(unequal, dict(posthog_day.amounts(unequal, page_size))) if unequal else _Faults()
    requeued = 0
    if requeue is not None and (missing := [entry for entries in faults.missing.values() for entry in entries]):
        requeued = requeue(missing)
    comparisons = tuple(
        Comparison(
            event=name,
            ledger=ours.get(name, Sum()),
            posthog=theirs.get(name, Sum()),
            missing=_ids(faults.missing.get(name, ())),
            differing=_ids(faults.differing.get(name, ())),
        )
        for name in sorted({*ours, *theirs})
    )
    return Verified(day=day, comparisons=comparisons, requeued=requeued)


def _bounds(day: date, now: datetime) -> tuple[datetime, datetime]:
    since = datetime.combine(day, time.min, UTC)
    until = since + _DAY
    if now < until + SETTLES_AFTER:
        expected = f"{last_settled(now)} or earlier: a day that ended at least two hours ago, in UTC"
        raise InvalidValue("day", day.isoformat(), expected)
    return since, until


def last_settled(now: datetime) -> date:
    """The last UTC day that can be compared."""
    return (now - SETTLES_AFTER).date() - _DAY


@dataclass(frozen=True, slots=True)
class _Faults:
    """Entries by the name of their events."""

    missing: dict[str, list[Entry]] = field(default_factory=dict)
    differing: dict[str, list[Entry]] = field(default_factory=dict)


class _LedgerDay:
    """What the ledger makes of the time; an event has the moment of its entry."""

    def __init__(self, ledger: Ledger, since: datetime, until: datetime) -> None:
        self._ledger = ledger
        self._selection = Selection(since=since, until=until)

    def sums(self) -> dict[str, Sum]:
        counts: dict[str, list[int]] = {}
        for event, _ in self._events():
            count = counts.setdefault(event.name, [0, 0])
            count[0] += 1
            count[1] += event.properties.get("cost_change_picousd", 0)
        return {name: Sum(events=events, usd=pico_amount(pico)) for name, (events, pico) in counts.items()}

    def faults(self, names: Collection[str], stored: Mapping[str, int | None]) -> _Faults:
        """What is wrong with the events of those names, of which these are stored, each with what it adds."""
        faults = _Faults()
        for event, entry in self._events():
            if event.name not in names:
                continue
            if event.uuid not in stored:
                faults.missing.setdefault(event.name, []).append(entry)
            elif event.properties.get("cost_change_picousd") != stored[event.uuid]:
                faults.differing.setdefault(event.name, []).append(entry)
        return faults

    def _events(self) -> Iterator[tuple[Event, Entry]]:
        mapper = EventMapper()
        for _, entry in self._ledger.entries(selection=self._selection):
            for event in mapper.events([entry]):
                yield event, entry


class _PostHogDay:
    """What PostHog holds of the time: each event once, by its earliest copy, which may stand in the day before."""

    def __init__(self, queries: Queries, since: datetime, until: datetime) -> None:
        self._queries = queries
        self._around = between(since - _DAY, until + _DAY)
        self._within = between(since, until, of="min(timestamp)")

    def sums(self) -> dict[str, Sum]:
        events = self._stored(COSTED)
        hogql = f"SELECT name, count(), sum(pico) FROM (\n{events}\n) GROUP BY name LIMIT {MAX_ROWS}"  # noqa: S608
        return {
            name: Sum(events=integer(count) or 0, usd=pico_amount(integer(pico) or 0))
            for name, count, pico in self._ask(hogql)
        }

    def amounts(self, names: Iterable[str], page_size: int) -> Iterator[tuple[str, int | None]]:
        """What each event of those names adds, by its uuid, in as many queries as it takes."""
        after, events = "", self._stored(names)
        while True:
            page = f"WHERE id > '{after}' ORDER BY id LIMIT {page_size}"
            rows = self._ask(f"SELECT id, pico FROM (\n{events}\n) {page}")  # noqa: S608 - made of our own words
            found = [(_uuid(uuid), integer(pico)) for uuid, pico in rows]
            yield from found
            if len(found) < page_size:
                return
            after, _ = found[-1]

    def _ask(self, hogql: str) -> list[list[Any]]:
        found: list[list[Any]] = self._queries.query(hogql, name="costtrace verify")["results"]
        return found

    def _stored(self, names: Iterable[str]) -> str:
        return f"""\
  SELECT toString(uuid) AS id, any(event) AS name, any(toInt(properties.cost_change_picousd)) AS pico
  FROM events
  WHERE event IN ({quoted(sorted(names))}) AND {self._around}
  GROUP BY uuid
  HAVING {self._within}"""  # noqa: S608 - made of our own words


def _ids(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(entry.entry_id for entry in entries)


def _uuid(text: Any) -> str:
    try:
        return str(UUID(text))
    except (AttributeError, TypeError, ValueError):
        raise ExporterUnavailable(f"PostHog answers with {text!r} where a uuid was asked for") from None


def _plain(one: Sum) -> Mapping[str, Any]:
    return {"events": one.events, "usd": amount_text(one.usd)}
