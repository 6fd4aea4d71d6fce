"""A provider's side of the wire: answers every request with what the test gives it, as JSON or as a stream."""

import json
import struct
import zlib
from collections.abc import Generator, Iterable, Mapping
from typing import Any

from costtrace.sandbox.loopback import LoopbackServer, Request, Response, Stream

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
AWS_EVENTS = {"content-type": "application/vnd.amazon.eventstream"}


class StandIn:
    """Serves on a free port of this machine; `url` is its address, `requests` the bodies it was sent."""

    def __init__(self) -> None:
        self._server = LoopbackServer(self._handle, name="provider stand-in")
        self._pieces: list[bytes] = []
        self._headers: Mapping[str, str] = JSON
        self.requests: list[Any] = []

    @property
    def url(self) -> str:
        return self._server.address

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def answers(self, body: Mapping[str, Any]) -> None:
        """From now on the answer is this document."""
        self._pieces, self._headers = [json.dumps(body).encode()], JSON

    def streams(self, events: Iterable[Mapping[str, Any]], *, done: bool = True) -> None:
        """From now on the answer is these server-sent events, each named by its ``type`` if it has one."""
        self._pieces, self._headers = [_server_sent(event) for event in events], EVENTS
        if done:
            self._pieces.append(b"data: [DONE]\n\n")

    def streams_frames(self, events: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """From now on the answer is these events in AWS's binary framing."""
        self._pieces, self._headers = [_frame(kind, payload) for kind, payload in events], AWS_EVENTS

    async def _handle(self, request: Request) -> Response | Stream:
        self.requests.append(json.loads(request.body))
        if self._headers is JSON:
            return Response(status=200, body=self._pieces[0], headers=JSON)
        return Stream(pieces=self._parts(), headers=self._headers)

    def _parts(self) -> Generator[bytes, None, None]:
        yield from self._pieces


def _server_sent(event: Mapping[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def _frame(kind: str, payload: Mapping[str, Any]) -> bytes:
    """One message of the encoding ``application/vnd.amazon.eventstream``: lengths, checksums, headers, payload."""
    texts = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in texts.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))
