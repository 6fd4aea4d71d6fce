"""Who may see the dashboard: whoever holds its link, from an address that no foreign page can speak for.

The link carries a token. It is exchanged for a cookie at once and leaves the address bar. The cookie is not the token,
so nothing that is stored in a browser opens the dashboard of another start.

A page elsewhere can have its own name resolve to 127.0.0.1 and then read what answers there. It cannot choose the Host
that the browser sends, which is that name; so only addresses, ``localhost`` and names that were allowed are answered.
A request that a proxy or a tunnel has passed on comes from further away than it seems, and is answered only where that
was asked for.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from costtrace.errors import ConfigurationError
from costtrace.web.dashboard.refusals import refusal

_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS: Final = {
    "content-security-policy": _CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""On every answer that does not say otherwise itself."""
_PROXIED: Final = frozenset({"forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip"})
_HOST: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+))(?::[0-9]*)?", re.ASCII)
_TOKEN: Final = re.compile(r"[\x21-\x7e]{16,200}", re.ASCII)


def new_token() -> str:
    """A token that nobody can guess."""
    return secrets.token_urlsafe(32)


def check_token(token: str) -> str:
    """The token itself, where it is fit to guard anything; raises ConfigurationError, which does not quote it."""
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(
            "COSTTRACE_DASHBOARD_TOKEN: expected 16 to 200 letters, digits and signs without spaces, such as"
            ' `python -c "import secrets; print(secrets.token_urlsafe())"` prints'
        )
    return token


class Guarded:
    """An ASGI application behind the token: only GET and HEAD, only from where the dashboard is meant to be seen."""

    def __init__(self, app: ASGIApp, *, token: str, hosts: Collection[str] = (), proxied: bool = False) -> None:
        self._app = app
        self._token = check_token(token)
        self._cookie = hashlib.sha256(f"costtrace dashboard {token}".encode()).hexdigest()
        self._hosts = frozenset(host.lower() for host in hosts)
        self._proxied = proxied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse; every answer carries the headers."""
        answer: ASGIApp = self._refused(Request(scope)) or self._app

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in present),
                ]
            await send(message)

        await answer(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        if request.method not in {"GET", "HEAD"}:
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, {"allow": "GET, HEAD"})
        if not self._is_meant(request):
            return refusal(HTTPStatus.MISDIRECTED_REQUEST)
        if "token" in request.query_params:
            return self._exchanged(request)
        cookie = request.cookies.get(cookie_name(request), "")
        if not hmac.compare_digest(cookie.encode(), self._cookie.encode()):
            return refusal(HTTPStatus.UNAUTHORIZED)
        return None

    def _is_meant(self, request: Request) -> bool:
        if not self._proxied and not _PROXIED.isdisjoint(request.headers.keys()):
            return False
        host = _without_port(request.headers.get("host", "")).lower()
        return host == "localhost" or host in self._hosts or _is_address(host)

    def _exchanged(self, request: Request) -> Response:
        """The cookie for the token, and on to the same page without it."""
        given = request.query_params["token"]
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return refusal(HTTPStatus.UNAUTHORIZED)
        rest = urlencode([(n, v) for n, v in parse_qsl(request.url.query, keep_blank_values=True) if n != "token"])
        # One slash: two would begin the name of another host.
        path = quote("/" + request.url.path.lstrip("/\\"), safe="/")
        response = RedirectResponse(f"{path}?{rest}" if rest else path, HTTPStatus.SEE_OTHER)
        secure = request.url.scheme == "https"
        response.set_cookie(cookie_name(request), self._cookie, httponly=True, samesite="strict", secure=secure)
        return response


def cookie_name(request: Request) -> str:
    """Cookies do not know ports: two dashboards of one machine must not overwrite each other's."""
    server = request.scope.get("server")
    return f"costtrace-{server[1] if server else 0}"


def _without_port(host: str) -> str:
    """The name or the address; nothing where it is not written as a browser does."""
    read = _HOST.fullmatch(host)
    return "" if read is None else read[1] or read[2]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
