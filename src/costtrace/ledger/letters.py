"""What a ledger keeps of its deliveries. Moments are microseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RETRY: Final = "retry"
PARKED: Final = "parked"
DEAD: Final = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How far one exporter is."""

    exporter: str
    start: int
    """Entries up to this sequence number are not for this exporter."""
    cursor: int
    """Entries up to this one were acknowledged or have a letter."""
    sent: int
    """Entries that were acknowledged."""
    failures: int
    """Attempts in a row that came to nothing."""
    faults: int
    """Attempts at which the exporter itself broke."""
    failing_since_us: int | None
    next_try_us: int | None
    """Nothing is delivered before that moment."""
    stopped: bool
    """A person has to change something first."""
    problem: str | None
    """The last one; it stays when all is well again."""
    problem_us: int | None
    owner: str | None
    """Who delivers at the moment."""
    lease_until_us: int | None
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One entry that was not taken."""

    seq: int
    state: str
    """``retry``, ``parked`` or ``dead``."""
    reason: str
    attempts: int
    since_us: int
    next_try_us: int | None = None
    """When it is tried again; None where it waits for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why entries were not taken."""

    state: str
    reason: str
    count: int
    entry_id: str
    """One of them, the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt came to that the exporter answered."""

    sent: int
    cursor: int | None = None
    """How far the exporter is now; None where only letters were delivered."""
    delivered: Sequence[int] = ()
    """The letters among the acknowledged, which are letters no longer."""
    letters: Sequence[Letter] = ()
    """What was not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An attempt of which nothing is known."""

    reason: str
    at_us: int
    next_try_us: int | None
    stopped: bool = False
    fault: bool = False
    letters: Sequence[Letter] = ()
    """What was tried, where only letters were: then it says nothing of the exporter, and does not count against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many entries of one exporter are where."""

    pending: int
    """Not tried yet, or to be tried again."""
    retry: int
    """Those among them that were refused before."""
    parked: int
    dead: int
    oldest_pending_us: int | None
    """When the one that has been pending longest was recorded."""
