"""PostHog's private API, as far as reports need it: queries, insights and dashboards, with a personal key.

Its limits are narrow (120 HogQL queries an hour by one account, fewer by another), so queries of one client keep a
pause between them, and 429 is waited out as the answer says.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.parse import parse_qsl, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from costtrace.errors import ConfigurationError, ExporterStopped, ExporterUnavailable
from costtrace.exporters.posthog.answers import retry_after_s

PAUSE_S: Final = 60.0

_TIMEOUT_S: Final = 180.0
_MAX_WAIT_S: Final = 300.0
_MAX_BYTES: Final = 256 * 1024 * 1024
_TRIES: Final = 3
_CAPTURE_HOST: Final = re.compile(r"(us|eu|app)(\.i)?\.posthog\.com\Z")
_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY, _SERVER = 400, 401, 403, 404, 429, 500


class PostHogApi:
    """One project of one PostHog. Not for use from several threads.

    `host` may be the address that events go to: PostHog's clouds answer queries at another one, which is found from it.
    Raises ConfigurationError for an address, a project number or a key that cannot work.
    """

    def __init__(
        self,
        host: str,
        *,
        project_id: str | None,
        personal_key: str | None,
        pause_s: float = PAUSE_S,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = api_host(host)
        """Where PostHog's pages are, and its API."""
        self.project_id = _checked_project(project_id)
        self._key = _checked_key(personal_key)
        self._pause_s = pause_s
        self._sleep = sleep
        self._clock = clock
        self._opener: OpenerDirector = build_opener(_NoRedirects)
        self._next_query_at: float | None = None

    def query(self, hogql: str, *, name: str) -> dict[str, Any]:
        """The answer to that query, calculated now: at least ``results`` and ``columns``.

        `name` is how PostHog's own log of queries shows it. Raises what `send` raises, and ExporterUnavailable where
        PostHog answers before it has finished.
        """
        self._keep_pace()
        body = {"query": {"kind": "HogQLQuery", "query": hogql}, "refresh": "force_blocking", "name": name}
        try:
            answer = self.send("POST", "query/", body)
        finally:
            self._next_query_at = self._clock() + self._pause_s
        if not isinstance(answer.get("results"), list) or not isinstance(answer.get("columns"), list):
            raise ExporterUnavailable(f"{self.host} has not finished the query; ask again later")
        return answer

    def each(self, path: str, **filters: str) -> Iterator[dict[str, Any]]:
        """Everything in that list, page by page."""
        query = {**filters, "limit": "100"}
        while True:
            answer = self.send("GET", f"{path}?{urlencode(query)}")
            yield from answer.get("results") or ()
            following = answer.get("next")
            if not following:
                return
            query = dict(parse_qsl(urlsplit(following).query))

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer to one request; `path` is what stands after the project's number.

        A request that was put off (429) is sent again when the answer says so. Raises ConfigurationError where key or
        project are refused, LookupError for what is not there, ExporterStopped for a request that PostHog does not
        understand, and ExporterUnavailable for everything that may pass.
        """
        for number in range(1, _TRIES + 1):
            try:
                return self._sent(method, path, body)
            except ExporterUnavailable as error:
                if error.retry_after_s is None or error.retry_after_s > _MAX_WAIT_S or number == _TRIES:
                    raise
                self._sleep(error.retry_after_s)
        raise AssertionError  # pragma: no cover - the last try raises or returns

    def _sent(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        request = Request(  # noqa: S310 - the scheme was checked
            f"{self.host}/api/projects/{self.project_id}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/json",
                "Accept": "application/json",
                "User-Agent": "costtrace",
            },
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return _object(answer.read(_MAX_BYTES), self.host)
        except HTTPError as error:
            with error:
                raise self._refusal(error, path) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or str(error) or type(error).__name__
            raise ExporterUnavailable(f"{self.host} cannot be reached: {reason}") from None

    def _refusal(self, error: HTTPError, path: str) -> Exception:
        detail = _detail(error.read(_MAX_BYTES))
        if error.code in {_UNAUTHORIZED, _FORBIDDEN}:
            return self._key_refused(error.code, detail, path)
        if error.code == _NOT_FOUND:
            return self._not_found(path)
        if error.code == _TOO_MANY or error.code >= _SERVER:
            return self._later(error.code, detail, error.headers.get("Retry-After"))
        if error.code < _BAD_REQUEST:
            return ConfigurationError(
                f"{self.host} sends elsewhere; POSTHOG_HOST must name where PostHog itself answers"
            )
        return ExporterStopped(f"{self.host} refuses {path.partition('?')[0]!r} with HTTP status {error.code}{detail}")

    def _key_refused(self, status: int, detail: str, path: str) -> ConfigurationError:
        if status == _UNAUTHORIZED:
            return ConfigurationError(
                f"{self.host} does not know the key in POSTHOG_PERSONAL_API_KEY{detail}; make one under Settings,"
                " Personal API keys, of the same region as POSTHOG_HOST"
            )
        place = path.partition("/")[0]
        scope = "query:read" if place == "query" else f"{place.removesuffix('s')}:write"
        return ConfigurationError(
            f"{self.host} refuses the key in POSTHOG_PERSONAL_API_KEY{detail}; it needs the scope {scope!r} and access"
            f" to project {self.project_id}"
        )

    def _not_found(self, path: str) -> Exception:
        if path.partition("/")[2].strip("/"):
            return LookupError(path)
        return ConfigurationError(
            f"{self.host} has no project {self.project_id} for this key; POSTHOG_PROJECT_ID is the number in the"
            " address of the project's pages"
        )

    def _later(self, status: int, detail: str, retry_after: str | None) -> ExporterUnavailable:
        if status != _TOO_MANY:
            return ExporterUnavailable(f"{self.host} answers with HTTP status {status}{detail}; try again later")
        wait = retry_after_s(retry_after)
        wait = PAUSE_S if wait is None else wait
        return ExporterUnavailable(
            f"{self.host} allows no more requests for now; try again in {wait:.0f} s", retry_after_s=wait
        )

    def _keep_pace(self) -> None:
        if self._next_query_at is not None and (wait := self._next_query_at - self._clock()) > 0:
            self._sleep(wait)


def api_host(host: str) -> str:
    """Where the API is of the PostHog whose events go to that address: ``https://us.posthog.com`` for ``us.i.``.

    Raises ConfigurationError for what is no address, and for plain HTTP beyond this machine: the key can read and
    change the whole project.
    """
    parts = urlsplit(host if "://" in host else f"https://{host}")
    name = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not name:
        raise ConfigurationError(f"POSTHOG_HOST: expected an address such as https://eu.i.posthog.com, got {host!r}")
    if parts.scheme == "http" and not _is_loopback(name):
        raise ConfigurationError(f"POSTHOG_HOST: a personal key is not sent over plain HTTP; use https, not {host!r}")
    cloud = _CAPTURE_HOST.match(name)
    if cloud:
        return f"https://{'us' if cloud[1] == 'app' else cloud[1]}.posthog.com"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


class _NoRedirects(HTTPRedirectHandler):
    """The key goes to the host it was given for, and nowhere else."""

    def redirect_request(  # noqa: PLR0917 - the signature is the standard library's
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """No request."""
        del req, fp, code, msg, headers, newurl
        return None


def _checked_project(project_id: str | None) -> str:
    if project_id is None:
        raise ConfigurationError(
            "POSTHOG_PROJECT_ID is not set; it is the number in the address of the project's pages"
        )
    if not (project_id.isascii() and project_id.isdigit()):
        raise ConfigurationError(f"POSTHOG_PROJECT_ID: expected a number such as 12345, got {project_id!r}")
    return project_id


def _checked_key(key: str | None) -> str:
    if key is None:
        raise ConfigurationError(
            "POSTHOG_PERSONAL_API_KEY is not set; make one under Settings, Personal API keys, with the scopes"
            " query:read, insight:write and dashboard:write"
        )
    if key.startswith("phc_"):
        raise ConfigurationError("POSTHOG_PERSONAL_API_KEY holds a project token (phc_); a personal key is phx_...")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigurationError("POSTHOG_PERSONAL_API_KEY holds characters that no key has")
    return key


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _object(body: bytes, host: str) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ExporterUnavailable(f"{host} answers with something other than JSON; is POSTHOG_HOST a PostHog?")
    return answer


def _detail(body: bytes) -> str:
    """What PostHog says is wrong, where it says so; kept short, since an answer may quote the whole query."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    text = answer.get("detail") if isinstance(answer, dict) else None
    return f" ({text[:300]})" if isinstance(text, str) and text else ""
