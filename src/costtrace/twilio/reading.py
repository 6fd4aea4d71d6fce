"""What Twilio itself says of messages and of the bill, read through the client's own connection.

The raw answer is read instead of the SDK's resource objects: those drop the header that says when to come back, and
hand on what they cannot parse.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Any, Final, Protocol

from costtrace.errors import ConfigurationError, CostTraceError, InvalidValue
from costtrace.money import Money, parse_amount

_TIMEOUT_S: Final = 30.0
_PAGE_SIZE: Final = 1000
_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_LONGEST_WISH_S: Final = 86_400.0
_TRIES: Final = 4
_SUCCESS: Final = range(200, 300)
_REFUSED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_LIMITED: Final = 429
_SERVER_FAULT: Final = 500
_INBOUND: Final = "inbound"
_ACCOUNT: Final = re.compile(r"AC[0-9a-fA-F]{32}")
_SID: Final = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")


class TwilioUnavailable(CostTraceError):  # noqa: N818 - names what is wrong
    """Twilio did not answer, or not as it does; nothing was learned, and the same may be asked again later."""


class RateLimited(TwilioUnavailable):
    """Twilio wants to be asked later, and by more than it is worth to wait for."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        """Seconds from now."""
        super().__init__(f"Twilio limits the rate of requests; it may be asked again in {retry_after_s:g} s")


class MessageNotFound(CostTraceError, LookupError):  # noqa: N818 - names what is wrong
    """The account has no message of that SID."""


class RequestRefused(CostTraceError):  # noqa: N818 - names what is wrong
    """Twilio does not accept the request itself; asking the same again does not help."""


class CredentialsRefused(ConfigurationError):  # noqa: N818 - names what is wrong
    """Twilio turns this account's requests down. Asking again does not help; a person has to look."""


class Answer(Protocol):
    """What the SDK gives back for a raw request."""

    status_code: int
    headers: Any

    @property
    def text(self) -> str:
        """The body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioMessage:
    """A Message resource as Twilio had it at one moment."""

    sid: str
    account_sid: str | None
    """The account it belongs to."""
    status: str
    direction: str
    """``inbound``, ``outbound-api``, ``outbound-call`` or ``outbound-reply``."""
    price: str | None
    """Twilio's own text, such as ``-0.00750``: negative where it costs. None while it is not known."""
    price_unit: str | None
    """Currency code in Twilio's spelling; None while it is not known."""
    num_segments: int | None
    """None where Twilio has not counted yet."""
    num_media: int
    error_code: int | None
    created: datetime
    sent: datetime | None
    from_: str | None = field(repr=False)
    to: str | None = field(repr=False)
    body: str = field(repr=False)

    @property
    def is_inbound(self) -> bool:
        """Whether somebody else sent it."""
        return self.direction == _INBOUND

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> TwilioMessage:
        """The message in that JSON object; raises TwilioUnavailable for one that is no message."""
        try:
            if not _SID.fullmatch(record["sid"]):
                raise InvalidValue("sid", record["sid"], "a MessageSid")
            return cls(
                sid=record["sid"],
                account_sid=_text(record["account_sid"]),
                status=str(record["status"]),
                direction=str(record["direction"]),
                price=_text(record["price"]),
                price_unit=_text(record["price_unit"]),
                num_segments=int(record["num_segments"] or 0) or None,
                num_media=int(record["num_media"] or 0),
                error_code=None if record["error_code"] is None else int(record["error_code"]),
                created=_moment(record["date_created"]),
                sent=None if record["date_sent"] is None else _moment(record["date_sent"]),
                from_=record["from"],
                to=record["to"],
                body=record["body"] or "",
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TwilioUnavailable(f"Twilio answered with what is no message: {type(error).__name__}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One line of Twilio's bill: one category on one UTC day."""

    category: str
    day: date
    price: Money
    """Positive where it costs, unlike the price of a message."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> UsageRecord:
        """The line in that JSON object; raises TwilioUnavailable for one that is none."""
        try:
            return cls(
                category=str(record["category"]),
                day=date.fromisoformat(record["start_date"]),
                price=Money(parse_amount(str(record["price"]), "price"), str(record["price_unit"]).upper()),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TwilioUnavailable(f"Twilio answered with what is no usage record: {type(error).__name__}") from error


class TwilioReader:
    """Reads one account. Safe to use from many threads, which all keep the pause that Twilio asks one of them for.

    `client` is a `twilio.rest.Client`; its base URL and credentials are used as they are. A request that is limited, or
    part of a list, is tried again a few times; asking changes nothing at Twilio. Raises InvalidValue for a client that
    has to be awaited.
    """

    def __init__(
        self,
        client: Any,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if client.http_client.is_async:
            raise InvalidValue("client", type(client.http_client).__name__, "a client with a synchronous HTTP client")
        self._client = client
        self._sleep = sleep
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._resume_at = monotonic()

    def message(self, sid: str, *, account_sid: str | None = None) -> TwilioMessage:
        """The message as it is now; `account_sid` is the account that has it, where that may not be the client's own.

        Raises MessageNotFound, CredentialsRefused, RequestRefused, RateLimited or TwilioUnavailable. Another account
        that the client may not read is a RequestRefused.
        """
        account = account_sid if account_sid is not None and _ACCOUNT.fullmatch(account_sid) else self.account_sid
        path = self._path(f"Messages/{sid}", account)
        try:
            return TwilioMessage.of(self._get(path, {}, patient=False))
        except CredentialsRefused as error:
            if account == self.account_sid:
                raise
            raise RequestRefused(f"the credentials are not for account {account}, which has this message") from error

    def messages(self, *, sent_since: datetime, limit: int) -> Iterator[TwilioMessage]:
        """At most `limit` messages that went out or came in since then, newest first, a page of 1000 at a time.

        What was not sent yet is not among them. Raises as `message` does.
        """
        query = {"DateSent>": sent_since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "PageSize": _PAGE_SIZE}
        return islice(map(TwilioMessage.of, self._rows("Messages", "messages", query)), limit)

    def usage(self, category: str, *, first: date, last: date, limit: int) -> Iterator[UsageRecord]:
        """The bill of each of these days for one category, without sub-accounts. Raises as `message` does."""
        query = {
            "Category": category,
            "StartDate": first.isoformat(),
            "EndDate": last.isoformat(),
            "IncludeSubaccounts": "false",  # Twilio adds them up unless told otherwise
            "PageSize": _PAGE_SIZE,
        }
        return islice(map(UsageRecord.of, self._rows("Usage/Records/Daily", "usage_records", query)), limit)

    @property
    def account_sid(self) -> str:
        """The account that is read."""
        return str(self._client.account_sid)

    @staticmethod
    def _path(resource: str, account: str) -> str:
        return f"2010-04-01/Accounts/{account}/{resource}.json"

    def _rows(self, resource: str, name: str, query: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        path, params = self._path(resource, self.account_sid), dict(query)
        while path:
            page = self._get(path, params, patient=True)
            rows = page.get(name)
            yield from rows or ()
            path, params = (page.get("next_page_uri") or "") if rows else "", {}

    def _get(self, path: str, params: Mapping[str, object], *, patient: bool) -> dict[str, Any]:
        """The JSON object at that path; `patient` also outlasts a short failure of the service itself."""
        for left in reversed(range(_TRIES)):
            self._keep_pause()
            try:
                return _content(self._asked(path, params))
            except RateLimited as limited:
                self._pause(limited.retry_after_s)
                if not left:
                    raise
            except TwilioUnavailable:
                if not left or not patient:
                    raise
                self._sleep(_PAUSE_S * 2 ** (_TRIES - 1 - left))
        raise AssertionError("the last try either answered or raised")

    def _asked(self, path: str, params: Mapping[str, object]) -> Answer:
        try:
            answer: Answer = self._client.api.request("GET", path, params=dict(params), timeout=_TIMEOUT_S)
        except OSError as error:  # what the SDK's HTTP client raises for every way to lose a connection
            place = str(self._client.api.base_url).rpartition("@")[2]
            raise TwilioUnavailable(f"Twilio cannot be reached at {place}: {type(error).__name__}") from error
        return answer

    def _pause(self, pause_s: float) -> None:
        with self._lock:
            self._resume_at = max(self._resume_at, self._monotonic() + pause_s)

    def _keep_pause(self) -> None:
        with self._lock:
            wait_s = self._resume_at - self._monotonic()
        if wait_s > _LONGEST_PAUSE_S:
            raise RateLimited(wait_s)
        if wait_s > 0:
            self._sleep(wait_s)


def _content(answer: Answer) -> dict[str, Any]:
    """The JSON object of an answer that is one; any other is told apart by who must act."""
    if answer.status_code in _REFUSED:
        raise CredentialsRefused(
            f"Twilio refuses these credentials ({answer.status_code}{_code(answer)}): check TWILIO_ACCOUNT_SID and"
            " TWILIO_AUTH_TOKEN, and that the account is active"
        )
    if answer.status_code == _NOT_FOUND:
        raise MessageNotFound(f"Twilio has no such message (404{_code(answer)})")
    if answer.status_code == _LIMITED:
        raise RateLimited(_retry_after_s(answer.headers))
    if answer.status_code >= _SERVER_FAULT:
        raise TwilioUnavailable(f"Twilio failed ({answer.status_code}{_code(answer)})")
    if answer.status_code not in _SUCCESS:
        raise RequestRefused(f"Twilio refused the request ({answer.status_code}{_code(answer)})")
    content = _json(answer.text)
    if content is None:
        raise TwilioUnavailable("Twilio answered with what is no JSON object")
    return content


def _json(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, parse_float=Decimal)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _code(answer: Answer) -> str:
    """Twilio's own code of an error. Its text stays behind: it may quote a number."""
    code = (_json(answer.text) or {}).get("code")
    return f", code {code}" if isinstance(code, int) else ""


def _retry_after_s(headers: Mapping[str, str]) -> float:
    text = headers.get("Retry-After") or headers.get("retry-after") or ""
    return min(float(text), _LONGEST_WISH_S) if text.isdecimal() else _PAUSE_S


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _moment(text: str) -> datetime:
    return parsedate_to_datetime(text).astimezone(UTC)
