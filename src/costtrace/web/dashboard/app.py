"""The dashboard as one ASGI application."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketClose

from costtrace.ledger import Ledger
from costtrace.pricing import Catalog
from costtrace.view.page import stylesheet
from costtrace.web.dashboard.access import Guarded
from costtrace.web.dashboard.messages import Messages
from costtrace.web.dashboard.overview import Overview
from costtrace.web.dashboard.prices import Prices
from costtrace.web.dashboard.site import Site, now_utc
from costtrace.web.dashboard.standing import Health, problems_of
from costtrace.web.dashboard.wrongs import NotThere

_LIMIT_S: Final = 20.0
_STATIC: Final = ("dashboard.css", "dashboard.js", "icon.svg")
_TRACE: Final = "trace.css"
"""What the steps of a message look like; it comes with their markup."""


class Dashboard:
    """Read-only pages over a ledger, for whoever holds the token.

        app = create_app(recorder, dashboard=Dashboard(ledger, token=new_token()))

    `sums` is the same ledger opened once more, for the questions that take long, so that no page and no webhook waits
    for them; the same one unless given. `catalog` is what calls are priced by. `hosts` are names at which the dashboard
    may be seen besides ``localhost`` and IP addresses; with `proxied` also through a proxy or a tunnel. A page gives up
    after `limit_s` seconds. The ledgers stay open, for whoever opened them. Raises ConfigurationError for a token that
    anybody could guess.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        token: str,
        sums: Ledger | None = None,
        catalog: Catalog | None = None,
        hosts: Collection[str] = (),
        proxied: bool = False,
        clock: Callable[[], datetime] = now_utc,
        limit_s: float = _LIMIT_S,
    ) -> None:
        self._site = Site(
            ledger,
            ledger if sums is None else sums,
            catalog=Catalog.default() if catalog is None else catalog,
            look=problems_of,
            clock=clock,
            limit_s=limit_s,
        )
        pages = (Overview(self._site), Messages(self._site), Health(self._site), Prices(self._site))
        routes = [route for page in pages for route in page.routes()]
        static = self._site.route("/static/{name}", _static)
        # No pattern of a path: those leave out the paths with a line break in them.
        router = Router([*routes, static], redirect_slashes=False, default=self._site.route("/", _nowhere).app)
        self._app = Guarded(router, token=token, hosts=hosts, proxied=proxied)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """For the application's own lifespan: what is being read at its end is given up."""
        try:
            yield
        finally:
            self._site.close()


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    if name == _TRACE:
        return Response(stylesheet(), media_type="text/css")
    if name not in _STATIC:
        raise NotThere("There is no such file")
    return Response(_file(name), media_type=mimetypes.guess_type(name)[0])


@cache
def _file(name: str) -> bytes:
    return resources.files("costtrace.web.dashboard").joinpath("static", name).read_bytes()


async def _nowhere(_: Request) -> Response:
    raise NotThere("There is no such page")
