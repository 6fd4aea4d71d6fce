"""Which SMS wait for a price, and which of them are due.

The ledger says so. It is searched once an hour; in between only what was added to it is read, and what that is about,
or what has become due, is looked at again. So a watch over thousands of waiting messages costs what happens to them.
The search finds what was passed over: a ledger that many machines write to may show an entry behind one that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from costtrace.ledger import Ledger
from costtrace.messages import Message
from costtrace.times import EPOCH
from costtrace.twilio.legs import KINDS, WAITING_KINDS, Leg, legs

_SEARCH_AGAIN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What of one message waits."""

    due: datetime | None
    """When the next question is due; None where Twilio has named nothing yet that could be asked for."""
    waiting: int = 0
    """How many SMS."""
    unidentified: int = 0
    """Those among them that have no SID yet."""


_AT_ONCE = Place(due=EPOCH)


class Agenda:
    """The messages that wait, as far as the ledger was read. For one thread."""

    def __init__(self, ledger: Ledger, due: Callable[[Leg], datetime]) -> None:
        self._ledger = ledger
        self._due = due
        self._places: dict[str, Place] = {}
        self._read_to = 0
        self._searched: datetime | None = None

    @property
    def places(self) -> list[Place]:
        """What waits of each message, as it was last looked at."""
        return list(self._places.values())

    def due(self, now: datetime) -> Iterator[Leg]:
        """The SMS whose question is due by then, read as they are asked for; each is looked at again the next time."""
        self._read(now)
        for uuid, place in list(self._places.items()):
            if place.due is not None and place.due <= now:
                yield from self._look(uuid, now)

    def _read(self, now: datetime) -> None:
        if self._searched is None or now - self._searched >= _SEARCH_AGAIN:
            first, last = self._searched is None, self._ledger.last_seq()
            for entry in self._ledger.waiting(WAITING_KINDS):
                self._places.setdefault(entry.message_uuid, _AT_ONCE)
            self._searched = now
            if first:
                self._read_to = last
        for seq, entry in self._ledger.entries(after=self._read_to):
            self._read_to = seq
            if entry.kind in KINDS:
                self._places[entry.message_uuid] = _AT_ONCE

    def _look(self, uuid: str, now: datetime) -> list[Leg]:
        waiting = waiting_legs(self._ledger.message(uuid))
        if not waiting:
            del self._places[uuid]
            return []
        moments = {leg.name: self._due(leg) for leg in waiting if leg.sid is not None}
        self._places[uuid] = Place(
            due=min(moments.values(), default=None),
            waiting=len(waiting),
            unidentified=len(waiting) - len(moments),
        )
        return [leg for leg in waiting if leg.sid is not None and moments[leg.name] <= now]


def waiting_legs(message: Message) -> list[Leg]:
    """The SMS of that message that wait for a price."""
    return [leg for leg in legs(message) if leg.needs_price]


def unidentified(ledger: Ledger) -> list[Leg]:
    """The SMS that wait and have no SID."""
    uuids = dict.fromkeys(entry.message_uuid for entry in ledger.waiting(WAITING_KINDS))
    return [leg for uuid in uuids for leg in waiting_legs(ledger.message(uuid)) if leg.sid is None]
