"""What an exporter promises: it takes entries, and says of each that it did not take what is to become of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from costtrace.entry import Entry


class Fate(StrEnum):
    """What becomes of an entry that was not taken."""

    RETRY = "retry"
    """It is tried again."""
    PARKED = "parked"
    """Not while things are as they are (a quota): it waits until somebody replays it."""
    DEAD = "dead"
    """Never, as it stands; kept with the reason, and can be replayed all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One entry that was not taken."""

    entry_id: str
    fate: Fate
    reason: str
    """A word or two for people, such as ``quota_limited``; never what the entry holds."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "fate", Fate(self.fate))
        object.__setattr__(self, "reason", str(self.reason))


class Exporter(Protocol):
    """Somewhere else that accepts entries. Whoever delivers may give it an entry again: it counts once all the same."""

    @property
    def name(self) -> str:
        """Where the entries go, for people and for the cursor: two exporters of one name are one."""

    @property
    def batch_size(self) -> int:
        """How many entries it takes at a time, at most."""

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        """Hand over the entries. Those that no refusal names are acknowledged: stored there, or of no interest there.

        Raises ExporterUnavailable where nothing is known of any of them, and ExporterStopped where a person is needed
        first; nothing is acknowledged then.
        """

    def close(self) -> None:
        """Let go of connections and files; the exporter can be used again afterwards."""
