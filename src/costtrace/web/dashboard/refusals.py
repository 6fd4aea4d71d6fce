"""What is answered to whoever may not see the dashboard: one small page that needs nothing else, and tells nothing."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.responses import HTMLResponse, Response

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;color:#1c2024;"
    "background:#fff}code{font:14px ui-monospace,Menlo,Consolas,monospace}a{color:#1f4fbf}"
    "@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#14171a}a{color:#9ab8ff}}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CSP: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; base-uri 'none'"
_SAID: Final[Mapping[HTTPStatus, tuple[str, str]]] = {
    HTTPStatus.UNAUTHORIZED: (
        "Open the dashboard with its link",
        (
            "<p><code>costtrace serve</code> prints a link with a token when it starts. Open that link once; this"
            " browser is then let in until it is closed, or until the server is started anew with another token.</p>"
            '<p>If you have just followed the link from another page, <a href="/">continue here</a>.</p>'
        ),
    ),
    HTTPStatus.MISDIRECTED_REQUEST: (
        "Not to be seen at this address",
        (
            "<p>The dashboard answers at an IP address or at <code>localhost</code>, to requests that no proxy or"
            " tunnel has passed on. <code>costtrace serve --dashboard --host NAME</code> lets it be seen elsewhere.</p>"
        ),
    ),
    HTTPStatus.METHOD_NOT_ALLOWED: ("The dashboard can only be read", "<p>It answers GET and HEAD.</p>"),
}


def refusal(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Response:
    """The page for that status; nothing of the request is in it."""
    title, body = _SAID[status]
    page = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{html.escape(title)}</title><link rel="icon" href="data:,"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    )
    csp = {"content-security-policy": f"{_CSP}; img-src data:"}
    return HTMLResponse(page, status, {**csp, **(headers or {})})
