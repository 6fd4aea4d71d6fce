"""Journeys: what became of each SMS, stop by stop, and its price as the last one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from costtrace.times import to_micros
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.legs import Leg
from costtrace.view.axis import length_text
from costtrace.view.blocks import Cell, Tone
from costtrace.view.sms import leg_cost, leg_name, leg_outcome, status_tone
from costtrace.view.story import Story


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One state of an SMS."""

    name: str
    tone: Tone
    when: str
    """How long after it was written down or came in; empty for what has not happened."""
    reached: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One SMS."""

    name: str
    outcome: Cell
    money: Cell
    stops: tuple[Stop, ...]


def journeys_of(story: Story) -> tuple[Journey, ...]:
    """The journeys of its SMS, in the order they began."""
    return tuple(
        Journey(name=leg_name(leg), outcome=leg_outcome(leg), money=leg_cost(leg), stops=tuple(_stops(leg)))
        for leg in story.legs
    )


def _stops(leg: Leg) -> Iterator[Stop]:
    """Each status once, in the order they were heard of, and how far the price is known."""
    seen: set[str] = set()
    for report in () if leg.delivery is None else leg.delivery.history:
        if report.status not in seen:
            seen.add(report.status)
            when = _after(leg, report.reported_at)
            yield Stop(name=report.status.replace("_", " "), tone=status_tone(report.status), when=when)
    if leg.cost_state is CostState.FINAL and leg.revisions:
        yield Stop(name="price final", tone="good", when=_after(leg, leg.revisions[-1].recorded_at))
    elif leg.cost_state is CostState.UNAVAILABLE and leg.revisions:
        yield Stop(name="price unavailable", tone="bad", when=_after(leg, leg.revisions[-1].recorded_at))
    elif leg.waiting:
        yield Stop(name="price pending", tone="warn", when="", reached=False)


def _after(leg: Leg, moment: datetime) -> str:
    return f"+{length_text(to_micros(moment) - to_micros(leg.started_at))}".replace("+-", "-")
