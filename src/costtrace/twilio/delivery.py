"""What became of a message: one table, and the rule that reads it.

Twilio promises no order, and a callback carries no time. So a word counts by its rank alone, never by when it came: the
highest one stands, whichever arrived last. Of two final words that contradict each other the worse one stands, the
contradiction is kept, and a fetch of the message decides, because Twilio's own record is the authority.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from costtrace.times import EPOCH

CREATED: Final = "created"
SEND_UNKNOWN: Final = "send_unknown"
REJECTED: Final = "rejected"
FINAL_RANK: Final = 50
"""From here on a message has been delivered, or never will be."""

CREATE: Final = "create"
"""A status from the answer to the request that created the message."""
CALLBACK: Final = "callback"
WEBHOOK: Final = "webhook"
"""A status from the webhook that brought the message in."""
FETCH: Final = "fetch"
"""A status from Twilio's own record of the message."""


class Row(NamedTuple):
    """One status a message can have."""

    word: str
    rank: int
    after: tuple[str, ...]
    """The statuses it usually follows; empty where a message can begin with it. Only the rank decides."""
    meaning: str


TABLE: Final = (
    Row(CREATED, 0, (), "written down, not yet sent"),
    Row(SEND_UNKNOWN, 5, (CREATED,), "the request to send it had no clear answer"),
    Row("accepted", 10, (CREATED, SEND_UNKNOWN), "Twilio has it, and looks for a sender"),
    Row("scheduled", 10, (CREATED, SEND_UNKNOWN), "Twilio sends it later"),
    Row("receiving", 10, (), "Twilio is receiving it"),
    Row("queued", 20, (CREATED, SEND_UNKNOWN, "accepted", "scheduled"), "waits for its turn"),
    Row("sending", 30, ("queued",), "on its way to the carrier"),
    Row("sent", 40, ("queued", "sending"), "the carrier has it; many never say more"),
    Row("canceled", FINAL_RANK, ("accepted", "scheduled"), "taken back before it was sent"),
    Row(REJECTED, FINAL_RANK, (CREATED,), "Twilio refused the request, or was not reached; nothing was bought"),
    Row("received", FINAL_RANK, ("receiving",), "it came in"),
    Row("delivered", FINAL_RANK, ("sent",), "the carrier says that it arrived"),
    Row("partially_delivered", FINAL_RANK, ("sent",), "some of it arrived"),
    Row("undelivered", FINAL_RANK, ("sent",), "the carrier says that it did not arrive; billed all the same"),
    Row("failed", FINAL_RANK, ("queued", "sending", "sent"), "Twilio could not send it; may be billed"),
    Row("read", 60, ("delivered",), "opened, on channels that say so"),
)
"""By rank; of equal ranks the later row stands."""

_PLACES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {row.word: (row.rank, place) for place, row in enumerate(TABLE)}
)
_UNKNOWN: Final = (-1, -1)


def rank(status: str) -> int | None:
    """How far along that status is; None for a word the table does not have."""
    place = _PLACES.get(status)
    return None if place is None else place[0]


def is_final(status: str) -> bool:
    """Whether nothing but a contradiction, or its being read, can follow."""
    return _PLACES.get(status, _UNKNOWN)[0] >= FINAL_RANK


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One status of one message, as somebody reported it."""

    status: str
    """Known to the table or not."""
    source: str
    """``create``, ``webhook``, ``callback``, ``fetch``, or ``local`` for what we ourselves know."""
    reported_at: datetime
    """When it reached us, UTC."""
    error_code: int | None = None
    raw_dlr_done_date: str | None = None

    @property
    def standing(self) -> tuple[object, ...]:
        """What decides which of two reports stands: the greater."""
        rank_of, place = _PLACES.get(self.status, _UNKNOWN)
        fetched = self.source == FETCH
        said = (self.status, self.reported_at, self.error_code or 0, self.raw_dlr_done_date or "", self.source)
        return rank_of, fetched, self.reported_at if fetched else EPOCH, place, said


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a message, from all reports of it."""

    status: str
    conflict: bool
    """Two final words contradict each other and no fetch has decided: fetch the message."""
    error_code: int | None
    """Of the report that stands, or else of the one next to it: no later report without a code erases it."""
    raw_dlr_done_date: str | None
    """When the carrier says it was done, YYMMDDhhmm by the carrier's clock."""
    history: tuple[Report, ...]
    """Every report, in the order they reached us."""

    @property
    def is_final(self) -> bool:
        """Whether the status can hardly change any more."""
        return is_final(self.status)


def delivery(reports: Iterable[Report]) -> Delivery | None:
    """What those reports add up to, in any order and repetition; None where there is none."""
    distinct = frozenset(reports)
    if not distinct:
        return None
    ranked = sorted(distinct, key=lambda report: report.standing, reverse=True)
    best = ranked[0]
    rivals = {report.status for report in ranked if rank(report.status) == FINAL_RANK}
    return Delivery(
        status=best.status,
        conflict=len(rivals) > 1 and not any(r.source == FETCH and is_final(r.status) for r in ranked),
        error_code=next((r.error_code for r in ranked if r.error_code is not None), None),
        raw_dlr_done_date=next((r.raw_dlr_done_date for r in ranked if r.raw_dlr_done_date is not None), None),
        history=tuple(sorted(distinct, key=lambda r: (r.reported_at, r.standing))),
    )


def arrows() -> Iterator[tuple[str, str, str]]:
    """The usual ways through the table, as (from, to, label); an empty `from` is the beginning."""
    for row in TABLE:
        for before in row.after or ("",):
            yield before, row.word, ""
