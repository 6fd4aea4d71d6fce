"""The ASGI app of ``costtrace serve``: webhooks, whether all is well, and the dashboard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from costtrace.errors import LedgerError
from costtrace.recorder import Recorder
from costtrace.web.sms import SmsWebhooks

if TYPE_CHECKING:
    from costtrace.web.dashboard import Dashboard


def create_app(recorder: Recorder, webhooks: SmsWebhooks | None = None, dashboard: Dashboard | None = None) -> Router:
    """``GET /healthz``; with webhooks ``POST /sms/inbound`` and ``POST /sms/callback``; the dashboard everywhere else.

    At its end the app waits for the replies under way; the recorder stays open, for whoever opened it.
    """

    async def healthz(_: Request) -> Response:
        try:
            await run_in_threadpool(recorder.ledger.last_seq)
        except LedgerError:
            return JSONResponse({"ok": False, "problem": "the ledger cannot be used"}, status_code=503)
        return JSONResponse({"ok": True})

    parts = [part for part in (webhooks, dashboard) if part is not None]

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for part in reversed(parts):
                await stack.enter_async_context(part.lifespan(app))
            yield

    hooks = [] if webhooks is None else webhooks.routes()
    routes = [*hooks, Route("/healthz", healthz, methods=["GET"])]
    # A router alone: what an application wraps around it answers faults that our routes answer themselves, and costs a
    # tenth of the time that a webhook takes. A redirect would quote the caller's own address.
    return Router(routes, redirect_slashes=False, default=dashboard, lifespan=lifespan)
