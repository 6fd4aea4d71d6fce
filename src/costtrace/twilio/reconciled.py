"""What a reconciliation found, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from costtrace.times import moment_text
from costtrace.twilio.bill import BillLine, FeesIncluded


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What one reconciliation found."""

    since: datetime
    until: datetime
    listed: int = 0
    """Messages in Twilio's list."""
    found_inbound: int = 0
    """Came in, and no webhook of them had been stored."""
    found_outbound: int = 0
    """Went out past our sender: replies in TwiML, other programs."""
    identified: int = 0
    """Sent by us with unknown outcome, and now known by their SID."""
    statuses: int = 0
    """Deliveries that the list knew more of."""
    priced: int = 0
    """Messages that have their first price from here."""
    revised: int = 0
    """Messages whose price had changed."""
    given_up: int = 0
    """Sent with unknown outcome, and in no list since: never sent, as it seems, but nobody said so."""
    recent: int = 0
    """Unknown but so young that their callback may be on its way: left for the next time."""
    unreadable: int = 0
    """Messages whose price is none that could be stored."""
    uncompared: int = 0
    """Messages of a kind for which the bill has no category that is known here."""
    truncated: bool = False
    """The list was longer than the limit; then the bill is not compared."""
    lines: tuple[BillLine, ...] = ()
    """Our sums beside the bill, by day and category."""
    fees_included: FeesIncluded = FeesIncluded.UNKNOWN
    """Whether the prices of messages hold the carriers' fees."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON objects; money as text."""
        return {
            "since": moment_text(self.since),
            "until": moment_text(self.until),
            **{name: getattr(self, name) for name in COUNTS},
            "truncated": self.truncated,
            "bill": [line.to_dict() for line in self.lines],
            "fees_included": self.fees_included.value,
        }


COUNTS: Final = (
    "listed",
    "found_inbound",
    "found_outbound",
    "identified",
    "statuses",
    "priced",
    "revised",
    "given_up",
    "recent",
    "unreadable",
    "uncompared",
)
"""The fields that count."""
