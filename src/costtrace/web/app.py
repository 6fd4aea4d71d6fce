"""The ASGI app of ``costtrace serve``: webhooks, and whether all is well."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from costtrace.errors import LedgerError
from costtrace.recorder import Recorder
from costtrace.web.sms import SmsWebhooks


def create_app(recorder: Recorder, webhooks: SmsWebhooks) -> Router:
    """``POST /sms/inbound``, ``POST /sms/callback`` and ``GET /healthz``.

    At its end the app waits for the replies under way; the recorder stays open, for whoever opened it.
    """

    async def healthz(_: Request) -> Response:
        try:
            await run_in_threadpool(recorder.ledger.last_seq)
        except LedgerError:
            return JSONResponse({"ok": False, "problem": "the ledger cannot be used"}, status_code=503)
        return JSONResponse({"ok": True})

    routes = [*webhooks.routes(), Route("/healthz", healthz, methods=["GET"])]
    # A router alone: what an application wraps around it answers faults that our routes answer themselves, and costs a
    # tenth of the time that a webhook takes. A redirect would quote the caller's own address.
    return Router(routes, redirect_slashes=False, lifespan=webhooks.lifespan)
