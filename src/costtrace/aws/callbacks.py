"""``POST /sms/callback``: delivery statuses, stored under their message or parked until it is known.

A status whose address names message and attempt, as those of our sender do, is stored at once, whatever came before
or is still to come. Of the others the ledger may know the SID. The chat table is no help there: its keys and its index
name messages, and no SID. So what nobody knows yet waits in a queue, whose dead letters raise an alarm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from costtrace.aws.failures import shown
from costtrace.aws.http import STORED, twilio_answer
from costtrace.aws.invocation import Invocation
from costtrace.aws.queues import Job, NotYet, Queue, take_each, text_of
from costtrace.aws.spans import webhook_spans
from costtrace.entry import Entry
from costtrace.errors import InvalidValue, LedgerError
from costtrace.ledger import Ledger
from costtrace.times import moment_text, parse_moment
from costtrace.tracing import Tracing
from costtrace.twilio.arrivals import unattempted_entries
from costtrace.twilio.entries import callback_entries
from costtrace.twilio.envelope import Hasher
from costtrace.twilio.requests import WebhookRequest
from costtrace.twilio.signature import Verifier
from costtrace.twilio.webhooks import StatusCallback

Now = Callable[[], datetime]

_RESERVE_S: Final = 8.0
"""What a lookup and a write may take at worst."""
_REQUIRED: Final = ("message_sid", "account_sid", "status")
_OPTIONAL: Final = ("messaging_service_sid", "raw_dlr_done_date", "message_uuid", "send_id")
_KEPT: Final = (*_REQUIRED, *_OPTIONAL, "error_code")
_log: Final = logging.getLogger("costtrace")


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SmsCallback:
    """Verifies a status callback and answers 204 once it is stored or parked; 503, which Twilio repeats, otherwise.

    `tracing` shows what is stored as a span: the process's own unless given.
    """

    def __init__(
        self,
        ledger: Ledger,
        verifier: Verifier,
        *,
        parked: Queue,
        hasher: Hasher | None = None,
        now: Now = _utc_now,
        tracing: Tracing | None = None,
    ) -> None:
        self._ledger = ledger
        self._spans = webhook_spans(ledger, tracing)
        self._verifier = verifier
        self._parked = parked
        self._hasher = hasher
        self._now = now

    def __call__(self, event: Mapping[str, Any], _: Invocation) -> Mapping[str, Any]:
        """The answer to that event of HTTP API."""
        return twilio_answer(event, self._take)

    def _take(self, request: WebhookRequest) -> Mapping[str, Any]:
        callback = StatusCallback.of(self._verifier.verify(request))
        if not self._stored(callback):
            self._parked.put(parked_job(callback, self._now()))
        return STORED

    def _stored(self, callback: StatusCallback) -> bool:
        arrival = self._spans.arrived()
        try:
            entries = entries_of(callback, self._ledger, now=self._now(), hasher=self._hasher)
            if entries is None:
                return False
            new = self._ledger.append(entries)
        except LedgerError as error:
            _log.error("a status of %s is parked: %s", callback.message_sid, shown(error))
            return False
        self._spans.told(arrival, callback, is_new=entries[-1].entry_id in new)
        return True


class ParkedStatuses:
    """Stores the parked statuses whose message has become known; the others stay parked, in the end for good.

    `tracing` shows what is stored as a span: the process's own unless given.
    """

    def __init__(self, ledger: Ledger, *, now: Now = _utc_now, tracing: Tracing | None = None) -> None:
        self._ledger = ledger
        self._spans = webhook_spans(ledger, tracing)
        self._now = now

    def __call__(self, event: Mapping[str, Any], invocation: Invocation) -> Mapping[str, Any]:
        """The answer to that batch of the queue."""
        return take_each(event, invocation, self._take, reserve_s=_RESERVE_S)

    def _take(self, job: Job) -> None:
        callback, parked_at = parked_status(job)
        arrival = self._spans.arrived()
        entries = entries_of(callback, self._ledger, now=self._now())
        if entries is None:
            raise NotYet(f"nobody knows the message of {callback.message_sid}")
        new = self._ledger.append([replace(entry, occurred_at=parked_at) for entry in entries])
        self._spans.told(arrival, callback, is_new=entries[-1].entry_id in new)


def entries_of(
    callback: StatusCallback, ledger: Ledger, *, now: datetime, hasher: Hasher | None = None
) -> Sequence[Entry] | None:
    """The entries of that status; None where nobody knows its message. Raises what the ledger raises."""
    if callback.message_uuid is not None and callback.send_id is not None:
        return callback_entries(callback, now=now)
    return unattempted_entries(callback, ledger, now=now, hasher=hasher)


def parked_job(callback: StatusCallback, at: datetime) -> Job:
    """What is kept of a status until its message is known: no numbers."""
    known = {name: value for name in _KEPT if (value := getattr(callback, name)) is not None}
    return {**known, "parked_at": moment_text(at)}


def parked_status(job: Job) -> tuple[StatusCallback, datetime]:
    """The status of such a job, and when it came. Raises InvalidValue for a job that is none of ours."""
    error_code = job.get("error_code")
    if error_code is not None and type(error_code) is not int:
        raise InvalidValue("error_code", type(error_code).__name__, "a whole number, or nothing")
    callback = StatusCallback(
        **{name: text_of(job, name) for name in _REQUIRED},
        **{name: text_of(job, name) for name in _OPTIONAL if name in job},
        error_code=error_code,
    )
    return callback, parse_moment(job.get("parked_at"), "parked_at")
