"""The one place that makes and wraps the client of the ``twilio`` package: time limits, and never a POST twice.

Creating a message has no idempotency key, so a request that is repeated after an unclear answer may send a second SMS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from costtrace.errors import InvalidValue, MissingExtra

try:
    from twilio.base.exceptions import TwilioException
    from twilio.http.async_http_client import AsyncTwilioHttpClient
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client
except ImportError:
    raise MissingExtra(package="twilio", feature="asking Twilio", extra="twilio") from None

TIMEOUT_S: Final = 10.0
"""The SDK's own default is to wait for ever."""

_REQUEST_TIMEOUT: Final = 408
_NO_ENVIRONMENT: Final = {"costtrace": "reads no TWILIO_EDGE, which would change the address"}


def make_client(
    account_sid: str,
    auth_token: str,
    *,
    base_url: str | None = None,
    timeout_s: float = TIMEOUT_S,
    asynchronous: bool = False,
) -> Client:
    """A client with a time limit. `base_url` is where to find the API instead of Twilio's own address.

    An asynchronous one is made inside an event loop, and its ``http_client`` closed by whoever made it.
    """
    http = AsyncTwilioHttpClient(timeout=timeout_s) if asynchronous else TwilioHttpClient(timeout=timeout_s)
    environment = None if base_url is None else _NO_ENVIRONMENT
    client = Client(account_sid, auth_token, http_client=http, environment=environment)
    if base_url is not None:
        client.api.base_url = base_url
    return client


class Attempt:
    """One request of ours, and whether it began to leave."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False


_attempt: ContextVar[Attempt | None] = ContextVar("costtrace_twilio_attempt", default=None)


@contextmanager
def watched() -> Iterator[Attempt]:
    """The request made inside, by a client of `sending_client`."""
    attempt = Attempt()
    token = _attempt.set(attempt)
    try:
        yield attempt
    finally:
        _attempt.reset(token)


def sending_client(client: Client, *, timeout_s: float = TIMEOUT_S) -> Client:
    """A client like that one, over the same connections, whose requests can be watched and end in time.

    Its own time limit stands, where it has one. The client itself is left as it is. Raises InvalidValue for one that
    would repeat a POST.
    """
    http = client.http_client
    if _repeats_posts(http, client.api.base_url):
        expected = "a client that never repeats a POST: leave max_retries out, or Twilio may send the SMS twice"
        raise InvalidValue("client", type(http).__name__, expected)
    limit = timeout_s if getattr(http, "timeout", None) is None else http.timeout
    sending = Client(
        client.username,
        client.password,
        client.account_sid,
        client.region,
        _WatchedHttp(http, limit),
        _NO_ENVIRONMENT,
        client.edge,
        client.user_agent_extensions,
        client.credential_provider,
    )
    sending.api.base_url = client.api.base_url
    return sending


class _WatchedHttp:
    """An HTTP client of the SDK, with a time limit, that notes when a request begins."""

    def __init__(self, http: Any, timeout_s: float) -> None:
        self._http = http
        self.timeout = timeout_s

    @property
    def is_async(self) -> bool:
        """Whether `request` has to be awaited."""
        return bool(self._http.is_async)

    def request(self, method: str, url: str, *, timeout: float | None = None, **options: Any) -> Any:
        """The request, as the SDK's own HTTP clients make it."""
        attempt = _attempt.get()
        if attempt is not None:
            attempt.begun = True
        limit = self.timeout if timeout is None else timeout
        if self.is_async:  # the SDK's own time limit does not reach its asynchronous requests
            return _in_time(self._http.request(method, url, **options), limit)
        return self._http.request(method, url, timeout=limit, **options)


async def _in_time(request: Awaitable[Any], limit_s: float) -> Any:
    async with asyncio.timeout(limit_s):
        return await request


def _repeats_posts(http: Any, address: str) -> bool:
    """Whether its own connections would send a POST again after Twilio may have got it."""
    session = getattr(http, "session", None)
    if session is None:
        return False
    if http.is_async:  # with max_retries the SDK puts a client around the session that repeats anything
        return type(session).__module__.startswith("aiohttp_retry")
    if not hasattr(session, "get_adapter"):
        return False
    retries = getattr(session.get_adapter(address), "max_retries", None)
    methods = getattr(retries, "allowed_methods", ())
    return bool(getattr(retries, "total", 0)) and (not methods or "POST" in methods)


def never_left(error: BaseException) -> bool:
    """Whether the connection could not be made, so that Twilio has heard of nothing."""
    from aiohttp import ClientConnectorError  # noqa: PLC0415 - imported by the SDK in any case
    from requests.exceptions import ConnectionError as RequestsConnectionError  # noqa: PLC0415 - as above
    from requests.exceptions import ConnectTimeout  # noqa: PLC0415 - as above
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError  # noqa: PLC0415 - as above

    if isinstance(error, ConnectTimeout | ClientConnectorError):
        return True
    cause = error.args[0] if isinstance(error, RequestsConnectionError) and error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError | ConnectTimeoutError)


def refused(error: BaseException) -> bool:
    """Whether Twilio answered that it will not do it."""
    status = getattr(error, "status", None)
    return (
        isinstance(error, TwilioException)
        and isinstance(status, int)
        and 400 <= status < 500  # noqa: PLR2004 - what HTTP calls the caller's fault
        and status != _REQUEST_TIMEOUT
    )


def address_of(client: Client) -> str:
    """Where that client finds Twilio's API: with region and edge, where it has any."""
    return str(client.get_hostname(client.api.base_url))


def error_code(error: BaseException) -> str:
    """Twilio's own code of an error, such as ``21610``; its class where it has none."""
    code = getattr(error, "code", None)
    return str(code) if isinstance(code, int) and code else type(error).__name__


def fault_of(error: BaseException) -> str:
    """Class and code of an error; never its text, in which Twilio may quote a number."""
    code = getattr(error, "code", None) or getattr(error, "status", None)
    return f"{type(error).__name__} {code}" if isinstance(code, int) else type(error).__name__
