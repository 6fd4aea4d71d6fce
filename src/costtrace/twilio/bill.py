"""Our record beside Twilio's bill: what each category of messages cost on each day, and whether prices hold fees.

Twilio's usage records are made apart from the prices of messages, so they can show what is missing in a sum of those.
Carriers' fees stand in categories of their own there. Whether the price of a message holds them too Twilio's pages
answer both ways; the numbers of an account answer it exactly, and only they are asked here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from costtrace.messages import Amounts
from costtrace.money import Money

CATEGORIES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "sms": ("sms-inbound", "sms-outbound"),
        "mms": ("mms-inbound", "mms-outbound"),
        "whatsapp": ("channels-whatsapp-inbound", "channels-whatsapp-outbound"),
    }
)
"""Twilio's usage categories of messages that come in and go out, by what they are billed as.

Beside each other, none within another: ``sms`` holds the first two, ``totalprice`` everything.
"""
FEES: Final[Mapping[str, str]] = MappingProxyType(
    {"sms": "sms-messages-carrierfees", "mms": "mms-messages-carrierfees"}
)
"""The category of the carriers' fees, for what has them."""


class FeesIncluded(StrEnum):
    """Whether the prices of messages hold the carriers' fees."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class BillLine:
    """One category on one UTC day: what we recorded, and what the bill says."""

    category: str
    day: date
    messages: int
    """How many we recorded."""
    unpriced: int
    """How many of them have no price; then `recorded` is not the whole."""
    recorded: Amounts
    billed: Amounts
    """By currency; Twilio bills in one."""

    @property
    def drift(self) -> Amounts | None:
        """What we recorded less what is billed; None where prices are missing. Fees have no record of their own."""
        if self.unpriced or self.category in FEES.values():
            return None
        return self.recorded.plus({currency: -amount for currency, amount in self.billed.items()}).without_zeros()

    def to_dict(self) -> dict[str, Any]:
        """The line as JSON objects; money as text."""
        return {
            "category": self.category,
            "day": self.day.isoformat(),
            "messages": self.messages,
            "unpriced": self.unpriced,
            "recorded": self.recorded.to_dict(),
            "billed": self.billed.to_dict(),
            "drift": None if self.drift is None else self.drift.to_dict(),
        }


class Bill:
    """Adds up both sides. Holds one sum for each category and day."""

    def __init__(self) -> None:
        self._lines: dict[tuple[date, str], BillLine] = {}

    def record(self, kind: str, day: date, price: Money | None, *, inbound: bool) -> bool:
        """A message as we recorded it; False where the bill has no category that is known for its kind."""
        if kind not in CATEGORIES:
            return False
        category = CATEGORIES[kind][0 if inbound else 1]
        before = self._line(day, category)
        self._lines[day, category] = BillLine(
            category=category,
            day=day,
            messages=before.messages + 1,
            unpriced=before.unpriced + (price is None),
            recorded=before.recorded if price is None else before.recorded.plus({price.currency: price.amount}),
            billed=before.billed,
        )
        return True

    def bill(self, category: str, day: date, price: Money) -> None:
        """A line of Twilio's usage records."""
        before = self._line(day, category)
        self._lines[day, category] = BillLine(
            category=category,
            day=day,
            messages=before.messages,
            unpriced=before.unpriced,
            recorded=before.recorded,
            billed=before.billed.plus({price.currency: price.amount}),
        )

    def leave_out(self, category: str) -> None:
        """The account's bill has no such category."""
        self._lines = {key: line for key, line in self._lines.items() if line.category != category}

    @property
    def categories(self) -> tuple[str, ...]:
        """What to ask the bill for: SMS and MMS always, another kind where there was one."""
        recorded = {line.category for line in self._lines.values()}
        own = [name for kind, pair in CATEGORIES.items() if kind in FEES or recorded & {*pair} for name in pair]
        return (*own, *FEES.values())

    @property
    def lines(self) -> tuple[BillLine, ...]:
        """The categories and days on which there is anything, by day."""
        return tuple(
            line
            for _, line in sorted(self._lines.items())
            if line.messages or line.recorded.without_zeros() or line.billed.without_zeros()
        )

    @property
    def fees_included(self) -> FeesIncluded:
        """What the days that can tell say; unknown where none can, or where they contradict each other."""
        days = {day for day, _ in self._lines}
        verdicts = {self._verdict(day, kind) for day in days for kind in FEES} - {FeesIncluded.UNKNOWN}
        return verdicts.pop() if len(verdicts) == 1 else FeesIncluded.UNKNOWN

    def _verdict(self, day: date, kind: str) -> FeesIncluded:
        """A day with fees and with a price for every message tells, if one of the two sums comes out exactly.

        Both directions together, because some carriers charge for what comes in, too.
        """
        lines = [self._line(day, category) for category in CATEGORIES[kind]]
        fees = self._line(day, FEES[kind]).billed.without_zeros()
        if not fees or any(line.unpriced for line in lines) or not any(line.messages for line in lines):
            return FeesIncluded.UNKNOWN
        recorded = _sum(line.recorded for line in lines)
        billed = _sum(line.billed for line in lines)
        if recorded == billed:
            return FeesIncluded.NO
        return FeesIncluded.YES if recorded == billed.plus(fees) else FeesIncluded.UNKNOWN

    def _line(self, day: date, category: str) -> BillLine:
        empty = BillLine(category=category, day=day, messages=0, unpriced=0, recorded=Amounts(), billed=Amounts())
        return self._lines.get((day, category), empty)


def _sum(amounts: Iterable[Amounts]) -> Amounts:
    total = Amounts()
    for part in amounts:
        total = total.plus(part)
    return total.without_zeros()
