"""The steps of one SMS: that it came or was sent, what was said of it since, and how its price became known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from costtrace.entry import Entry
from costtrace.money import Money
from costtrace.times import moment_text
from costtrace.twilio import delivery
from costtrace.twilio.delivery import Report
from costtrace.twilio.legs import Leg
from costtrace.view.amounts import signed
from costtrace.view.blocks import Cell, Facts, Note
from costtrace.view.sms import (
    TWILIO,
    leg_blocks,
    leg_cost,
    leg_name,
    leg_outcome,
    leg_verdict,
    replaced_by,
    said_of_price,
    source_of,
    status_tone,
)
from costtrace.view.steps import Lane, Link, LinkType, Step

_AT_ONCE: Final = frozenset({delivery.CREATE, delivery.WEBHOOK, "local"})
"""Sources of reports that belong to the sending or receiving itself."""
_MEANINGS: Final[Mapping[str, str]] = {row.word: row.meaning for row in delivery.TABLE}
_QUIET: Final = Cell("")


def leg_steps(leg: Leg, *, number: int, depth: int, made_by: tuple[int, ...]) -> Iterator[Step]:
    """The SMS as step `number`, and within it what was learned later; `made_by` are the model calls that wrote it."""
    yield _sms(leg, number, depth, made_by)
    learned = [*_statuses(leg), *_checks(leg), *_revisions(leg)]
    for place, step in enumerate(sorted(learned, key=lambda step: step.starts), start=number + 1):
        link = Link(to=number, type=LinkType.STATUS_OF if step.lane is Lane.STATUS else LinkType.PRICE_OF)
        yield replace(step, number=place, depth=depth + 1, links=(link,))


def _sms(leg: Leg, number: int, depth: int, made_by: tuple[int, ...]) -> Step:
    history = () if leg.delivery is None else leg.delivery.history
    answers = [report.reported_at for report in history if _is_answer(report)]
    later = [report.reported_at for report in history if report.source not in _AT_ONCE]
    verdict = leg_verdict(leg)
    return Step(
        number=number,
        lane=Lane.SMS,
        name=leg_name(leg),
        by=TWILIO,
        starts=leg.started_at,
        ends=max(min(answers), leg.started_at) if answers else None,
        under_way_until=max(later) if later and leg.direction != "inbound" else None,
        outcome=leg_outcome(leg),
        money=leg_cost(leg),
        cost=leg.price,
        estimate=leg.estimate if leg.waiting else None,
        reason=None if leg.quote is None or leg.quote.is_actual else leg.quote.reason,
        depth=depth,
        links=tuple(Link(to=maker, type=LinkType.GENERATED_BY) for maker in made_by),
        working=(
            Note(verdict.text, verdict.tone),
            *leg_blocks(leg, partial(_clock, began=leg.started_at), made_by=made_by),
            Facts(list(_facts(leg))),
        ),
    )


def _is_answer(report: Report) -> bool:
    """Whether it is what came back when the SMS was handed over."""
    return report.source == delivery.CREATE or (report.source == "local" and report.status != delivery.CREATED)


def _facts(leg: Leg) -> Iterator[tuple[str, Cell]]:
    if leg.sid is not None:
        yield "MessageSid", Cell(leg.sid, "dim")
    yield "began", Cell(moment_text(leg.started_at))
    if isinstance(traceparent := leg.details.get("traceparent"), str):
        yield "traceparent", Cell(traceparent, "dim")


def _statuses(leg: Leg) -> Iterator[Step]:
    history = () if leg.delivery is None else leg.delivery.history
    for report in history:
        if report.source in _AT_ONCE:
            continue
        word = report.status.replace("_", " ")
        error = f"error {report.error_code}" if report.error_code is not None else ""
        yield Step(
            number=0,
            lane=Lane.STATUS,
            name=word,
            by=report.source,
            starts=report.reported_at,
            outcome=Cell(error, "bad") if error else Cell("", status_tone(report.status)),
            money=_QUIET,
            working=(Facts(list(_report(report))),),
        )


def _report(report: Report) -> Iterator[tuple[str, Cell]]:
    yield "status", Cell(report.status.replace("_", " "), status_tone(report.status))
    if report.status in _MEANINGS:
        yield "meaning", Cell(_MEANINGS[report.status])
    if report.error_code is not None:
        yield "error", Cell(str(report.error_code), "bad")
    if report.raw_dlr_done_date is not None:
        yield "carrier", Cell(f"done {report.raw_dlr_done_date} by the carrier's clock")
    yield "said by", Cell(report.source)
    yield "heard", Cell(moment_text(report.reported_at))


def _checks(leg: Leg) -> Iterator[Step]:
    """All questions that had no price for an answer, as one step."""
    if not leg.checks:
        return
    times = tuple(entry.occurred_at for entry in leg.checks)
    rows = [(_clock(entry.occurred_at, leg.started_at), Cell(entry.status.replace("_", " "))) for entry in leg.checks]
    yield Step(
        number=0,
        lane=Lane.PRICE,
        name="price asked",
        by=TWILIO,
        starts=min(times),
        marks=times,
        outcome=Cell("no price yet" if len(times) == 1 else f"no price yet, {len(times)} times", "warn"),
        money=_QUIET,
        working=(Facts(rows),),
    )


def _revisions(leg: Leg) -> Iterator[Step]:
    for entry in leg.revisions:
        number = entry.details.get("revision", 1)
        yield Step(
            number=0,
            lane=Lane.PRICE,
            name="price" if number == 1 else f"price, revision {number}",
            by=source_of(entry),
            starts=entry.recorded_at,
            outcome=_price(entry),
            money=_QUIET,
            working=(Facts(list(_revision(leg, entry))),),
        )


def _price(entry: Entry) -> Cell:
    """What is believed from here on; its money stands with the SMS, where it is counted once."""
    quote = entry.quote
    if quote is None or quote.amount is None:
        return Cell(entry.status.replace("_", " "), "bad")
    return Cell(f"{entry.status.replace('_', ' ')}: {Money(quote.amount, quote.currency)}")


def _revision(leg: Leg, entry: Entry) -> Iterator[tuple[str, Cell]]:
    yield "Twilio said", Cell(said_of_price(entry))
    yield "difference", Cell("none" if entry.cost is None else signed(entry.cost), "strong")
    yield "in place of", Cell(replaced_by(leg, entry) or "nothing")
    yield "said by", Cell(source_of(entry))
    yield "recorded", Cell(f"{moment_text(entry.recorded_at)} as {entry.entry_id}", "dim")


def _clock(moment: datetime, began: datetime) -> str:
    return f"{moment:%H:%M:%S}" if moment.date() == began.date() else f"{moment:%Y-%m-%d %H:%M:%S}"
