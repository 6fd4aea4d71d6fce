"""Finds the entries of a batch at which an exporter breaks, so that the others are delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from costtrace.entry import Entry
from costtrace.errors import ExporterError
from costtrace.exporters.protocol import Exporter, Fate, Refusal

_HOPELESS: Final = 32
"""That many single entries failed and not one was taken: it is the exporter that is broken, not the entries."""


@dataclass(slots=True)
class Answers:
    """What became of a batch."""

    refusals: dict[str, Refusal] = field(default_factory=dict)
    """By entry_id."""
    taken: int = 0
    """Entries the exporter gave an answer for."""
    broke: Exception | None = None
    """What the exporter raised last, and must not; None where it always answered."""

    def missing(self, entries: Sequence[Entry]) -> bool:
        """Whether it never answered at all."""
        return self.broke is not None and self.taken == 0 and bool(entries)


def export(exporter: Exporter, entries: Sequence[Entry]) -> Answers:
    """Deliver the batch; where the exporter breaks, in ever smaller parts.

    An entry at which it breaks even alone is parked, unless it breaks at all of them. Raises ExporterUnavailable and
    ExporterStopped, and then nothing counts as delivered.
    """
    answers = Answers()
    parts = [entries]
    culprits: list[Refusal] = []
    while parts and not (answers.taken == 0 and len(culprits) >= _HOPELESS):
        part = parts.pop()
        try:
            answered = by_id(exporter.export(part))
        except ExporterError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an exporter breaks with, the others have to go on
            answers.broke = error
            if len(part) == 1:
                culprits.append(Refusal(entry_id=part[0].entry_id, fate=Fate.PARKED, reason=type(error).__name__))
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
        else:
            answers.taken += len(part)
            answers.refusals.update(answered)
    if answers.taken:
        answers.refusals.update(by_id(culprits))
    return answers


def by_id(refusals: Sequence[Refusal]) -> Mapping[str, Refusal]:
    """The refusals by the entry each is about."""
    return {refusal.entry_id: refusal for refusal in refusals}
