"""A loopback stand-in for PostHog: its two endpoints for events, their faults, and the rows they leave behind.

PostHog's own SDK and our exporter talk to it once their host is changed:

    with PostHogServer() as server:
        exporter = PostHogExporter(server.project_token, host=server.host)
        exporter.export(entries)
        server.events                       # the rows of the events table, merged as PostHog merges them

`server.fail(Fault(...))` says what goes wrong with the next request, `server.outage` with every one while it is set. A
query of its API is answered by `query_runner`, where one is given.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Self

from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.sandbox.posthog_capture import BATCH_PATHS, HEALTHY, V1_PATH, Capture, Fault, Limits, Which
from costtrace.sandbox.posthog_store import EventStore, StoredEvent

__all__ = ["Call", "Fault", "Limits", "PostHogServer", "QueryRunner", "StoredEvent"]

QueryRunner = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]]], Mapping[str, Any]]
"""Answers a query: the request's body and all stored copies of events in, the response's body out."""

_QUERY: Final = re.compile(r"/api/projects/([^/]+)/query/?")
_NOT_FOUND: Final = 404
_METHOD_NOT_ALLOWED: Final = 405
_UNAUTHORIZED: Final = 401
_BAD_REQUEST: Final = 400
_NOT_IMPLEMENTED: Final = 501


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request; `status` is None when the connection was closed without an answer."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int | None


class PostHogServer:
    """The stand-in as a context manager: listening on a free loopback port inside, gone after.

    `v1` says whether the endpoint that answers for each event exists, as it does not in every installation. `prefix` is
    a path before all paths, as behind a proxy. `poison` picks events for which a whole request is refused. `clock`
    (aware times) decides how far an event without ``disable_skew_correction`` is moved.
    """

    def __init__(
        self,
        *,
        project_token: str = "phc_of_the_stand_in",  # noqa: S107 - the stand-in's own
        personal_key: str = "phx_of_the_stand_in",
        project_id: str = "1",
        v1: bool = True,
        prefix: str = "",
        limits: Limits | None = None,
        poison: Which | None = None,
        query_runner: QueryRunner | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.project_token: Final = project_token
        self.personal_key: Final = personal_key
        self.project_id: Final = project_id
        self.v1 = v1
        """Whether the endpoint that answers for each event exists; may be changed."""
        self.outage: Fault | None = None
        """What goes wrong with every request, while it is set."""
        self.query_runner = query_runner
        """What answers queries; may be set later."""
        self._prefix = prefix
        self._store = EventStore()
        self._capture = Capture(
            self._store, project_token=project_token, limits=limits or Limits(), clock=clock, poison=poison
        )
        self._http = LoopbackServer(self._answer, name="posthog stand-in")
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._calls: list[Call] = []

    @property
    def host(self) -> str:
        """What a client takes as its host; RuntimeError before the first start."""
        return self._http.address + self._prefix

    @property
    def events(self) -> list[StoredEvent]:
        """The rows of the events table after PostHog merged what it merges."""
        return self._store.merged()

    @property
    def copies(self) -> list[StoredEvent]:
        """Every stored copy, in the order they came."""
        return self._store.copies()

    @property
    def distinct(self) -> list[StoredEvent]:
        """One row for each uuid: what a report that groups by uuid sees."""
        return self._store.distinct()

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order of completion."""
        with self._lock:
            return list(self._calls)

    def fail(self, *faults: Fault) -> None:
        """Each of these happens to one request for events, in this order."""
        with self._lock:
            self._faults.extend(faults)

    def start(self) -> None:
        """Listens when this returns. RuntimeError when it is started already."""
        self._http.start()

    def stop(self) -> None:
        """Port closed, thread gone when this returns. What was stored stays."""
        self._http.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _answer(self, request: Request) -> Response | None:
        response = await self._answered(request)
        call = Call(
            path=request.path,
            headers=request.headers,
            body=request.body,
            status=None if response is None else response.status,
        )
        with self._lock:
            self._calls.append(call)
        return response

    async def _answered(self, request: Request) -> Response | None:
        path = request.path.removeprefix(self._prefix) if request.path.startswith(self._prefix) else ""
        if (path == V1_PATH and self.v1) or path in BATCH_PATHS:
            if request.method != "POST":
                return _error(_METHOD_NOT_ALLOWED, "only POST")
            return await self._capture.answer(request, self._next_fault(), v1=path == V1_PATH)
        query = _QUERY.fullmatch(path)
        if query is not None and request.method == "POST":
            return self._queried(request, query[1])
        return _error(_NOT_FOUND, "not found")

    def _next_fault(self) -> Fault:
        with self._lock:
            return self.outage or (self._faults.pop(0) if self._faults else HEALTHY)

    def _queried(self, request: Request, project_id: str) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.personal_key}":
            return _error(_UNAUTHORIZED, "invalid personal API key")
        if project_id != self.project_id:
            return _error(_NOT_FOUND, "no such project")
        if self.query_runner is None:
            return _error(_NOT_IMPLEMENTED, "this stand-in was given no query_runner")
        try:
            payload = json.loads(request.body)
            answer = self.query_runner(payload, [copy.row() for copy in self.copies])
        except ValueError as error:
            return _error(_BAD_REQUEST, str(error))
        return _json_response(200, answer)


def _error(status: int, detail: str) -> Response:
    return _json_response(status, {"type": "error", "detail": detail})


def _json_response(status: int, body: Mapping[str, Any]) -> Response:
    content = json.dumps(body, default=str).encode()
    return Response(status=status, body=content, headers={"content-type": "application/json"})
