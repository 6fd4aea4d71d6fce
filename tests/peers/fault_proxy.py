"""A relay before an emulator that answers as a service in trouble does: according to a plan, request by request."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from costtrace.sandbox.loopback import LoopbackServer, Request, Response

_HANG_S: Final = 30.0
_HOP: Final = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive"})
_NAMESPACE: Final = "com.amazonaws.dynamodb.v20120810#"


class Fault(StrEnum):
    """What happens to one request."""

    PASS = "pass"  # noqa: S105 - no password
    THROTTLE = "throttle"
    """Refused: the table's throughput is exceeded."""
    BUSY = "busy"
    """Refused with the other word for it: ThrottlingException."""
    ERROR = "error"
    """HTTP 500."""
    DROP_BEFORE = "drop-before"
    """The connection is cut, and the service never saw the request."""
    DROP_AFTER = "drop-after"
    """The service did what was asked, and the connection is cut before its answer."""
    HANG = "hang"
    """No answer for half a minute."""
    UNPROCESSED = "unprocessed"
    """A batch of writes of which nothing was done, and the answer says so."""
    EMPTY = "empty"
    """A query that finds nothing, as an index does that lags behind."""


Plan = Callable[[Request], Fault]


class FaultProxy:
    """Relays to an emulator. `plan` decides each request; without one, the scripted faults are dealt out in turn."""

    def __init__(self, endpoint: str) -> None:
        self._upstream = urlsplit(endpoint)
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []
        self._server = LoopbackServer(self._answer, name="fault proxy")
        self._script: deque[Fault] = deque()
        self.plan: Plan | None = None
        self.seen: list[str] = []
        """The operations asked for, such as ``PutItem``, in order."""
        self.bodies: list[dict[str, Any]] = []
        """What each asked, as JSON."""

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return self._server.address

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()
        for connection in self._connections:
            connection.close()

    def script(self, *faults: Fault) -> None:
        """What happens to the next requests, one each; those after them pass."""
        self._script = deque(faults)

    def always(self, fault: Fault, operations: Iterable[str] = ()) -> None:
        """What happens to every request from now on, of those operations or of all."""
        wanted = frozenset(operations)
        self.plan = lambda request: fault if not wanted or operation(request) in wanted else Fault.PASS

    def heal(self) -> None:
        """All is well again."""
        self.plan = None
        self._script.clear()

    async def _answer(self, request: Request) -> Response | None:
        self.seen.append(operation(request))
        if request.body[:1] == b"{":
            self.bodies.append(json.loads(request.body))
        fault = self._fault(request)
        if fault is Fault.DROP_BEFORE:
            return None
        if fault is Fault.HANG:
            await asyncio.sleep(_HANG_S)
            return None
        refusal = _refusal(fault, request)
        if refusal is not None:
            return refusal
        answer = await asyncio.to_thread(self._relay, request)
        return None if fault is Fault.DROP_AFTER else answer

    def _fault(self, request: Request) -> Fault:
        if self.plan is not None:
            return self.plan(request)
        return self._script.popleft() if self._script else Fault.PASS

    def _relay(self, request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items() if name not in _HOP}
        target = request.path + (f"?{request.query}" if request.query else "")
        connection = self._connection()
        try:
            connection.request(request.method, target, request.body, headers)
            answer = connection.getresponse()
            body = answer.read()
        except (http.client.HTTPException, OSError):
            connection.close()
            raise
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        return Response(status=answer.status, body=body, headers=kept)

    def _connection(self) -> http.client.HTTPConnection:
        """One for each thread; a connection that was closed opens itself again."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(
                self._upstream.hostname or "", self._upstream.port, timeout=30
            )
            self._connections.append(self._local.connection)
        connection: http.client.HTTPConnection = self._local.connection
        return connection


def operation(request: Request) -> str:
    """The operation a request asks for, such as ``PutItem``; its path where it names none."""
    return request.headers.get("x-amz-target", request.path).rpartition(".")[2]


def _refusal(fault: Fault, request: Request) -> Response | None:
    if fault is Fault.THROTTLE:
        return _json(400, {"__type": f"{_NAMESPACE}ProvisionedThroughputExceededException", "message": "too much"})
    if fault is Fault.BUSY:
        return _json(400, {"__type": "com.amazon.coral.availability#ThrottlingException", "message": "too much"})
    if fault is Fault.ERROR:
        return _json(500, {"__type": f"{_NAMESPACE}InternalServerError", "message": "it broke"})
    if fault is Fault.UNPROCESSED:
        return _json(200, {"UnprocessedItems": json.loads(request.body)["RequestItems"]})
    if fault is Fault.EMPTY:
        return _json(200, {"Items": [], "Count": 0, "ScannedCount": 0})
    return None


def _json(status: int, answer: dict[str, Any]) -> Response:
    body = json.dumps(answer).encode()
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-crc32": str(zlib.crc32(body))}
    return Response(status=status, body=body, headers=headers)
