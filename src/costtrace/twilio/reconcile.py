"""Reconciliation: Twilio's own list of messages beside the ledger, and the ledger beside Twilio's bill.

Callbacks get lost, webhooks meet a server that is down, replies in TwiML pass by the sender, prices change later. The
list has them all; so a walk through the last days makes the ledger whole. Nothing is written twice: what is known is
compared by its SID, and only the difference is appended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.ledger import Ledger
from costtrace.measures import Measures
from costtrace.tracing import Tracing
from costtrace.twilio.agenda import unidentified
from costtrace.twilio.bill import Bill, FeesIncluded
from costtrace.twilio.delivery import FETCH
from costtrace.twilio.entries import bound_entry, found_entry
from costtrace.twilio.envelope import INBOUND, OUTBOUND, Estimator, Hasher, envelope
from costtrace.twilio.estimates import estimate
from costtrace.twilio.legs import SMS, Leg, leg_of
from costtrace.twilio.matching import could_be, matched
from costtrace.twilio.observations import current, give_up, observe
from costtrace.twilio.price_spans import PriceSpans
from costtrace.twilio.reading import RequestRefused, TwilioMessage, TwilioReader
from costtrace.twilio.reconciled import COUNTS, Reconciled
from costtrace.twilio.revisions import NOT_FOUND, RECONCILE

_log: Final = logging.getLogger("costtrace")
LIMIT: Final = 1_000_000
"""Messages that one reconciliation looks at, at most."""
_GRACE: Final = timedelta(minutes=15)
_MOST_DAYS: Final = 400
"""Twilio keeps its list for 400 days."""
_MOST_LINES: Final = 2 * _MOST_DAYS
_OFTEN: Final = 500
_NEVER_SENT: Final = frozenset({"failed", "canceled"})


class Reconcile:
    """Reconciles one Twilio account with one ledger. Any number may run at once, and beside settlements.

    `client` is a `twilio.rest.Client`; `hasher` is the one the sender uses, without which a send of unknown outcome is
    recognised only where nothing else fits; `estimator` is for messages that were found; what is younger than `grace`
    is not taken for lost. `tracing` and `measures` are a recorder's, or else go to the process's own providers.
    """

    def __init__(
        self,
        client: Any,
        ledger: Ledger,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        hasher: Hasher | None = None,
        estimator: Estimator = estimate,
        grace: timedelta = _GRACE,
        reader: TwilioReader | None = None,
        tracing: Tracing | None = None,
        measures: Measures | None = None,
    ) -> None:
        self._reader = reader or TwilioReader(client)
        self._spans = PriceSpans(tracing, measures)
        self._ledger = ledger
        self._clock = clock
        self._hasher = hasher
        self._estimator = estimator
        self._grace = grace

    def run(
        self, *, days: int = 7, limit: int = LIMIT, tell: Callable[[int], None] = lambda _listed: None
    ) -> Reconciled:
        """Go through the last `days` whole UTC days and today; `tell` hears from time to time how many were listed.

        Raises what `TwilioReader` and the ledger raise; what was learned until then is kept.
        """
        if type(days) is not int or not 1 <= days <= _MOST_DAYS:
            raise InvalidValue("days", days, f"1 to {_MOST_DAYS}, as long as Twilio keeps its list")
        now = self._clock()
        since = datetime.combine(now.date() - timedelta(days=days), time(), tzinfo=UTC)
        unknown = [leg for leg in unidentified(self._ledger) if self._is_ours(leg)]
        walk = _Walk(
            self._ledger,
            unknown,
            now=now,
            grace=self._grace,
            hasher=self._hasher,
            estimator=self._estimator,
            spans=self._spans,
        )
        listed: set[str] = set()
        for message in self._reader.messages(sent_since=since, limit=limit + 1):
            if len(listed) == limit:
                return walk.result(since, listed=limit, truncated=True)
            if message.sid not in listed:  # a page may repeat what the one before ended with
                listed.add(message.sid)
                walk.look(message)
            if len(listed) % _OFTEN == 0:
                tell(len(listed))
        walk.end(since)
        self._read_bill(walk.bill, since.date(), now.date())
        return walk.result(since, listed=len(listed), truncated=False)

    def _is_ours(self, leg: Leg) -> bool:
        """Whether it may stand in this account's list; a sub-account has one of its own."""
        return leg.details.get("account_sid") in {None, self._reader.account_sid}

    def _read_bill(self, bill: Bill, first: date, last: date) -> None:
        for category in bill.categories:
            try:
                records = list(self._reader.usage(category, first=first, last=last, limit=_MOST_LINES))
            except RequestRefused as error:
                _log.warning("costtrace: %s is left out, because %s", category, error)
                bill.leave_out(category)
                continue
            for record in records:
                bill.bill(category, record.day, record.price)


class _Walk:
    """One walk through Twilio's list."""

    def __init__(
        self,
        ledger: Ledger,
        unknown: Sequence[Leg],
        *,
        now: datetime,
        grace: timedelta,
        hasher: Hasher | None,
        estimator: Estimator,
        spans: PriceSpans,
    ) -> None:
        self.bill = Bill()
        self._ledger = ledger
        self._now = now
        self._grace = grace
        self._hasher = hasher
        self._estimator = estimator
        self._spans = spans
        self._counts = dict.fromkeys(COUNTS, 0)
        self._unidentified = unknown
        self._perhaps_ours: list[TwilioMessage] = []

    def look(self, message: TwilioMessage) -> None:
        """Compare one message with what the ledger knows of it, or put it aside, or take it in."""
        if self._compared(message):
            return
        if self._now - message.created < self._grace:
            self._counts["recent"] += 1
        elif any(could_be(send, message, self._hasher) for send in self._unidentified):
            self._perhaps_ours.append(message)
        else:
            self._take_in(message)

    def end(self, since: datetime) -> None:
        """After the whole list: decide what is ours, and give up what was sent before it and never found."""
        ours = matched(self._unidentified, self._perhaps_ours, self._hasher)
        for message in self._perhaps_ours:
            send = ours.get(message.sid)
            if send is None:
                self._take_in(message)
            else:
                self._identify(send, message)
        for leg in self._unidentified:
            if leg.planned_for < since and current(self._ledger, leg).sid is None:
                give_up(self._ledger, leg, reason=NOT_FOUND, now=self._now, tell=self._spans.revised)
                self._counts["given_up"] += 1

    def result(self, since: datetime, *, listed: int, truncated: bool) -> Reconciled:
        """What was found."""
        return Reconciled(
            since=since,
            until=self._now,
            truncated=truncated,
            lines=() if truncated else self.bill.lines,
            fees_included=FeesIncluded.UNKNOWN if truncated else self.bill.fees_included,
            **{**self._counts, "listed": listed},
        )

    def _identify(self, send: Leg, message: TwilioMessage) -> None:
        bound = bound_entry(
            message.sid,
            send_id=send.name,
            message_uuid=send.message_uuid,
            now=self._now,
            context=send.context,
            details=_found(message),
        )
        self._counts["identified"] += len(self._ledger.append([bound]))
        self._compared(message)

    def _take_in(self, message: TwilioMessage) -> None:
        """An SMS that nobody here knows gets a message of its own."""
        direction = INBOUND if message.is_inbound else OUTBOUND
        moment = message.sent or message.created
        kept = envelope(
            to=message.to or "",
            from_=message.from_,
            body=message.body,
            num_media=message.num_media,
            direction=direction,
            at=moment,
            estimator=self._estimator,
            hasher=self._hasher,
        )
        found = found_entry(
            message.sid,
            message.status,
            direction=direction,
            kept=kept,
            source=FETCH,
            occurred_at=moment,
            now=self._now,
            details={
                **_found(message),
                "twilio_direction": message.direction,
                "num_segments": message.num_segments,
            },
        )
        if self._ledger.append([found]):
            self._counts[f"found_{direction}"] += 1
            self._spans.found(found)
        self._compared(message)

    def _compared(self, message: TwilioMessage) -> bool:
        """Compare the message with its leg and write the difference down; False where the ledger knows no such leg."""
        entry = self._ledger.find(f"{SMS}/{message.sid}")
        before = None if entry is None else leg_of(self._ledger.message(entry.message_uuid), sid=message.sid)
        if before is None:
            return False
        try:
            after = observe(self._ledger, before, message, source=RECONCILE, now=self._now, tell=self._spans.revised)
        except InvalidValue as error:
            _log.warning("costtrace: the price of %s cannot be read: %s", message.sid, error)
            self._counts["unreadable"] += 1
            after = before
        if before.price != after.price:
            self._counts["priced" if before.price is None else "revised"] += 1
        if _status(before) != _status(after):
            self._counts["statuses"] += 1
        self._add_to_bill(after, message)
        return True

    def _add_to_bill(self, leg: Leg, message: TwilioMessage) -> None:
        if message.status in _NEVER_SENT and message.price is None:
            return  # the bill lists what such a message costs, if anything, apart
        day = (message.sent or message.created).date()
        kind = str(leg.details.get("address_kind"))
        known = self.bill.record(kind, day, leg.price, inbound=message.is_inbound)
        self._counts["uncompared"] += not known


def _found(message: TwilioMessage) -> dict[str, Any]:
    account = {} if message.account_sid is None else {"account_sid": message.account_sid}
    return {"found_by": RECONCILE, **account}


def _status(leg: Leg) -> str | None:
    return None if leg.delivery is None else leg.delivery.status
