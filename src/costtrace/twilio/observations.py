"""What Twilio says of a message, written down: its status, its price, or that there is none yet.

Settlement and reconciliation both read a Message and compare it with what the ledger believes. They may do so at once,
and each belief may be out of date when it is acted on. So whatever carries money is appended one entry at a time, under
the name of the next revision: an append that finds the name taken has lost, looks again and goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from costtrace.entry import Entry
from costtrace.ledger import Ledger
from costtrace.twilio.delivery import FETCH, is_final
from costtrace.twilio.entries import status_entry
from costtrace.twilio.envelope import INBOUND
from costtrace.twilio.legs import Leg, leg_of
from costtrace.twilio.reading import TwilioMessage
from costtrace.twilio.revisions import (
    DEADLINE,
    MESSAGE_FETCH,
    NO_PRICE,
    NOT_FOUND,
    check_entry,
    not_billable_entries,
    price_entries,
    unavailable_entries,
)

_log: Final = logging.getLogger("costtrace")
_CANCELED: Final = "canceled"
_SCHEDULED: Final = "scheduled"
_NOT_FOUND_AT_MOST: Final = 3
_TRIES: Final = 5

Money = Callable[[Leg], Sequence[Entry]]
"""What has to be appended so that the ledger believes of that leg what Twilio says; nothing where it does."""
Tell = Callable[[Leg, Entry], None]
"""Told of each revision that was new to the ledger, with the leg as it stood before."""


def _nobody(_: Leg, __: Entry) -> None:
    pass


def observe(
    ledger: Ledger,
    leg: Leg,
    message: TwilioMessage,
    *,
    source: str,
    now: datetime,
    give_up: bool = False,
    tell: Tell = _nobody,
) -> Leg:
    """Write down what Twilio said of that leg just now; the leg as it stands then.

    `source` is ``message_fetch`` for the answer to a question for the price, or ``reconcile`` for what a list showed.
    With `give_up` a price that is still not there is one that does not come; a scheduled message has time all the same.
    `tell` hears of what was new. Raises InvalidValue for a price that is none, and what the ledger raises.
    """
    given_up = give_up and message.status != _SCHEDULED
    first = _status_news(leg, message, now)
    unpriced = message.price is None and message.status != _CANCELED
    if unpriced and source == MESSAGE_FETCH and leg.needs_price and not given_up:
        first = (*first, check_entry(leg, outcome=NO_PRICE, now=now))

    def money(current: Leg) -> Sequence[Entry]:
        if message.price is not None:
            return price_entries(
                current,
                price_raw=message.price,
                price_unit=message.price_unit or "",
                source=source,
                now=now,
                num_segments=message.num_segments,
            )
        if message.status == _CANCELED:
            return not_billable_entries(current, reason=_CANCELED, source=source, now=now)
        return unavailable_entries(current, reason=DEADLINE, now=now) if given_up and current.needs_price else ()

    return _written(ledger, leg, first, money, tell)


def observe_not_found(ledger: Ledger, leg: Leg, *, now: datetime, tell: Tell = _nobody) -> Leg:
    """Write down that Twilio does not know that leg; after the third time its price does not come."""
    misses = sum(check.status == NOT_FOUND for check in leg.checks) + 1
    check = check_entry(leg, outcome=NOT_FOUND, now=now)
    money = _given_up(NOT_FOUND, now) if misses >= _NOT_FOUND_AT_MOST else _nothing
    return _written(ledger, leg, (check,), money, tell)


def give_up(ledger: Ledger, leg: Leg, *, reason: str, now: datetime, tell: Tell = _nobody) -> Leg:
    """Write down that the price of that leg does not come; the leg as it stands then."""
    return _written(ledger, leg, (), _given_up(reason, now), tell)


def current(ledger: Ledger, leg: Leg) -> Leg:
    """The leg as the ledger has it now."""
    message = ledger.message(leg.message_uuid)
    return leg_of(message, sid=leg.sid) or leg_of(message, send_id=leg.send_id) or leg


def _given_up(reason: str, now: datetime) -> Money:
    return lambda leg: unavailable_entries(leg, reason=reason, now=now) if leg.needs_price else ()


def _nothing(_: Leg) -> Sequence[Entry]:
    return ()


def _status_news(leg: Leg, message: TwilioMessage, now: datetime) -> tuple[Entry, ...]:
    """The fetched status, where nobody reported it yet, or where only a fetch can end a contradiction to come."""
    reports = () if leg.delivery is None else leg.delivery.history
    sources = {report.source for report in reports if report.status == message.status}
    settled = leg.direction == INBOUND or not is_final(message.status)
    if FETCH in sources or (sources and settled):
        return ()
    entry = status_entry(
        message.sid,
        message.status,
        message_uuid=leg.message_uuid,
        source=FETCH,
        now=now,
        context=leg.context,
        send_id=leg.send_id,
        error_code=message.error_code,
    )
    return (entry,)


def _written(ledger: Ledger, leg: Leg, first: Iterable[Entry], money: Money, tell: Tell) -> Leg:
    """Append what is known for sure together with the first revision, then the others one by one."""
    sure = tuple(first)
    for _ in range(_TRIES):
        if _appended(ledger, sure, money(leg), partial(tell, leg)):
            return current(ledger, leg)
        sure, leg = (), current(ledger, leg)
    _log.warning("costtrace: the price of %s is being changed by others; it is looked at again later", leg.name)
    return leg


def _appended(ledger: Ledger, sure: Sequence[Entry], revisions: Sequence[Entry], tell: Callable[[Entry], None]) -> bool:
    """Whether every revision was new."""
    for revision in revisions:
        if revision.entry_id not in ledger.append([*sure, revision]):
            return False
        sure = ()
        tell(revision)
    if sure:
        ledger.append(sure)
    return True
