"""A loopback server in a process of its own that takes what PostHog's and Langfuse's clients send, and counts it."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from threading import Thread
from urllib.request import urlopen


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.received.append((self.headers.get("Content-Type", ""), body))
        self._answer({"status": 1} if "json" in self.headers.get("Content-Type", "") else None)

    def do_GET(self) -> None:
        self._answer({"records": sum(_records(kind, body) for kind, body in self.received)})

    def _answer(self, document: dict[str, int] | None) -> None:
        body = b"" if document is None else json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if body else "application/x-protobuf")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's signature)
        pass


def _records(content_type: str, body: bytes) -> int:
    if "json" in content_type:
        return len(json.loads(body).get("batch", []))
    request = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2").ExportTraceServiceRequest()
    request.ParseFromString(body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


class Sink:
    """The sink as its client process sees it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def records(self) -> int:
        """Events or spans received since the sink started."""
        with urlopen(self.url, timeout=60) as answer:  # noqa: S310  (the address is our own loopback server)
            return int(json.load(answer)["records"])


@contextmanager
def running_sink() -> Iterator[Sink]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdin is not None  # noqa: S101  (asked for above; tells mypy)
        assert process.stdout is not None  # noqa: S101  (asked for above; tells mypy)
        yield Sink(process.stdout.readline().strip())
        process.stdin.close()


def main() -> None:
    """Serve until standard input closes, which it does when the process that started this one is gone."""
    _Handler.received = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
