"""What a ledger promises, and the words its reports group by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from types import MappingProxyType
from typing import Final, Protocol

from costtrace.context import check_text
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
        "hour": "hour",
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
"""The words a report may group by, and the field each stands for; ``tag:NAME`` is another, for any name of a tag.

An entry that takes the place of another stands under its own ``kind`` and ``status``, and moves the counts there.
"""

TAG: Final = "tag:"
"""Begins the words, and the fields, that stand for a tag."""
SMS: Final = "sms"
"""The kind that reports show for every kind of entry that tells of an SMS; those are ``sms`` and ``sms-…``."""
PARTS_OF_TIME: Final = frozenset({"day", "hour"})
_NO_CONDITIONS: Final[Mapping[str, str | None]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries to look at: those that occurred in ``[since, until)`` and say what `where` asks for."""

    since: datetime | None = None
    until: datetime | None = None
    where: Mapping[str, str | None] = field(default_factory=lambda: _NO_CONDITIONS, hash=False)
    """What entries say, by words of `GROUPS` other than day and hour, or ``tag:NAME``; None: nothing of it.

    ``{"kind": "sms"}`` are all kinds of entry that tell of an SMS, as in reports.
    """

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None:
                object.__setattr__(self, name, utc(moment, name))
        if self.since and self.until and self.since >= self.until:
            raise InvalidValue("until", self.until, f"a moment after since ({self.since.isoformat()})")
        if self.where is not _NO_CONDITIONS:
            object.__setattr__(self, "where", _conditions(self.where))


def _conditions(where: object) -> Mapping[str, str | None]:
    if not isinstance(where, Mapping):
        raise InvalidValue("where", where, "a mapping of words to texts, or to None")
    for word, said in where.items():
        if word in PARTS_OF_TIME:
            raise InvalidValue("where", word, "since and until for times, and other words here")
        field_of(word, "where")
        if said is not None:
            check_text(said, f"where[{word!r}]")
    return MappingProxyType(dict(where))


EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """A message by its latest entry."""

    message_uuid: str
    seq: int
    """The sequence number of the entry of it that was stored last, of those that were selected."""


class Recents(list[Recent]):
    """A page of messages. A rare selection in a long ledger is looked for a while, and then gives a short page."""

    __slots__ = ("before",)

    def __init__(self, found: Iterable[Recent], before: int | None) -> None:
        super().__init__(found)
        self.before = before
        """Where the next page begins; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """What the selected entries of one message and provider add up to, where one of them replaces another."""

    groups: Mapping[tuple[str | None, ...], Totals]
    times: int
    """Of how many messages that is so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """Totals, and which part of them is of messages in which something was replaced."""

    totals: Mapping[tuple[str | None, ...], Totals]
    messages: Sequence[Alike]


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

    def totals(
        self, by: Sequence[str] = (), selection: Selection = EVERYTHING, zone: tzinfo = UTC
    ) -> dict[tuple[str | None, ...], Totals]:
        """The totals of each group that has entries; `by` are words of `GROUPS`, none of them for one grand total.

        A ``day`` is one of the calendar in that zone, such as ``2026-10-25``; an ``hour`` is named with its offset,
        ``2026-10-25T02:00+02:00``, because the one at which clocks are set back comes twice. Raises InvalidValue for a
        word or a zone it does not know.
        """

    def replaced(self, by: Sequence[str], selection: Selection = EVERYTHING, zone: tzinfo = UTC) -> Replaced:
        """The `totals`, and the messages of which something was replaced, as of one moment: for reports to set off."""

    def recent(self, limit: int, *, before: int | None = None, selection: Selection = EVERYTHING) -> Recents:
        """The messages that have selected entries, the one whose latest was stored last first, each once.

        To go on, `before` is that of the page; a page may be shorter than `limit`, or empty, and have a next.
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
    """The fields to group by; raises InvalidValue naming the word that is none of `GROUPS` and no tag."""
    return tuple(field_of(word, "by") for word in by)


def field_of(word: str, argument: str) -> str:
    """The field a word stands for; a tag's is the word itself. Raises InvalidValue naming the argument."""
    if isinstance(word, str):
        if word in GROUPS:
            return GROUPS[word]
        if word.startswith(TAG) and word != TAG:
            return TAG + check_text(word.removeprefix(TAG), argument)
    raise InvalidValue(argument, word, f"one of {', '.join(GROUPS)} or {TAG}NAME")


def day_text(days_since_1970: int) -> str:
    """The UTC day as ISO 8601."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + days_since_1970).isoformat()
