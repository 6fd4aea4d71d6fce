"""How a PostHog takes events: two endpoints, what each demands of a request, and what goes wrong on purpose.

``/i/v1/analytics/events`` demands headers and strict types, answers for each event, and refuses a whole request when
one uuid comes twice in it. ``/batch/`` takes almost anything and answers for none; over quota it says 200 all the same.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from costtrace.sandbox.loopback import Request, Response
from costtrace.sandbox.posthog_store import EventStore, StoredEvent

V1_PATH: Final = "/i/v1/analytics/events"
BATCH_PATHS: Final = frozenset({"/batch", "/batch/", "/i/v0/ai/batch/"})

_V1_HEADERS: Final = ("posthog-sdk-info", "posthog-attempt", "posthog-request-id", "posthog-request-timestamp")
_OPTIONS: Final = {
    "cookieless_mode": bool,
    "disable_skew_correction": bool,
    "process_person_profile": bool,
    "product_tour_id": str,
}
_OK: Final = 200
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_TOO_LARGE: Final = 413
_MAX_ID: Final = 200
_CHUNK_S: Final = 0.05

Which = Callable[[Mapping[str, Any]], bool]
"""Whether an event, as it was sent, is meant."""
Result = Literal["ok", "warning", "drop", "retry", "missing"]


def _every(_event: Mapping[str, Any]) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request.

    With a `status` it is refused, with `dropped` the connection ends without an answer, with a `body` the answer is a
    200 that says just that, and with none of them the answer is only late, by `delay_s` seconds. `quota` names what is
    over its limit, ``events`` or ``llm_events``. `applied` says that the events were stored all the same.

    With a `result` only those events are concerned that `which` picks: the answer has that for them, with `details`, or
    leaves them out (``missing``). ``drop``, ``retry`` and ``missing`` are not stored, unless `applied`.
    """

    status: int | None = None
    retry_after_s: float | str | None = None
    dropped: bool = False
    body: bytes | None = None
    delay_s: float = 0.0
    quota: tuple[str, ...] = ()
    result: Result | None = None
    details: str | None = None
    which: Which = _every
    applied: bool = False


HEALTHY: Final = Fault()


class Refused(Exception):  # noqa: N818 - names what happened
    """The request as a whole is refused."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken, in bytes before compression."""

    request: int = 20 * 1024 * 1024
    event: int = 983_040


class Capture:
    """Takes the events of one project into a store."""

    def __init__(
        self,
        store: EventStore,
        *,
        project_token: str,
        limits: Limits,
        clock: Callable[[], datetime],
        poison: Which | None = None,
    ) -> None:
        self._store = store
        self._token = project_token
        self._limits = limits
        self._clock = clock
        self.poison = poison
        """Events for which a whole request is refused with 400."""

    async def answer(self, request: Request, fault: Fault, *, v1: bool) -> Response | None:
        """Take the events of one request, or not, as the fault says."""
        if fault.delay_s:
            await asyncio.sleep(fault.delay_s)
        try:
            events = self._v1_events(request) if v1 else self._batch_events(request)
            self._check(events)
        except Refused as refusal:
            return _json(refusal.status, {"error": str(refusal), "detail": str(refusal)})
        results = {event["uuid"]: self._result(event, fault) for event in events}
        whole = fault.status is not None or fault.dropped or fault.body is not None
        self._store.add(
            self._stored(event, request, v1=v1)
            for event in events
            if fault.applied or not (whole or results[event["uuid"]][0] in {"drop", "retry", "missing"})
        )
        if fault.dropped:
            return None
        headers = {} if fault.retry_after_s is None else {"retry-after": str(fault.retry_after_s)}
        if fault.status is not None:
            return _json(fault.status, {"error": "on purpose", "detail": "on purpose"}, headers)
        if fault.body is not None:
            return Response(status=_OK, body=fault.body, headers=headers)
        if not v1:
            return _json(_OK, {"status": 1, **({"quota_limited": list(fault.quota)} if fault.quota else {})}, headers)
        named = {
            uuid: {"result": result, **({} if details is None else {"details": details})}
            for uuid, (result, details) in results.items()
            if result != "missing"
        }
        return _json(_OK, {"results": named}, headers)

    def _v1_events(self, request: Request) -> list[dict[str, Any]]:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            raise Refused(_UNAUTHORIZED, "invalid project token")
        for name in _V1_HEADERS:
            if not request.headers.get(name):
                raise Refused(_BAD_REQUEST, f"missing header {name}")
        body = self._body(request)
        _moment(body.get("created_at"))
        events = _list_of_events(body)
        for event in events:
            if set(event) - {"event", "uuid", "distinct_id", "timestamp", "options", "properties", "session_id"}:
                raise Refused(_BAD_REQUEST, f"unknown fields in {sorted(event)}")
            for name, value in dict(event.get("options") or {}).items():
                if not isinstance(value, _OPTIONS.get(name, ())):
                    raise Refused(_BAD_REQUEST, f"invalid option {name}")
            _moment(event.get("timestamp"))
        if len({event["uuid"] for event in events}) < len(events):
            raise Refused(_BAD_REQUEST, "duplicate uuid in batch")
        return events

    def _batch_events(self, request: Request) -> list[dict[str, Any]]:
        body = self._body(request)
        if body.get("api_key") != self._token:
            raise Refused(_UNAUTHORIZED, "invalid project token")
        return _list_of_events(body)

    def _body(self, request: Request) -> dict[str, Any]:
        content = request.body
        encoding = request.headers.get("content-encoding", "")
        try:
            if encoding == "gzip":
                content = gzip.decompress(content)
            elif encoding == "deflate":
                content = zlib.decompress(content)
            if len(content) > self._limits.request:
                raise Refused(_TOO_LARGE, "request too large")
            body = json.loads(content)
        except (ValueError, OSError, zlib.error) as error:
            raise Refused(_BAD_REQUEST, "unreadable body") from error
        if not isinstance(body, dict):
            raise Refused(_BAD_REQUEST, "unreadable body")
        return body

    def _check(self, events: list[dict[str, Any]]) -> None:
        if not events:
            raise Refused(_BAD_REQUEST, "empty batch")
        for event in events:
            if len(json.dumps(event)) > self._limits.event:
                raise Refused(_TOO_LARGE, "event too large")
            if self.poison is not None and self.poison(event):
                raise Refused(_BAD_REQUEST, "invalid event")

    def _result(self, event: Mapping[str, Any], fault: Fault) -> tuple[str, str | None]:
        if _over_quota(event, fault):
            return "drop", "billing_limit_exceeded"
        if fault.result is not None and fault.which(event):
            return fault.result, fault.details
        if len(event["distinct_id"]) > _MAX_ID:
            return "drop", "invalid_distinct_id"
        return "ok", None

    def _stored(self, event: Mapping[str, Any], request: Request, *, v1: bool) -> StoredEvent:
        properties = dict(event["properties"])
        fixed = bool(dict(event.get("options") or {}).get("disable_skew_correction"))
        sent_at = request.headers.get("posthog-request-timestamp") if v1 else self._body(request).get("sent_at")
        if not v1:
            fixed = bool(properties.pop("$ignore_sent_at", False))
        skew = timedelta(0) if fixed else self._clock() - _moment(sent_at)
        return StoredEvent(
            uuid=event["uuid"],
            event=event["event"],
            distinct_id=event["distinct_id"],
            timestamp=_moment(event["timestamp"]) + skew,
            properties=properties,
        )


def _over_quota(event: Mapping[str, Any], fault: Fault) -> bool:
    limited = "llm_events" if event["event"].startswith("$ai_") else "events"
    return "events" in fault.quota or limited in fault.quota


def _list_of_events(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    events = body.get("batch")
    if not isinstance(events, list):
        raise Refused(_BAD_REQUEST, "no batch")
    for event in events:
        if not isinstance(event, dict) or not isinstance(event.get("properties"), dict):
            raise Refused(_BAD_REQUEST, "no event")
        for name in ("event", "uuid", "distinct_id"):
            if not isinstance(event.get(name), str) or not event[name]:
                raise Refused(_BAD_REQUEST, f"missing {name}")
        try:
            UUID(event["uuid"])
        except ValueError as error:
            raise Refused(_BAD_REQUEST, "invalid uuid") from error
    return events


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise Refused(_BAD_REQUEST, "invalid timestamp") from error
    if moment.tzinfo is None:
        raise Refused(_BAD_REQUEST, "invalid timestamp")
    return moment.astimezone(UTC)


def _json(status: int, body: object, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps(body).encode()
    return Response(status=status, body=content, headers={"content-type": "application/json", **(headers or {})})
