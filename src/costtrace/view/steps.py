"""Steps: what a person is told of, one thing that happened or that was learned. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from costtrace.money import Money
from costtrace.tracing import names
from costtrace.view.blocks import Block, Cell


class Lane(StrEnum):
    """What sort of thing a step is, which decides how it is drawn."""

    MODEL = "model"
    EMBEDDING = "embedding"
    TOOL = "tool"
    SMS = "sms"
    STATUS = "status"
    """Somebody said what became of an SMS."""
    PRICE = "price"
    """The price of an SMS was asked for, or became known."""
    CORRECTION = "correction"
    OTHER = "other"


class LinkType(StrEnum):
    """Why a step goes back to an earlier one, in the words in which spans are linked."""

    GENERATED_BY = names.GENERATED_BY
    """The text of the SMS is what that model call answered."""
    STATUS_OF = names.STATUS_OF
    PRICE_OF = names.PRICE_OF
    CORRECTION_OF = names.CORRECTION_OF


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """From a step to the one it goes back to."""

    to: int
    """`Step.number`."""
    type: LinkType


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that happened, or one thing that was learned."""

    number: int
    """Its place in the story, from 1."""
    lane: Lane
    name: str
    by: str | None = None
    """Who did it, or who said so."""
    starts: datetime
    ends: datetime | None = None
    """None for an instant, and where the end is not known."""
    under_way_until: datetime | None = None
    """Until when it was on its way after that, as an SMS is with the carrier."""
    marks: tuple[datetime, ...] = ()
    """The instants of what happened several times."""
    outcome: Cell
    money: Cell
    """What is said of its cost; an empty text where another step says it."""
    cost: Money | None = None
    """What it adds to the total: the costs of all steps together are the total."""
    estimate: Money | None = None
    """What it adds to what is pending."""
    reason: str | None = None
    """Why it has no price."""
    tokens: tuple[int, int] | None = None
    """In and out."""
    depth: int = 0
    """How many other steps it happened within."""
    links: tuple[Link, ...] = ()
    working: tuple[Block, ...] = ()
    """How its cost came about, and what else is known of it."""
