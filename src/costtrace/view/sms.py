"""One SMS of a message: its size, what became of it, and how its price came about. Never its text or a number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from costtrace.entry import Entry
from costtrace.messages import Message
from costtrace.money import Money, amount_text
from costtrace.times import moment_text
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.delivery import Report, is_final
from costtrace.twilio.legs import END, KINDS, PRICE, Leg, legs
from costtrace.view.amounts import signed
from costtrace.view.blocks import NOTHING, Block, Cell, Column, Facts, Grid, Tone
from costtrace.view.quotes import verdict, working

Clock = Callable[[datetime], str]
"""How the page writes a moment."""

TWILIO: Final = "twilio"
"""The provider of what costtrace.twilio records; others have SMS as well."""
_PRICED: Final = frozenset({END, PRICE})
"""The kinds of entry of an SMS that can hold a cost."""
_BAD: Final = frozenset({"failed", "rejected", "undelivered"})
_FINE: Final = frozenset({"delivered", "read", "received"})
_HISTORY: Final = (Column("delivery"), Column("time"), Column("from"), Column("said"))
_REVISIONS: Final = (
    Column("revision", right=True),
    Column("time"),
    Column("from"),
    Column("Twilio said"),
    Column("difference", right=True),
    Column("in place of"),
)


def is_sms(entry: Entry) -> bool:
    """Whether the entry tells of an SMS at Twilio, which has a name, and a cost from those alone who heard its price.

    An application may record what an SMS cost by itself: that is a purchase like any other.
    """
    if entry.kind not in KINDS or entry.provider != TWILIO or (entry.cost is not None and entry.kind not in _PRICED):
        return False
    return bool(entry.source_id or isinstance(entry.details.get("send_id"), str))


def legs_of(message: Message) -> tuple[Leg, ...]:
    """The SMS of the message, as far as Twilio has them, the earliest first."""
    return legs(replace(message, entries=tuple(entry for entry in message.entries if is_sms(entry))))


def leg_name(leg: Leg) -> str:
    """What it is and which way it went: ``sms outbound``."""
    return " ".join(str(word) for word in (leg.details.get("address_kind", "sms"), leg.direction) if word)


def leg_outcome(leg: Leg) -> Cell:
    """What became of it, as far as it is known."""
    found = leg.delivery
    if found is None:
        return NOTHING
    failed = leg.refusal.error if leg.refusal is not None else found.error_code
    text = found.status.replace("_", " ") + (f": {failed}" if failed is not None and found.status in _BAD else "")
    if found.conflict:
        return Cell(f"{text}, contradicted", "warn")
    return Cell(text, status_tone(found.status))


def leg_cost(leg: Leg) -> Cell:
    """What it costs where Twilio has said so; otherwise a word, with what is expected where something is."""
    if leg.price is not None:
        return Cell(str(leg.price))
    if leg.waiting:
        return Cell("pending" if leg.estimate is None else f"pending {leg.estimate}", "warn")
    return Cell("not known", "warn") if leg.quote is None else Cell("unpriced", "bad")


def leg_verdict(leg: Leg) -> Cell:
    """The price and how far it can be trusted, in a few words."""
    if leg.quote is not None:
        has_price = leg.cost_state is CostState.FINAL and leg.price is not None
        return Cell(f"{leg.price}, final", "strong") if has_price else verdict(leg.quote)
    if not leg.waiting:
        return Cell("nobody recorded that it was sent; `costtrace sms reconcile` looks for it", "warn")
    return Cell("pending" if leg.estimate is None else f"{leg.estimate}, pending", "warn")


def leg_blocks(leg: Leg, clock: Clock, *, made_by: Sequence[int] = ()) -> list[Block]:
    """Everything there is to know of that SMS; `made_by` are the numbers of the model calls that wrote it."""
    blocks: list[Block] = []
    if facts := list(_facts(leg, made_by)):
        blocks.append(Facts(facts))
    if leg.delivery is not None:
        blocks.append(Grid(_HISTORY, [_report(report, clock) for report in leg.delivery.history]))
        if leg.delivery.conflict:
            text = "the final words contradict each other, until Twilio's own record decides"
            blocks.append(Facts([("conflict", Cell(text, "warn"))]))
    if leg.waiting and (quote := leg.waiting[0].quote) is not None:
        blocks += working(quote, None)
    if price := list(_price(leg, clock)):
        blocks.append(Facts(price))
    if revisions := revisions_of(leg):
        blocks.append(Grid(_REVISIONS, [_revision(leg, entry, clock) for entry in revisions]))
    return blocks


def leg_record(leg: Leg) -> dict[str, Any]:
    """The SMS as JSON objects; money as text, moments as ISO 8601."""
    found = leg.delivery
    return {
        "sid": leg.sid,
        "send_id": leg.send_id,
        "direction": leg.direction,
        "message_type": leg.context.message_type,
        "started_at": moment_text(leg.started_at),
        "status": found and found.status,
        "conflict": found is not None and found.conflict,
        "error_code": found and found.error_code,
        "delivery": [_report_record(report) for report in found.history] if found else [],
        "cost_state": leg.cost_state.value,
        "price": _amount(leg.price),
        "currency": leg.price and leg.price.currency,
        "estimate": _amount(leg.estimate),
        "estimate_currency": leg.estimate and leg.estimate.currency,
        "asked_in_vain": len(leg.checks),
        "revisions": [_revision_record(entry) for entry in revisions_of(leg)],
        "details": dict(leg.details),
    }


def entry_outcome(entry: Entry) -> Cell:
    """How one entry of an SMS ended, as `leg_outcome` says it of the whole."""
    status = entry.status.replace("_", " ")
    failed = entry.error or entry.details.get("error_code")
    return Cell(f"{status}: {failed}" if failed is not None else status, status_tone(entry.status))


def entry_cost(entry: Entry) -> Cell:
    """What one entry of an SMS says of money; nothing where it is about something else."""
    if entry.cost is not None:
        return Cell(signed(entry.cost) if entry.kind == PRICE and _goes_on(entry) else str(entry.cost))
    if entry.quote is None:
        return Cell("")
    if entry.replaces is not None:
        return Cell("no difference", "dim") if entry.quote.is_actual else Cell("unpriced", "bad")
    return Cell("pending" if entry.estimate is None else f"pending {entry.estimate}", "warn")


def _goes_on(entry: Entry) -> bool:
    """Whether a price was known before, to which this is the difference."""
    return bool(entry.details.get("revision", 1) > 1)


def status_tone(status: str) -> Tone:
    """What a delivery status is for the reader."""
    if status in _BAD:
        return "bad"
    return "" if status in _FINE or not is_final(status) else "warn"


def _facts(leg: Leg, made_by: Sequence[int]) -> Iterator[tuple[str, Cell]]:
    details = leg.details
    if leg.sid is None:
        yield "attempt", Cell(f"{leg.send_id}, whose MessageSid is not known", "warn")
    if size := _size(details):
        yield "size", Cell(size)
    if details.get("to_country"):
        yield "to", Cell(str(details["to_country"]))
    if details.get("messaging_service_sid"):
        yield "service", Cell(str(details["messaging_service_sid"]))
    if details.get("scheduled_for"):
        yield "scheduled", Cell(str(details["scheduled_for"]))
    if made_by:
        yield "made by", Cell(", ".join(map(str, made_by)))


def _size(details: Mapping[str, Any]) -> str:
    """``2 segments, UCS-2``; Twilio's own count is added where it differs."""
    ours, theirs = details.get("segments"), details.get("num_segments")
    counted = theirs if ours is None else ours
    parts = [] if counted is None else [_counted(counted, "segment")]
    if theirs is not None and theirs != counted:
        parts.append(f"{theirs} by Twilio's count")
    if encoding := details.get("encoding"):
        parts.append(str(encoding))
    if media := details.get("num_media"):
        parts.append(_counted(media, "file"))
    return ", ".join(parts)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _report(report: Report, clock: Clock) -> list[Cell]:
    said = [f"error {report.error_code}"] if report.error_code is not None else []
    if report.raw_dlr_done_date is not None:
        said.append(f"done {report.raw_dlr_done_date} by the carrier's clock")
    status = Cell(report.status.replace("_", " "), status_tone(report.status))
    return [status, Cell(clock(report.reported_at)), Cell(report.source), Cell(", ".join(said), "dim")]


def _price(leg: Leg, clock: Clock) -> Iterator[tuple[str, Cell]]:
    if leg.checks:
        times, last = len(leg.checks), leg.checks[-1]
        told = "Twilio named no price" if last.status == "no_price" else "Twilio did not know the message"
        often = "once" if times == 1 else f"{times} times"
        yield "asked", Cell(f"{often} in vain, last at {clock(last.occurred_at)}: {told}")
    if leg.estimate is not None and not leg.waiting:
        yield "expected", Cell(f"{leg.estimate}{_missed_by(leg)}", "dim")


def _missed_by(leg: Leg) -> str:
    if leg.price is None or leg.estimate is None or leg.price.currency != leg.estimate.currency:
        return ""
    difference = (leg.price - leg.estimate).amount
    if not difference:
        return ", which is what it cost"
    return f"; it cost {amount_text(abs(difference))} {leg.price.currency} {'more' if difference > 0 else 'less'}"


def revisions_of(leg: Leg) -> Sequence[Entry]:
    """All that was believed of the price, the refusal to send it included."""
    return leg.revisions if leg.refusal is None else (leg.refusal, *leg.revisions)


def _revision(leg: Leg, entry: Entry, clock: Clock) -> list[Cell]:
    number = "-" if entry.kind == END else str(entry.details.get("revision", ""))
    difference = NOTHING if entry.cost is None else Cell(signed(entry.cost), "strong")
    return [
        Cell(number, "dim"),
        Cell(clock(entry.recorded_at)),
        Cell(source_of(entry)),
        Cell(said_of_price(entry)),
        difference,
        Cell(replaced_by(leg, entry), "dim"),
    ]


def source_of(entry: Entry) -> str:
    """Where a revision comes from: ``fetch``, ``reconcile``, or ``here`` for what we ourselves know."""
    return str(entry.details.get("source", "here")).removeprefix("message_")


def said_of_price(entry: Entry) -> str:
    """What Twilio said, in its own words where it named a price."""
    raw = entry.details.get("price_raw")
    if raw is not None:
        return f"{raw} {entry.details.get('price_unit', '')}".rstrip()
    return entry.reason or entry.status.replace("_", " ")


def replaced_by(leg: Leg, entry: Entry) -> str:
    """What stood there before that revision: the money that was expected, or the last word."""
    if entry.estimate is not None:
        return f"pending {-entry.estimate}"
    before = next((other for other in revisions_of(leg) if other.entry_id == entry.details.get("corrects")), None)
    if before is None or before.quote is None:
        return str(entry.replaces or "")
    return verdict(before.quote).text if before.quote.amount is None else str(before.quote.money)


def _report_record(report: Report) -> dict[str, Any]:
    return {
        "status": report.status,
        "source": report.source,
        "reported_at": moment_text(report.reported_at),
        "error_code": report.error_code,
        "raw_dlr_done_date": report.raw_dlr_done_date,
    }


def _revision_record(entry: Entry) -> dict[str, Any]:
    quote, details = entry.quote, entry.details
    return {
        "revision": details.get("revision", 0),
        "recorded_at": moment_text(entry.recorded_at),
        "status": entry.status,
        "source": details.get("source"),
        "price_raw": details.get("price_raw"),
        "price_unit": details.get("price_unit"),
        "price": None if quote is None or quote.amount is None else amount_text(quote.amount),
        "currency": None if quote is None or quote.amount is None else quote.currency,
        "difference": _amount(entry.cost),
        "replaces": entry.replaces,
        "reason": entry.reason,
    }


def _amount(money: Money | None) -> str | None:
    return None if money is None else amount_text(money.amount)
