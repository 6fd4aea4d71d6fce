"""The HTTP side of a stand-in: a small HTTP/1.1 server on 127.0.0.1 with its own thread and event loop.

One event loop instead of a thread per connection, because an agent under load opens thousands of connections at once
and a slow answer (a delay, a long stream) must not cost a thread.
"""

import asyncio
import contextlib
import functools
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.client import OK, responses

BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel lowers it to its own maximum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One received request. Header names are in lower case; `query` stands apart from the path, still encoded."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer sent in one piece."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An answer sent piece by piece.

    The generator is always closed, also when the client leaves early. With `dropped`, the connection ends where the
    pieces end, without the mark that completes a body: the client sees a broken stream.
    """

    pieces: Generator[bytes, None, None]
    headers: Mapping[str, str] = field(default_factory=dict)
    dropped: bool = False


Handler = Callable[[Request], Awaitable[Response | Stream | None]]
"""Answers one request; None closes the connection without an answer."""


class LoopbackServer:
    """Serves a handler on a free port of 127.0.0.1 until stopped.

    The handler runs on the server's own event loop. Stopping ends open connections and waits for the thread; a server
    can be started again afterwards and then has another port.
    """

    def __init__(self, handler: Handler, *, name: str) -> None:
        self._handler = handler
        self._name = name
        self._running: tuple[threading.Thread, asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._address = ""
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def address(self) -> str:
        """`http://127.0.0.1:PORT`; RuntimeError before the first start."""
        if not self._address:
            raise RuntimeError(f"{self._name} has no address before it is started")
        return self._address

    def start(self) -> None:
        """Connections are accepted when this returns. RuntimeError when it is running already."""
        if self._running is not None:
            raise RuntimeError(f"{self._name} is already running")
        listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        loop, stopping = asyncio.new_event_loop(), asyncio.Event()
        thread = threading.Thread(target=self._run, args=(loop, listener, stopping), name=self._name, daemon=True)
        self._running = thread, loop, stopping
        thread.start()

    def stop(self) -> None:
        """The port is closed and the thread has ended when this returns. Does nothing when it is not running."""
        if self._running is None:
            return
        thread, loop, stopping = self._running
        self._running = None
        loop.call_soon_threadsafe(stopping.set)
        thread.join()
        loop.close()

    def _run(self, loop: asyncio.AbstractEventLoop, listener: socket.socket, stopping: asyncio.Event) -> None:
        loop.run_until_complete(self._serve(listener, stopping))

    async def _serve(self, listener: socket.socket, stopping: asyncio.Event) -> None:
        accept = functools.partial(self._accept, stopping)
        server = await asyncio.start_server(accept, sock=listener, backlog=BACKLOG)
        async with server:
            await stopping.wait()
            server.close()
            open_connections = dict(self._connections)
            for task in open_connections:
                task.cancel()
            await asyncio.gather(*open_connections, return_exceptions=True)
            await asyncio.gather(*(w.wait_closed() for w in open_connections.values()), return_exceptions=True)

    def _accept(self, stopping: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if stopping.is_set():
            writer.close()
            return
        # asyncio does this itself only for sockets that name their protocol, and those accepted from a listener made
        # beforehand do not. Without it, the small pieces of a stream wait 40 ms for an acknowledgement.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self._connections[task] = writer
        task.add_done_callback(self._hang_up)

    def _hang_up(self, task: asyncio.Task[None]) -> None:
        self._connections.pop(task).close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (request := await _read(reader)) is not None:
                answer = await self._handler(request)
                if not await _send(writer, answer) or request.headers.get("connection", "").lower() == "close":
                    return


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n")
    request_line, *lines = head.decode("latin-1").split("\r\n")
    words = request_line.split(" ")
    if len(words) != 3:  # noqa: PLR2004 - method, target, version: RFC 9112, section 3
        return None
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    path, _, query = words[1].partition("?")
    return Request(method=words[0], path=path, headers=headers, body=body, query=query)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    while (await reader.readline()).strip():
        pass
    return bytes(body)


async def _send(writer: asyncio.StreamWriter, answer: Response | Stream | None) -> bool:
    if answer is None:
        return False
    if isinstance(answer, Stream):
        return await _send_stream(writer, answer)
    writer.write(_head(answer.status, {**answer.headers, "content-length": str(len(answer.body))}) + answer.body)
    await writer.drain()
    return True


async def _send_stream(writer: asyncio.StreamWriter, stream: Stream) -> bool:
    with contextlib.closing(stream.pieces):
        writer.write(_head(OK, {**stream.headers, "transfer-encoding": "chunked"}))
        for piece in stream.pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            # drain() returns at once while the buffer is short; without this turn of the loop a client that left would
            # go unnoticed and concurrent streams would arrive one after the other.
            await asyncio.sleep(0)
    if stream.dropped:
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {responses.get(status, '')}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
