"""A Lambda function as a process of its own, under AWS's own runtime client, against a Runtime API of ours.

The client asks for the next call, runs the handler in its own loop and posts what came of it; between two calls Lambda
stops the process, which is `Function.freeze` here.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, Self
from urllib.parse import urlsplit

from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from tests.web.parts import Posted

HANDLERS: Final = Path(__file__).parents[3] / "integrations" / "aws"
_VERSION: Final = "/2018-06-01/runtime"
_START_S: Final = 60.0
_ARN: Final = "arn:aws:lambda:eu-central-1:000000000000:function:test"


class FunctionFailed(Exception):  # noqa: N818 - what happened
    """The handler raised, or the function could not be initialised."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        self.type = error.get("errorType")
        self.message = str(error.get("errorMessage"))
        super().__init__(f"{self.type}: {self.message}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    id: str
    event: bytes
    deadline_ms: int
    outcome: queue.SimpleQueue[tuple[str, bytes]] = field(default_factory=queue.SimpleQueue)


class Function:
    """``handlers.<name>.handler`` in a process with that environment and nothing else of this one's."""

    def __init__(self, name: str, environment: Mapping[str, str], *, handler: str | None = None) -> None:
        self.name = name
        self._handler = handler or f"handlers.{name}.handler"
        self._environment = environment
        self._api = LoopbackServer(self._answer, name="runtime api")
        self._coming: queue.Queue[_Call] = queue.Queue()
        self._calls: dict[str, _Call] = {}
        self._init_error: dict[str, Any] | None = None
        self._asked = threading.Event()
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        self._process: subprocess.Popen[bytes] | None = None
        self._number = 0

    def __enter__(self) -> Self:
        self._api.start()
        settings = {
            "AWS_LAMBDA_RUNTIME_API": self._api.address.removeprefix("http://"),
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(HANDLERS),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._environment,
        }
        command = [sys.executable, "-m", "awslambdaric", self._handler]
        self._process = subprocess.Popen(
            command, env=settings, stdout=self._output, stderr=self._output, cwd=tempfile.gettempdir()
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._api.stop()
        self._output.close()

    @property
    def log(self) -> str:
        """All the process has written."""
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Until it asks for its first call. Raises FunctionFailed where it cannot be initialised."""
        deadline = time.monotonic() + _START_S
        while not self._asked.wait(0.02):
            if self._init_error is not None:
                raise FunctionFailed(self._init_error)
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self._handler} did not start:\n{self.log}")

    def begin(self, event: Mapping[str, Any], *, timeout_s: float = 30.0) -> _Call:
        """Give it a call, and do not wait for the answer."""
        self._number += 1
        deadline_ms = int((time.time() + timeout_s) * 1000)
        call = _Call(id=f"call-{self._number}", event=json.dumps(event).encode(), deadline_ms=deadline_ms)
        self._calls[call.id] = call
        self._coming.put(call)
        return call

    def result(self, call: _Call, *, timeout_s: float = 60.0) -> Any:
        """What came of the call. Raises FunctionFailed."""
        try:
            how, body = call.outcome.get(timeout=timeout_s)
        except queue.Empty:
            raise AssertionError(f"{self._handler} did not answer in {timeout_s:g} s:\n{self.log}") from None
        if how == "error":
            raise FunctionFailed(json.loads(body))
        return json.loads(body)

    def __call__(self, event: Mapping[str, Any], *, timeout_s: float = 30.0) -> Any:
        """One call from beginning to end."""
        self.wait_until_ready()
        return self.result(self.begin(event, timeout_s=timeout_s))

    def freeze(self) -> None:
        """As Lambda does between two calls: no thread of it runs."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def end(self, how: signal.Signals) -> None:
        """End the process by that signal and wait for it."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(timeout=30)

    async def _answer(self, request: Request) -> Response | None:
        path = request.path.removeprefix(_VERSION)
        if path == "/invocation/next":
            return await self._next()
        if path == "/init/error":
            self._init_error = json.loads(request.body)
            return Response(status=202, body=b"{}")
        _, _, call_id, how = path.split("/")
        self._calls.pop(call_id).outcome.put((how, request.body))
        return Response(status=202, body=b"{}", headers={"content-type": "application/json"})

    async def _next(self) -> Response:
        self._asked.set()
        while True:  # the server ends this task when it is stopped
            try:
                call = self._coming.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.002)
            else:
                break
        headers = {
            "content-type": "application/json",  # without this one and the trace id, the client hangs
            "Lambda-Runtime-Aws-Request-Id": call.id,
            "Lambda-Runtime-Deadline-Ms": str(call.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": _ARN,
            "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
        }
        return Response(status=200, body=call.event, headers=headers)


def http_event(posted: Posted, *, stage: str = "$default") -> dict[str, Any]:
    """The request as HTTP API hands it over, format 2.0: a form's body comes in base64."""
    parts = urlsplit(posted.url)
    return {
        "version": "2.0",
        "routeKey": f"{posted.method} {parts.path}",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {"host": parts.netloc, "content-length": str(len(posted.body)), **posted.headers},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "api",
            "domainName": parts.netloc,
            "http": {"method": posted.method, "path": parts.path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "request",
            "routeKey": f"{posted.method} {parts.path}",
            "stage": stage,
            "timeEpoch": 1_795_000_000_000,
        },
        "body": base64.b64encode(posted.body).decode(),
        "isBase64Encoded": True,
    }


def json_event(value: object) -> dict[str, Any]:
    """``POST /chat`` with that JSON, which HTTP API hands over as text."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    event = http_event(Posted(url="https://example.com/chat", body=body, headers={"content-type": "application/json"}))
    return event if isinstance(value, bytes) else {**event, "body": body.decode(), "isBase64Encoded": False}


def queue_event(messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch as SQS hands it over, of messages that boto3 received."""
    return {
        "Records": [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
            }
            for message in messages
        ]
    }
