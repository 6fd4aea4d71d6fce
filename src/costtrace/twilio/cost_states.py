"""How far the price of a message is known: one table. Apart from its delivery, of which it takes no notice.

The price comes minutes to days after the message, and may come never. There is no way back: what has a price keeps
one, even when Twilio no longer finds the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class CostState(StrEnum):
    """How far the price of a message is known."""

    ESTIMATED = "estimated"
    """Only our own estimate, if any: Twilio has not named the message yet."""
    PENDING = "pending"
    """Twilio has the message, and has named no price."""
    FINAL = "final"
    """Twilio named the price; it may name another one later."""
    NOT_BILLABLE = "not_billable"
    """Nothing was bought."""
    UNAVAILABLE = "unavailable"
    """Twilio named no price in time. Not zero: unknown."""


class Event(StrEnum):
    """What moves it."""

    IDENTIFIED = "identified"
    """Its MessageSid became known."""
    PRICED = "priced"
    REFUSED = "refused"
    """The request to send it was turned down."""
    NOT_CHARGED = "not_charged"
    """It was canceled, and no price was named."""
    GIVEN_UP = "given_up"
    """The deadline passed, or Twilio does not know the message."""


TABLE: Final[Mapping[tuple[CostState, Event], CostState]] = MappingProxyType(
    {
        (CostState.ESTIMATED, Event.IDENTIFIED): CostState.PENDING,
        (CostState.ESTIMATED, Event.REFUSED): CostState.NOT_BILLABLE,
        (CostState.ESTIMATED, Event.GIVEN_UP): CostState.UNAVAILABLE,
        (CostState.PENDING, Event.PRICED): CostState.FINAL,
        (CostState.PENDING, Event.NOT_CHARGED): CostState.NOT_BILLABLE,
        (CostState.PENDING, Event.GIVEN_UP): CostState.UNAVAILABLE,
        (CostState.UNAVAILABLE, Event.PRICED): CostState.FINAL,
        (CostState.UNAVAILABLE, Event.NOT_CHARGED): CostState.NOT_BILLABLE,
        (CostState.NOT_BILLABLE, Event.PRICED): CostState.FINAL,
        (CostState.FINAL, Event.PRICED): CostState.FINAL,
    }
)
"""What is not here changes nothing."""


def cost_state(events: Iterable[Event]) -> CostState:
    """Where those events lead, one after the other."""
    state = CostState.ESTIMATED
    for event in events:
        state = TABLE.get((state, event), state)
    return state


def arrows() -> Iterator[tuple[str, str, str]]:
    """The table as (from, to, label); an empty `from` is the beginning."""
    yield "", CostState.ESTIMATED.value, "sent or received"
    for (before, event), after in TABLE.items():
        yield before.value, after.value, event.value.replace("_", " ")
