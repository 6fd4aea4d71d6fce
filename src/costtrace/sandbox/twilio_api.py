"""The REST side of the stand-in: who may ask, what is asked, and what goes wrong on purpose."""

import asyncio
import base64
import hmac
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from costtrace.sandbox import twilio_lists, twilio_wire
from costtrace.sandbox.loopback import Request, Response
from costtrace.sandbox.twilio_carrier import Carrier
from costtrace.sandbox.twilio_messages import Message
from costtrace.sandbox.twilio_requests import Form, Refusal, decoded, message_request, one

Operation = Literal["create", "fetch", "list", "update", "delete", "usage"]

_CREATED: Final = 201
_NO_CONTENT: Final = 204
_TOO_MANY: Final = 429
_ACCOUNT: Final = re.compile(rf"/{twilio_wire.API}/Accounts/(AC[0-9a-fA-F]{{32}})/(.+)\.json")
_OPERATIONS: Final[tuple[tuple[str, str, Operation], ...]] = (
    ("POST", r"Messages", "create"),
    ("GET", r"Messages", "list"),
    ("GET", r"Messages/[^/]+", "fetch"),
    ("POST", r"Messages/[^/]+", "update"),
    ("DELETE", r"Messages/[^/]+", "delete"),
    ("GET", r"Usage/Records(/Daily)?", "usage"),
)
_FAULTS: Final[Mapping[int, tuple[int, str]]] = {
    401: (20003, "Authenticate"),
    403: (20403, "Forbidden"),
    404: (20404, "The requested resource was not found"),
    429: (20429, "Too Many Requests"),
    500: (20500, "Internal Server Error"),
    503: (20503, "Service Unavailable"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to the API; `status` is None when the connection was closed without an answer."""

    method: str
    path: str
    status: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one request, of that kind or of any.

    With a `status` it is refused with Twilio's error of that status (or `code`), with `dropped` the connection ends
    without an answer, and with neither the answer is only late. `applied` says that the request was carried out all the
    same: the message exists, the caller just does not learn it. `delay_s` are seconds before anything is sent.
    """

    on: Operation | None = None
    status: int | None = None
    code: int | None = None
    retry_after_s: int | None = 1
    dropped: bool = False
    applied: bool = False
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One authenticated request, taken apart."""

    operation: Operation
    account_sid: str
    path: str
    resource: str
    query: Form
    form: Form = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    body: dict[str, Any] | None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class Api:
    """Answers the requests of a client.

    `tokens` are the Auth Tokens by account SID, the main account first; `api_key` is a key's SID and secret.
    """

    def __init__(
        self,
        carrier: Carrier,
        *,
        tokens: Mapping[str, str],
        api_key: tuple[str, str] | None,
        clock: Callable[[], datetime],
        unit: str,
    ) -> None:
        self._carrier = carrier
        self._log = carrier.log
        self._tokens = tokens
        self._main_sid = next(iter(tokens))
        self._credentials = [*tokens.items(), *([api_key] if api_key else [])]
        self._clock = clock
        self._unit = unit
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._faults: list[Fault] = []

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order of completion."""
        with self._lock:
            return list(self._calls)

    def fail(self, *faults: Fault) -> None:
        """Each of these happens to one request, in this order among those of its operation."""
        with self._lock:
            self._faults.extend(faults)

    async def answer(self, request: Request) -> Response | None:
        """The answer to one request; None where the connection is to end without one."""
        try:
            asked = self._understood(request)
        except Refusal as refusal:
            return self._sent(request, _refused(refusal))
        fault = self._next_fault(asked.operation)
        if fault is None:
            return self._sent(request, await self._carried_out(asked))
        answer = await self._carried_out(asked) if fault.applied or _is_late_only(fault) else None
        await asyncio.sleep(fault.delay_s)
        if fault.dropped:
            self._record(request, None)
            return None
        return self._sent(request, _failed(fault) if fault.status or answer is None else answer)

    def _understood(self, request: Request) -> _Asked:
        """Raises Refusal for a wrong key and for an address that does not exist, in this order."""
        found = _ACCOUNT.fullmatch(request.path)
        self._check_key(request, found[1] if found else self._main_sid)
        operation = _operation(request.method, found[2]) if found else None
        if found is None or operation is None:
            raise _not_found(request.path)
        return _Asked(
            operation=operation,
            account_sid=found[1],
            path=request.path,
            resource=found[2],
            query=decoded(request.query),
            form=decoded(request.body.decode(errors="replace")),
        )

    def _check_key(self, request: Request, account_sid: str) -> None:
        """The main account and its key may act for sub-accounts; a sub-account only for itself."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        for user, secret in self._credentials:
            expected = base64.b64encode(f"{user}:{secret}".encode())
            mine = user == account_sid or user not in self._tokens or user == self._main_sid
            if (
                scheme == "Basic"
                and mine
                and account_sid in self._tokens
                and hmac.compare_digest(expected, given.encode())
            ):
                return
        raise Refusal(20003, "Authenticate", status=401)

    async def _carried_out(self, asked: _Asked) -> _Answer:
        """In a thread of its own where callbacks may go out before the answer does."""
        try:
            if asked.operation == "create":
                return await asyncio.to_thread(self._create, asked)
            operations: Mapping[Operation, Callable[[_Asked], _Answer]] = {
                "fetch": self._fetch,
                "list": self._list,
                "update": self._update,
                "delete": self._delete,
                "usage": self._usage,
            }
            return operations[asked.operation](asked)
        except Refusal as refusal:
            return _refused(refusal)

    def _create(self, asked: _Asked) -> _Answer:
        message = self._carrier.create(message_request(asked.form, now=self._clock()), asked.account_sid)
        return _Answer(status=_CREATED, body=twilio_wire.message(message, None, price_unit=None))

    def _fetch(self, asked: _Asked) -> _Answer:
        ((message, price),) = self._log.read(self._one(asked).sid)
        return _Answer(body=twilio_wire.message(message, price, price_unit=message.price_unit))

    def _update(self, asked: _Asked) -> _Answer:
        """Cancels a scheduled message, or empties a body, which is all that can be changed."""
        message = self._one(asked)
        if one(asked.form, "Status") == "canceled":
            self._carrier.cancel(message.sid)
        elif asked.form.get("Body") == [""]:
            self._log.change(message.sid, body="")
        else:
            raise Refusal(20001, "Only an empty Body or the Status 'canceled' can be set.")
        return self._fetch(asked)

    def _delete(self, asked: _Asked) -> _Answer:
        self._log.delete(self._one(asked).sid)
        return _Answer(status=_NO_CONTENT, body=None)

    def _list(self, asked: _Asked) -> _Answer:
        """Newest first, as Twilio lists them."""
        chosen = [m for m in reversed(self._mine(asked)) if twilio_lists.matches(m, asked.query)]
        page, token = twilio_lists.page(asked.path, asked.query), one(asked.query, "PageToken")
        start = next((n + 1 for n, m in enumerate(chosen) if token == f"PA{m.sid}"), page.number * page.size)
        sids = [m.sid for m in chosen[start : start + page.size]]
        rows = [twilio_wire.message(m, price, price_unit=m.price_unit) for m, price in self._log.read(*sids)]
        following = f"PA{sids[-1]}" if len(chosen) > start + page.size else None
        return _Answer(body=twilio_wire.page("messages", page, rows, next_token=following, token=token))

    def _usage(self, asked: _Asked) -> _Answer:
        mine = self._mine(asked)
        today = self._clock().astimezone(UTC).date()
        rows = twilio_wire.usage(
            mine,
            twilio_wire.Account(sid=asked.account_sid, unit=self._unit),
            category=one(asked.query, "Category"),
            start=twilio_lists.day(asked.query, "StartDate", min([twilio_wire.day_of(m) for m in mine], default=today)),
            end=twilio_lists.day(asked.query, "EndDate", today),
            daily=asked.resource.endswith("Daily"),
        )
        page, token = twilio_lists.page(asked.path, asked.query), one(asked.query, "PageToken")
        start = page.number * page.size
        following = f"PA{start + page.size}" if len(rows) > start + page.size else None
        window = rows[start : start + page.size]
        return _Answer(body=twilio_wire.page("usage_records", page, window, next_token=following, token=token))

    def _mine(self, asked: _Asked) -> list[Message]:
        return [m for m in self._log.all() if m.account_sid == asked.account_sid]

    def _one(self, asked: _Asked) -> Message:
        message = self._log.get(asked.resource.partition("/")[2])
        if message is None or message.account_sid != asked.account_sid:
            raise _not_found(asked.path)
        return message

    def _next_fault(self, operation: Operation) -> Fault | None:
        with self._lock:
            for number, fault in enumerate(self._faults):
                if fault.on in {None, operation}:
                    return self._faults.pop(number)
        return None

    def _sent(self, request: Request, answer: _Answer) -> Response:
        self._record(request, answer.status)
        headers = {"content-type": "application/json", **answer.headers}
        if answer.body is None:
            return Response(status=answer.status, body=b"", headers=dict(answer.headers))
        return Response(status=answer.status, body=twilio_wire.dump(answer.body), headers=headers)

    def _record(self, request: Request, status: int | None) -> None:
        with self._lock:
            self._calls.append(Call(method=request.method, path=request.path, status=status))


def _operation(method: str, resource: str) -> Operation | None:
    return next((name for verb, path, name in _OPERATIONS if verb == method and re.fullmatch(path, resource)), None)


def _is_late_only(fault: Fault) -> bool:
    return fault.status is None and not fault.dropped


def _failed(fault: Fault) -> _Answer:
    status = fault.status or 500
    code, message = _FAULTS.get(status, (20001, "The request failed."))
    limited = status == _TOO_MANY and fault.retry_after_s is not None
    refusal = Refusal(fault.code or code, message, status=status)
    return _refused(refusal, {"retry-after": str(fault.retry_after_s)} if limited else {})


def _refused(refusal: Refusal, headers: Mapping[str, str] | None = None) -> _Answer:
    return _Answer(status=refusal.status, body=twilio_wire.error(refusal), headers=headers or {})


def _not_found(path: str) -> Refusal:
    return Refusal(20404, f"The requested resource {path} was not found", status=404)
