"""When to ask Twilio for the price of a message.

No webhook carries it. It is usually there within minutes, rarely after a day, and now and then never; so the questions
come in quick succession at first and nightly at the end. The plan is a list of moments, not a count of tries: what
went unasked while nobody ran is asked once, not once for each moment that has passed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from costtrace.errors import InvalidValue

_JITTER_STEPS: Final = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class PricePlan:
    """The moments at which a price is asked for, counted from when the message went out or came in.

    Messages sent together would be asked for together; so each moment but the first and the last is moved by up to
    `jitter` of itself, always alike for one SID. Raises InvalidValue for offsets out of order, jitter included.
    """

    offsets: tuple[timedelta, ...] = (
        timedelta(0),
        timedelta(seconds=30),
        timedelta(minutes=2),
        timedelta(minutes=10),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=6),
        timedelta(hours=24),
        timedelta(hours=48),
        timedelta(hours=72),
    )
    """The last one is the deadline: no price then is no price."""
    jitter: float = 0.2
    """Part of an offset by which it may come sooner or later."""
    unreported: timedelta = timedelta(minutes=15)
    """How long after a send its callbacks are waited for; then they count as lost, and the first question is due."""

    def __post_init__(self) -> None:
        if not 0 <= self.jitter < 1:
            raise InvalidValue("plan.jitter", self.jitter, "a part of one, such as 0.2")
        if len(self.offsets) < 2 or any(self._latest(a) >= self._earliest(b) for a, b in pairwise(self.offsets)):  # noqa: PLR2004 - a first and a last
            raise InvalidValue("plan.offsets", self.offsets, "spans, each longer than the one before, jitter included")

    def _earliest(self, offset: timedelta) -> timedelta:
        return offset if offset == self.offsets[-1] else offset * (1 - self.jitter)

    def _latest(self, offset: timedelta) -> timedelta:
        return offset * (1 + self.jitter)

    def moments(self, sid: str, trigger: datetime) -> tuple[datetime, ...]:
        """Every moment at which that message is asked for, in order."""
        last = len(self.offsets) - 1
        return tuple(
            trigger + (offset if number == last else offset * (1 + self.jitter * _swing(sid, number)))
            for number, offset in enumerate(self.offsets)
        )

    def due(self, sid: str, trigger: datetime, asked: datetime | None) -> datetime | None:
        """The first moment of the plan that no question has answered for yet; None where the last one is over.

        `asked` is when the last question was answered without a price.
        """
        moments = self.moments(sid, trigger)
        return next((moment for moment in moments if asked is None or moment > asked), None)

    def deadline(self, trigger: datetime) -> datetime:
        """When a price that is still not there is given up."""
        return trigger + self.offsets[-1]


def _swing(sid: str, number: int) -> float:
    """Between -1 and 1, the same for the same message and step on every machine."""
    digest = hashlib.blake2b(f"{sid}/{number}".encode(), digest_size=4).digest()
    return 2 * int.from_bytes(digest) / _JITTER_STEPS - 1
