"""An OTLP/HTTP receiver on loopback that keeps what it got: binary or JSON, compressed or not, traces and metrics.

Every body is read twice, by opentelemetry-proto and by the decoder written by hand, and both must see the same.
"""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Self, TypeVar

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from tests.otlp import generated, wire
from tests.otlp.captured import CapturedPoint, CapturedSpan

JSON = "application/json"

_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
}

T = TypeVar("T", CapturedSpan, CapturedPoint)


class CaptureServer:
    """Serves ``/v1/traces`` and ``/v1/metrics`` on a free port, as a context manager."""

    def __init__(self) -> None:
        self._server = LoopbackServer(self._answer, name="OTLP receiver")
        self._lock = threading.Lock()
        self._spans: list[CapturedSpan] = []
        self._points: list[CapturedPoint] = []
        self._bodies: list[bytes] = []
        self._problems: list[str] = []
        self._status: int = HTTPStatus.OK
        self._delay_s = 0.0

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop()

    @property
    def endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT; exporters that are given an address want `traces_url` or `metrics_url`."""
        return self._server.address

    @property
    def traces_url(self) -> str:
        return f"{self.endpoint}/v1/traces"

    @property
    def metrics_url(self) -> str:
        return f"{self.endpoint}/v1/metrics"

    def respond(self, status: int = HTTPStatus.OK, delay_s: float = 0) -> None:
        """How requests are answered from now on. What is not answered with success is not kept as received."""
        self._status, self._delay_s = status, delay_s

    def spans(self) -> list[CapturedSpan]:
        """All spans so far, in the order of their arrival. AssertionError where something that arrived was wrong."""
        with self._lock:
            assert not self._problems, self._problems
            return list(self._spans)

    def metrics(self) -> list[CapturedPoint]:
        """All points so far; those of a later collection repeat the earlier ones, as cumulative sums do."""
        with self._lock:
            assert not self._problems, self._problems
            return list(self._points)

    def bodies(self) -> list[bytes]:
        """The bytes of every request, uncompressed, whatever it was answered."""
        with self._lock:
            return list(self._bodies)

    def wait_for(self, enough: Callable[[Sequence[CapturedSpan]], bool], timeout_s: float = 20) -> list[CapturedSpan]:
        """The spans once there are enough of them; AssertionError after `timeout_s`, with the names of those there."""
        deadline = time.monotonic() + timeout_s
        while not enough(spans := self.spans()):
            assert time.monotonic() < deadline, f"only {[span.name for span in spans]} after {timeout_s} s"
            time.sleep(0.02)
        return spans

    def clear(self) -> None:
        """Forget what has arrived."""
        with self._lock:
            self._spans, self._points, self._bodies = [], [], []

    async def _answer(self, request: Request) -> Response:
        status, delay_s = self._status, self._delay_s
        body = _DECODERS[request.headers.get("content-encoding", "identity")](request.body)
        type_ = request.headers.get("content-type", "")
        with self._lock:
            self._bodies.append(body)
            if status == HTTPStatus.OK:
                status = self._keep(request.path, body, type_)
        await asyncio.sleep(delay_s)
        return Response(status=status, body=b"{}" if type_ == JSON else b"", headers={"content-type": type_})

    def _keep(self, path: str, body: bytes, content_type: str) -> int:
        readers: dict[str, Callable[[bytes, str], None]] = {"/v1/traces": self._traces, "/v1/metrics": self._metrics}
        if path not in readers:
            return HTTPStatus.NOT_FOUND
        try:
            readers[path](body, content_type)
        except Exception as error:  # noqa: BLE001 - the test that reads the spans fails with it
            self._problems.append(f"{path}, {content_type}, {len(body)} bytes: {error!r}")
            return HTTPStatus.BAD_REQUEST
        return HTTPStatus.OK

    def _traces(self, body: bytes, content_type: str) -> None:
        if content_type == JSON:
            request = generated.traces_from_json(body)
            body = request.SerializeToString()
        else:
            request = ExportTraceServiceRequest.FromString(body)
        self._spans += _agreed(generated.spans_of(request), wire.read_spans(body))

    def _metrics(self, body: bytes, content_type: str) -> None:
        if content_type == JSON:
            request = generated.metrics_from_json(body)
            body = request.SerializeToString()
        else:
            request = ExportMetricsServiceRequest.FromString(body)
        self._points += _agreed(generated.points_of(request), wire.read_points(body))


def _agreed(one: list[T], other: list[T]) -> list[T]:
    """What both decoders saw; compared by repr, where 1 is neither 1.0 nor True."""
    assert repr(one) == repr(other), f"the decoders differ: {one} and {other}"
    return one
