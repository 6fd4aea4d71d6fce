"""The requests themselves, by the lower layer of PostHog's package, which answers and raises.

Its `capture` puts an event into a queue in memory and returns: the answer says nothing of delivery, the process's end
takes the queue with it, and after four tries in seven seconds a batch is thrown away. `posthog.request.post` sends one
request and returns the answer or raises; it is used for ``/batch/``. For the endpoint that answers for each event the
package has no such function: the one that sends there tries again by itself, takes events that no answer names for
delivered, and writes the JSON of a batch more slowly than all the rest of its delivery takes. So that one request is
made here, in the form the package gives it. No thread of the package is ever started.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from costtrace.errors import ConfigurationError, ExporterStopped, ExporterUnavailable, MissingExtra
from costtrace.exporters.posthog.answers import (
    Reply,
    Verdict,
    check_status,
    retry_after_s,
    verdicts_by_event,
    verdicts_for_all,
)
from costtrace.exporters.posthog.ids import event_uuid
from costtrace.exporters.posthog.wire import LIBRARY, Packed, batch_record, body
from costtrace.times import from_micros, moment_text

V1_PATH: Final = "/i/v1/analytics/events"
BATCH_PATH: Final = "/batch/"
_GZIP_LEVEL: Final = 1
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class Transport:
    """Sends requests to one project of one PostHog.

    The endpoint that answers for each event is used where it exists: whether it does is decided once, by the first
    answer to it, and ``/batch/`` has to have taken a batch in its place.
    """

    def __init__(
        self,
        project_token: str,
        *,
        host: str,
        timeout_s: float,
        compress: bool,
        person_profiles: bool,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._package, self._http = _packages()
        self._host = _address(self._package.determine_server_host(host))
        self._token = project_token
        self._timeout_s = timeout_s
        self._compress = compress
        self._person_profiles = person_profiles
        self._clock = clock
        self._version = version("langchain-costtrace")
        self._answers_by_event: bool | None = None
        self._attempt = 1
        self._session: tuple[int, Any] | None = None

    @property
    def host(self) -> str:
        """Where events are sent to."""
        return self._host

    def send(self, events: Sequence[Packed]) -> dict[str, Verdict]:
        """Send one request; what was not taken, by uuid.

        Raises RequestRefused, ExporterUnavailable or ExporterStopped.
        """
        try:
            refused = self._send(events)
        except ExporterUnavailable:
            self._attempt += 1
            raise
        self._attempt = 1
        return refused

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session[1].close()
            self._session = None

    def _send(self, events: Sequence[Packed]) -> dict[str, Verdict]:
        undecided = self._answers_by_event is None
        if self._answers_by_event is not False:
            reply = self._post_v1(events)
            if not (undecided and reply.status in _ABSENT):
                check_status(reply)
                refused = verdicts_by_event(reply, [event.event.uuid for event in events])
                self._answers_by_event = True
                return refused
        reply = self._post_batch(events)
        if undecided and reply.status in _ABSENT:
            raise ExporterUnavailable(f"there is no PostHog at {self._host}: it answers {reply.status} to every path")
        check_status(reply)
        refused = verdicts_for_all(reply, {event.event.uuid: event.event.name for event in events})
        self._answers_by_event = False
        return refused

    def _post_v1(self, events: Sequence[Packed]) -> Reply:
        now = moment_text(from_micros(self._clock() // 1000))
        library = f"{LIBRARY}/{self._version}"
        content = body(events, created_at=now)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": library,
            "PostHog-Sdk-Info": library,
            "PostHog-Attempt": str(self._attempt),
            # The same request has the same id each time it is tried.
            "PostHog-Request-Id": event_uuid("request", ",".join(event.event.uuid for event in events)),
            "PostHog-Request-Timestamp": now,
        }
        if self._compress:
            content = gzip.compress(content, _GZIP_LEVEL, mtime=0)
            headers["Content-Encoding"] = "gzip"
        with self._answered():
            answer = self._connection().post(
                self._host + V1_PATH,
                data=content,
                headers=headers,
                auth=self._signed,
                timeout=self._timeout_s,
                allow_redirects=False,  # a redirected POST becomes a GET, which stores nothing and answers 200
            )
        return _reply(answer)

    def _post_batch(self, events: Sequence[Packed]) -> Reply:
        records = [
            batch_record(event.event, person_profiles=self._person_profiles, version=self._version) for event in events
        ]
        with self._answered():
            answer = self._package.post(
                self._token,
                self._host,
                path=BATCH_PATH,
                gzip=self._compress,
                timeout=self._timeout_s,
                session=self._connection(),
                batch=records,
            )
        return _reply(answer)

    def _signed(self, request: Any) -> Any:
        # As `auth`, because a .netrc file with a line for the host would otherwise take the header's place.
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _connection(self) -> Any:
        """The process's own session: a forked child must not write into its parent's connections."""
        if self._session is None or self._session[0] != os.getpid():
            self._session = os.getpid(), self._http.Session()
            self._session[1].max_redirects = 0
            # Loopback is reached past any proxy that the environment names.
            self._session[1].trust_env = urlsplit(self._host).hostname not in _LOOPBACK
        return self._session[1]

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Turns the absence of an answer into what it means."""
        try:
            yield
        except self._http.TooManyRedirects:
            raise ExporterStopped("PostHog redirects: set POSTHOG_HOST to the address it leads to") from None
        except self._http.RequestException as error:
            raise ExporterUnavailable(f"PostHog did not answer: {type(error).__name__}") from error


def _address(host: str) -> str:
    """The address without a slash at its end; a path, as that of a proxy, is kept. Raises ConfigurationError."""
    parts = urlsplit(host)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(f"POSTHOG_HOST: expected an address such as https://eu.i.posthog.com, got {host!r}")
    return host.rstrip("/")


def _reply(answer: Any) -> Reply:
    return Reply(answer.status_code, answer.content, retry_after_s(answer.headers.get("Retry-After")))


def _packages() -> tuple[Any, Any]:
    """`posthog.request` and the HTTP client it is built on."""
    try:
        import requests  # noqa: PLC0415 - only who delivers to PostHog needs them
        from posthog import request  # noqa: PLC0415 - as above
    except ImportError:
        raise MissingExtra(package="posthog", feature="delivery to PostHog", extra="posthog") from None
    return request, requests
