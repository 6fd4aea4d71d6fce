"""What a ledger promises, and the words its reports group by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final, Protocol

from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.messages import Message, Totals
from costtrace.times import utc

GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "channel": "channel",
        "day": "day",
        "direction": "direction",
        "environment": "environment",
        "kind": "kind",
        "message": "message_uuid",
        "message_type": "message_type",
        "model": "model",
        "provider": "provider",
        "status": "cost_status",
        "thread": "thread_id",
        "user": "user_id",
    }
)
"""The words a report may group by, and the field each stands for.

An entry that takes the place of another stands under its own ``kind`` and ``status``, and moves the counts there.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries to look at: those that occurred in ``[since, until)``."""

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, utc(moment, name))
        if self.since and self.until and self.since >= self.until:
            raise InvalidValue("until", self.until, f"a moment after since ({self.since.isoformat()})")


EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHealth:
    """How a store is doing."""

    name: str
    """Where the entries are, for people."""
    entries: int | None
    """How many are stored; None where the store cannot be read, or would have to be read whole to count them."""
    waiting: int
    """Bytes that are durable but not yet in the table."""
    rejected: int
    """Spooled records that the table refused; they are kept beside it."""
    lost: int
    """Entries that processes reported lost, because they could be stored nowhere."""
    problem: str | None
    """What is wrong, if anything."""


class Ledger(Protocol):
    """An append-only store of entries that can be read back. Safe to use from many threads.

    An entry is known by its id, and an id is one message's. What gives the same id to entries of two messages has two
    entries in a store that is keyed by message, and the first of them in any other. The ids that name an SMS are known
    across messages everywhere: ``sms/<MessageSid>`` belongs to the message that said so first.
    """

    @property
    def name(self) -> str:
        """Where the entries are, for people. Ledgers of one name hold the same entries."""

    def append(self, entries: Iterable[Entry]) -> frozenset[str]:
        """Store the entries in their order and answer the ids of those that were new.

        Raises InvalidValue for an entry the store cannot hold, and then nothing changed. Raises LedgerUnavailable or
        LedgerUnusable; a store with transactions has stored nothing then, and any other perhaps the first of each
        message's entries. Appending again completes it, and answers as new only what was not stored before.
        """

    def spool(self, entry: Entry) -> None:
        """Make the entry durable now and visible to every later read; an id that is known already changes nothing.

        Raises LedgerUnavailable or LedgerUnusable; the entry is to be spooled again then, even if only the answer of a
        remote store was lost.
        """

    def message(self, message_uuid: str) -> Message:
        """The message of that uuid; raises UnknownMessage."""

    def find(self, entry_id: str) -> Entry | None:
        """The entry of that id, where there is one: ``sms/<MessageSid>`` tells which message the SID belongs to.

        A store that is keyed by message finds these only, and raises InvalidValue for other ids.
        """

    def entries(
        self, *, after: int = 0, limit: int | None = None, selection: Selection = EVERYTHING
    ) -> Iterator[tuple[int, Entry]]:
        """The entries whose sequence number is greater than `after`, in the order they were stored.

        Numbers are above zero and grow, and need not be dense. A store that many machines write to may show an entry a
        moment later than it was stored, and behind one with a greater number; `message` is exact in any store.
        """

    def waiting(self, kinds: Iterable[str]) -> Iterator[Entry]:
        """The pending entries of those kinds whose place no other has taken: one with ``replaces="pending"`` whose
        ``details["corrects"]`` names them. What has been replaced costs little to pass over.
        """

    def totals(self, by: Sequence[str] = (), selection: Selection = EVERYTHING) -> dict[tuple[str | None, ...], Totals]:
        """The totals of each group that has entries; `by` are words of `GROUPS`, none of them for one grand total.

        Raises InvalidValue for a word it does not know.
        """

    def last_seq(self) -> int:
        """The sequence number of the entry that was stored last; 0 where there is none."""

    def report_loss(self, count: int, reason: str) -> None:
        """Remember that entries were lost."""

    def flush(self) -> None:
        """Bring everything durable into the table."""

    def health(self) -> LedgerHealth:
        """How the store is doing; never raises."""

    def close(self) -> None:
        """Flush and let go of files; the ledger can be used again afterwards."""


def check_groups(by: Sequence[str]) -> tuple[str, ...]:
    """The fields to group by; raises InvalidValue naming the word that is not one of `GROUPS`."""
    for word in by:
        if word not in GROUPS:
            raise InvalidValue("by", word, f"one of {', '.join(GROUPS)}")
    return tuple(GROUPS[word] for word in by)


def day_text(days_since_1970: int) -> str:
    """The UTC day as ISO 8601."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + days_since_1970).isoformat()
