"""Twilio's two webhooks as ASGI routes: verified, stored once, answered as Twilio needs it.

A status that is stored is answered with 204 and an inbound message with empty TwiML, the same for a repetition. A store
that is down is answered with 503, which Twilio tries again where the address asks for that (``#rp=5xx``), and a refusal
with its status and nothing else. There is no 500.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from costtrace.context import Context, message_scope
from costtrace.entry import Entry
from costtrace.errors import LedgerError, LedgerUnavailable
from costtrace.recorder import Recorder
from costtrace.times import from_micros
from costtrace.twilio.arrivals import parties, unattempted_entries
from costtrace.twilio.entries import callback_entries, inbound_entry
from costtrace.twilio.envelope import Estimator, Hasher
from costtrace.twilio.estimates import estimate
from costtrace.twilio.legs import SMS, STATUS
from costtrace.twilio.requests import Fault, Refused, WebhookRequest, asgi_body, from_asgi
from costtrace.twilio.signature import Verifier
from costtrace.twilio.webhook_spans import WebhookSpans
from costtrace.twilio.webhooks import EMPTY_TWIML, InboundMessage, StatusCallback
from costtrace.web.background import Background
from costtrace.web.commits import GroupCommit
from costtrace.web.replies import OnInbound, Replies, called, failure

Identify = Callable[[InboundMessage], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
"""Who wrote: fields of `Context`, such as ``{"user_id": "u1", "thread_id": "t1"}``."""

_log: Final = logging.getLogger("costtrace")
_BODY_S: Final = 10.0
"""How long a caller may take to send 64 KiB; Twilio itself gives up after 15 s."""
_IDENTIFY_S: Final = 4.0
"""How long the application may take to say who wrote."""
_LOOKUP_S: Final = 4.0
"""How long the ledger may take to say which message a SID belongs to."""
_DRAIN_S: Final = 20.0
_SPANS_S: Final = 2.0

_STORED: Final = Response(status_code=204)
_NO_REPLY: Final = Response(EMPTY_TWIML, media_type="text/xml")
_TOO_SLOW: Final = Response(status_code=408)
_TRY_AGAIN: Final = Response(status_code=503)

_ADVICE: Final[Mapping[str, str]] = {
    Fault.SIGNATURE: "; if Twilio sent it, check the Auth Token and the public address",
}

_Take = Callable[[WebhookRequest], Awaitable[Response]]


class SmsWebhooks:
    """``POST /sms/inbound`` and ``POST /sms/callback``, for any Starlette or FastAPI application.

        webhooks = SmsWebhooks(recorder, Verifier(tokens=token, public_base="https://example.com"))
        app = FastAPI(lifespan=webhooks.lifespan)
        app.router.routes.extend(webhooks.routes())

    An inbound message opens a message of its own, whose uuid follows from its MessageSid. `identify` says whose it is;
    where it is missing or fails, `hasher` makes user and thread from the two numbers, and without `hasher` they are
    unknown. Neither numbers nor texts are kept. `estimator` says what a message is expected to cost until Twilio does.

    `on_inbound` is called once for each message that is new, in the background and inside the message of the reply:
    what it records belongs there, and Twilio does not wait for it. It answers through a sender of its own; a text
    returned to Twilio would be sent as a message that nobody here could see or price. If the process dies first, it is
    not called again.
    """

    def __init__(
        self,
        recorder: Recorder,
        verifier: Verifier,
        *,
        on_inbound: OnInbound | None = None,
        identify: Identify | None = None,
        hasher: Hasher | None = None,
        estimator: Estimator = estimate,
    ) -> None:
        self._recorder = recorder
        self._verifier = verifier
        self._identify = identify
        self._hasher = hasher
        self._estimator = estimator
        self._replies = None if on_inbound is None else Replies(on_inbound)
        self._commits = GroupCommit(recorder.ledger)
        self._background = Background()
        self._spans = WebhookSpans(
            recorder.ledger,
            recorder.tracing,
            recorder.metrics,
            fault=recorder.fault,
            later=self._background,
        )
        self._refused: Counter[str] = Counter()
        self._problem: str | None = None

    @property
    def refused(self) -> Mapping[str, int]:
        """How many requests were refused so far, by the word that says why."""
        return dict(self._refused)

    def routes(self, prefix: str = "/sms") -> list[Route]:
        """Both routes, under that path."""
        return [
            Route(f"{prefix}/inbound", _Asgi(partial(self._answer, self._inbound)), name="sms_inbound"),
            Route(f"{prefix}/callback", _Asgi(partial(self._answer, self._callback)), name="sms_callback"),
        ]

    @asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[None]:
        """For the application's own lifespan: waits at its end for the replies under way, and then for the spans."""
        yield
        left = 0 if self._replies is None else await self._replies.drain(_DRAIN_S)
        if left:
            _log.warning("%d replies were given up: they were not done %g s after the end began", left, _DRAIN_S)
        await run_in_threadpool(self._background.drain, _SPANS_S)

    async def _callback(self, request: WebhookRequest) -> Response:
        callback = StatusCallback.of(self._verifier.verify(request))
        arrival, sid = self._spans.arrived(), callback.message_sid
        name = f"{STATUS}/{sid}/{callback.status}"
        identified = self._commits.holds(f"{SMS}/{sid}")
        if identified and self._commits.holds(name):
            self._spans.told(arrival, callback, is_new=False)
            return _STORED  # a repetition: its entries would be these
        if callback.message_uuid is None or callback.send_id is None:
            entries = await self._looked_up(callback)
        else:
            entries = callback_entries(callback, now=self._now(), identified=identified)
        new = await self._commits.append(entries)
        self._spans.told(arrival, callback, is_new=name in new)
        return _STORED

    async def _looked_up(self, callback: StatusCallback) -> Sequence[Entry]:
        """The entries of a callback whose address another sender made; the ledger may know the SID all the same."""
        try:
            async with asyncio.timeout(_LOOKUP_S):
                return await to_thread.run_sync(self._unattempted, callback, abandon_on_cancel=True)
        except TimeoutError:
            name = self._recorder.ledger.name
            raise LedgerUnavailable(f"ledger {name!r}: no answer in {_LOOKUP_S:g} s") from None

    def _unattempted(self, callback: StatusCallback) -> Sequence[Entry]:
        ledger, now = self._recorder.ledger, self._now()
        found = unattempted_entries(callback, ledger, now=now, hasher=self._hasher, estimator=self._estimator)
        # Where nobody knows the SID, a reconciliation will know more of it than this callback does, and takes it in.
        return callback_entries(callback, now=now) if found is None else found

    async def _inbound(self, request: WebhookRequest) -> Response:
        inbound = InboundMessage.of(self._verifier.verify(request))
        arrival = self._spans.arrived()
        entry = await run_in_threadpool(  # the first one loads the plan of the world's numbers
            inbound_entry,
            inbound,
            context=await self._context(inbound),
            hasher=self._hasher,
            estimator=self._estimator,
            now=self._now(),
        )
        reply = None
        if self._replies is not None:
            reply = partial(self._replies.start, inbound, entry.message_uuid, entry.context)
        new = await self._commits.append([entry], then=reply)
        self._spans.came_in(arrival, entry, is_new=bool(new))
        return _NO_REPLY

    async def _context(self, inbound: InboundMessage) -> Context:
        """Whose message it is; an application that cannot say must not cost us the message."""
        known = parties(inbound, self._hasher)
        if self._identify is not None:
            try:
                async with asyncio.timeout(_IDENTIFY_S):
                    said = await called(self._identify, inbound)
                return _context({**known, **dict(said)})  # type: ignore[call-overload]  # checked there
            except Exception as error:  # noqa: BLE001 - the application's own fault
                _log.error("identify failed for %s: %s", inbound.message_sid, failure(error))
        return _context(known)

    async def _answer(self, take: _Take, scope: Scope, receive: Receive) -> Response:
        try:
            response = await take(await _request(scope, receive))
        except Refused as refused:
            return self._refusal(refused)
        except LedgerError as error:
            return self._put_off(str(error))
        except TimeoutError:
            return _TOO_SLOW
        except Exception as error:  # noqa: BLE001 - a fault of our own must not look like a refusal: Twilio tries again
            _log.error("costtrace failed while answering a webhook: %s", failure(error))
            return _TRY_AGAIN
        if self._problem is not None:
            self._problem = None
            _log.info("costtrace: the ledger takes webhooks again")
        return response

    def _refusal(self, refused: Refused) -> Response:
        """The bare status. Logged when the word comes for the first time, and then ever less often."""
        self._refused[refused.word] += 1
        count = self._refused[refused.word]
        if count & (count - 1) == 0:  # 1, 2, 4, 8: a flood of forged requests must not fill the disk
            _log.warning("%s (%d so far)%s", refused, count, _ADVICE.get(refused.word, ""))
        headers = {"allow": "POST"} if refused.status == HTTPStatus.METHOD_NOT_ALLOWED else None
        return Response(status_code=refused.status, headers=headers)

    def _put_off(self, problem: str) -> Response:
        if self._problem is None:
            _log.error("%s; webhooks are answered with 503 until that has passed", problem)
        self._problem = problem
        return _TRY_AGAIN

    def _now(self) -> datetime:
        return from_micros(self._recorder.clock() // 1000)


def sms_routes(recorder: Recorder, verifier: Verifier, **hooks: Any) -> list[Route]:
    """The routes of `SmsWebhooks`, for an application that needs nothing else of it; `hooks` are its options."""
    return SmsWebhooks(recorder, verifier, **hooks).routes()


class _Asgi:
    """Starlette takes an object for an ASGI application, whatever the method; a function it would wrap."""

    def __init__(self, answer: Callable[[Scope, Receive], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(scope, receive)
        await response(scope, receive, send)


async def _request(scope: Scope, receive: Receive) -> WebhookRequest:
    """The request with its whole body. Raises Refused, and TimeoutError for a body that does not come."""
    if scope["method"] != "POST":  # before its body is waited for
        raise Refused(Fault.METHOD)
    async with asyncio.timeout(_BODY_S):
        body = await asgi_body(receive)
    return from_asgi(scope, body)


def _context(fields: Mapping[str, Any]) -> Context:
    """The context of those fields. Raises InvalidValue."""
    with message_scope(None, **fields) as scope:
        return scope.context
