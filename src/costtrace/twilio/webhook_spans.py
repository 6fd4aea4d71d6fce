"""Webhooks as spans: what Twilio told, linked to the sending it tells of, and how long the delivery took.

Both need the sending, which another process wrote down; so they are made after the webhook is stored, and whoever takes
webhooks says when there is time for that. A lookup that fails costs the link and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from costtrace.entry import Entry
from costtrace.errors import LedgerError, UnknownMessage
from costtrace.ledger import Ledger
from costtrace.measures import Measures
from costtrace.tracing import Tracing
from costtrace.tracing.sms import Arrival, Webhook, sending_of, show_inbound, show_status
from costtrace.twilio import delivery
from costtrace.twilio.entries import message_uuid_of
from costtrace.twilio.estimates import PROVIDER
from costtrace.twilio.legs import SMS, Leg, leg_of
from costtrace.twilio.webhooks import StatusCallback

Job = Callable[[], None]

_FAILED: Final = frozenset({"failed", "undelivered"})


def at_once(job: Job) -> None:
    """Do it here and now."""
    job()


class WebhookSpans:
    """Shows webhooks that were taken. Nothing here raises.

    `later` does the work, or has it done: anything slow, such as the ledger's answer, happens in there. `fault` is told
    in words what went wrong, while it is being handled.
    """

    def __init__(
        self,
        ledger: Ledger,
        tracing: Tracing,
        measures: Measures,
        *,
        fault: Callable[[str], None],
        later: Callable[[Job], None] = at_once,
    ) -> None:
        self._ledger = ledger
        self._tracing = tracing
        self._fault = fault
        self._measures = measures
        self._later = later

    def arrived(self) -> Arrival | None:
        """A webhook whose signature is right; None where nobody wants to know."""
        return Arrival() if self._tracing.active or self._measures.active else None

    def told(self, arrival: Arrival | None, callback: StatusCallback, *, is_new: bool) -> None:
        """That status is stored; `is_new` says that it was not stored before."""
        if arrival is not None:
            self._done(partial(self._show_status, arrival, time.time_ns(), callback, is_new=is_new))

    def came_in(self, arrival: Arrival | None, entry: Entry, *, is_new: bool) -> None:
        """The message of that entry is stored."""
        if arrival is None:
            return
        if is_new:
            self._measures.entry(entry)
        if self._tracing.active:
            webhook = Webhook(
                arrival=arrival,
                ended_ns=time.time_ns(),
                message_uuid=entry.message_uuid,
                sid=entry.source_id or "",
                thread_id=entry.context.thread_id,
                duplicate=not is_new,
            )
            self._done(partial(show_inbound, self._tracing, webhook, segments=entry.details.get("num_segments")))

    def _done(self, job: Job) -> None:
        try:
            self._later(partial(self._tried, job))
        except Exception:  # noqa: BLE001 - the webhook is stored, and its answer must not fail for a span
            self._fault("handing over the span of a webhook")

    def _tried(self, job: Job) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 - as above
            self._fault("showing a webhook as a span")

    def _show_status(self, arrival: Arrival, ended_ns: int, callback: StatusCallback, *, is_new: bool) -> None:
        leg = self._leg(callback)
        if is_new and leg is not None and (seconds := _delivery_s(leg, callback.status)) is not None:
            self._measures.delivered(seconds, callback.status, PROVIDER)
        if self._tracing.active:
            webhook = Webhook(
                arrival=arrival,
                ended_ns=ended_ns,
                message_uuid=_uuid(callback, leg),
                sid=callback.message_sid,
                thread_id=None if leg is None else leg.context.thread_id,
                duplicate=not is_new,
            )
            show_status(
                self._tracing,
                webhook,
                callback.status,
                error=_error(callback),
                send=None if leg is None else sending_of(leg.details),
            )

    def _leg(self, callback: StatusCallback) -> Leg | None:
        """The SMS it tells of, as the ledger has it now; None where the ledger does not answer either."""
        sid, uuid = callback.message_sid, callback.message_uuid
        try:
            if uuid is None or callback.send_id is None:  # another sender made the address
                known = self._ledger.find(f"{SMS}/{sid}")
                uuid = uuid if known is None else known.message_uuid
            return None if uuid is None else leg_of(self._ledger.message(uuid), sid=sid)
        except (UnknownMessage, LedgerError):
            return None
        except Exception:  # noqa: BLE001 - a ledger may be anybody's
            self._fault("looking up the SMS of a webhook")
            return None


def _uuid(callback: StatusCallback, leg: Leg | None) -> str:
    return leg.message_uuid if leg is not None else callback.message_uuid or message_uuid_of(callback.message_sid)


def _error(callback: StatusCallback) -> str | None:
    if callback.status not in _FAILED:
        return None
    return callback.status if callback.error_code is None else str(callback.error_code)


def _delivery_s(leg: Leg, status: str) -> float | None:
    """Seconds from the sending to that status, if it is the first final one, and a callback told it."""
    reports = () if leg.delivery is None else leg.delivery.history
    first = next((report for report in reports if delivery.is_final(report.status)), None)
    if first is None or (first.status, first.source) != (status, delivery.CALLBACK):
        return None
    return max((first.reported_at - leg.planned_for).total_seconds(), 0.0)
