"""What an answer of PostHog means for the events of the request: one table, and no network.

=====================================================  =========================================================
answer                                                 what becomes of the events
=====================================================  =========================================================
``ok``, ``warning``                                    taken
``retry``, not named in the answer, an unknown word    tried again
``drop`` for billing, a restriction or too many bytes  parked: it helps to wait, and somebody has to see it
``drop`` for another reason                            dead, with PostHog's word for it
200 with ``quota_limited``                             parked
a 2xx that says nothing, 404, 408, 429, 5xx, silence   all unknown: tried again later, after Retry-After at least
413, another 4xx                                       halved until the one event that is to blame is found: dead
401, 402, 403, a redirect                              everything stops until a person has looked
=====================================================  =========================================================

Being taken is what PostHog says, never what it does not say. Its own SDK takes an event that the answer leaves out for
delivered, and gives up on a success that it cannot read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from math import isfinite
from typing import Any, Final, NamedTuple

from costtrace.errors import ExporterStopped, ExporterUnavailable
from costtrace.exporters.posthog.personal import word
from costtrace.exporters.protocol import Fate
from costtrace.jsontext import decode

_TAKEN: Final = frozenset({"ok", "warning"})
_TAKEN_BATCH: Final = frozenset({"1", "ok"})
"""The ``status`` of ``/batch/``: a number from older servers, a word from newer ones."""
_DROP: Final = "drop"
_PARKING: Final = ("billing", "quota", "restriction", "rate_limit", "byte_limit")
"""Parts of the reasons for a drop that does not lie in the event: ``billing_limit_exceeded``,
``event_restriction_drop``, ``ai_byte_rate_limited``."""
_LATER: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_STOP: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "the project token is not accepted: compare POSTHOG_API_KEY with the project's settings",
    HTTPStatus.PAYMENT_REQUIRED: "the project's plan does not take these events: see its billing page",
    HTTPStatus.FORBIDDEN: "the project token may not send events: compare POSTHOG_API_KEY and POSTHOG_HOST",
}
_TOO_LARGE: Final = 413
_AI_QUOTA: Final = "llm_events"
"""PostHog's name for the quota of ``$ai_`` events; any other one is taken to concern all events."""
_AI: Final = "$ai_"


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class Verdict(NamedTuple):
    """Why an event was not taken, and what is to become of it."""

    fate: Fate
    reason: str


class RequestRefused(Exception):  # noqa: N818 - names what happened
    """The whole request was refused, for one of its events or for its size."""

    def __init__(self, status: int) -> None:
        super().__init__(f"PostHog answers {status}")
        self.status = status

    @property
    def verdict(self) -> Verdict:
        """What becomes of an event with which nothing else was in the request."""
        return Verdict(Fate.DEAD, "too_large" if self.status == _TOO_LARGE else f"http_{self.status}")


def check_status(reply: Reply) -> None:
    """Nothing for a 2xx.

    Raises RequestRefused; or ExporterUnavailable or ExporterStopped where the reason does not lie in the events.
    """
    status = reply.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise ExporterStopped(f"PostHog answers {status}, a redirect: set POSTHOG_HOST to the address it leads to")
    if status in _STOP:
        raise ExporterStopped(f"PostHog answers {status}: {_STOP[status]}")
    if status in _LATER or not HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ExporterUnavailable(f"PostHog answers {status}", retry_after_s=reply.retry_after_s)
    raise RequestRefused(status)


def verdicts_by_event(reply: Reply, uuids: Iterable[str]) -> dict[str, Verdict]:
    """The events that a 2xx answer of ``/i/v1/analytics/events`` does not take.

    Raises ExporterUnavailable for an answer that cannot be read.
    """
    results = _object(reply).get("results")
    if not isinstance(results, Mapping):
        raise ExporterUnavailable("PostHog's answer names no results", retry_after_s=reply.retry_after_s)
    refused = {}
    for uuid in uuids:
        found = results.get(uuid)
        result, details = (found.get("result"), found.get("details")) if isinstance(found, Mapping) else (None, None)
        if not (isinstance(result, str) and result in _TAKEN):
            refused[uuid] = _verdict(result, details)
    return refused


def verdicts_for_all(reply: Reply, names: Mapping[str, str]) -> dict[str, Verdict]:
    """The events that a 2xx answer of ``/batch/`` does not take; `names` are the events' names by uuid.

    Raises ExporterUnavailable for an answer that cannot be read.
    """
    answer = _object(reply)
    if str(answer.get("status")).lower() not in _TAKEN_BATCH:
        raise ExporterUnavailable("PostHog's answer does not say that it took the events; is POSTHOG_HOST a PostHog?")
    limited = answer.get("quota_limited")
    if not limited:
        return {}
    everything = not isinstance(limited, list) or any(quota != _AI_QUOTA for quota in limited)
    verdict = Verdict(Fate.PARKED, "quota_limited")
    return {uuid: verdict for uuid, name in names.items() if everything or name.startswith(_AI)}


def retry_after_s(said: str | None) -> float | None:
    """A Retry-After, in seconds or as a date; None for none and for what is neither."""
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(seconds, 0.0) if isfinite(seconds) else None


def _object(reply: Reply) -> Mapping[str, Any]:
    try:
        answer = decode(reply.body)
    except ValueError:
        answer = None
    if not isinstance(answer, Mapping):
        raise ExporterUnavailable("PostHog's answer cannot be read", retry_after_s=reply.retry_after_s)
    return answer


def _verdict(result: object, details: object) -> Verdict:
    reason = word(details if isinstance(details, str) else None)
    if result != _DROP:
        return Verdict(Fate.RETRY, reason or (str(result) if result == "retry" else "not_acknowledged"))
    parked = reason is not None and any(part in reason for part in _PARKING)
    return Verdict(Fate.PARKED if parked else Fate.DEAD, reason or "dropped")
