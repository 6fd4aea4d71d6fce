"""What the Twilio API sends: Message resources, pages, usage records and errors, as JSON.

Addresses within an answer are relative and prices are text, as the service sends them and its SDKs expect them.
"""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlencode

from costtrace.sandbox.twilio_messages import Message
from costtrace.sandbox.twilio_requests import Refusal

API: Final = "2010-04-01"

Json = dict[str, Any]

_CARRIER_FEES: Final[Mapping[str, str]] = {"sms": "sms-messages-carrierfees", "mms": "mms-messages-carrierfees"}
_CATEGORIES: Final = (
    "channels-whatsapp",
    "channels-whatsapp-inbound",
    "channels-whatsapp-outbound",
    "mms",
    "mms-inbound",
    "mms-messages-carrierfees",
    "mms-outbound",
    "sms",
    "sms-inbound",
    "sms-messages-carrierfees",
    "sms-outbound",
    "totalprice",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A window of a list: where it is, how long it may be, and the query it was asked with, paging left out."""

    path: str
    query: Sequence[tuple[str, str]]
    size: int
    number: int

    def uri(self, number: int, token: str | None = None) -> str:
        """The address of that page of the same list."""
        paging = [("PageSize", str(self.size)), ("Page", str(number)), *([("PageToken", token)] if token else [])]
        return f"{self.path}?{urlencode([*self.query, *paging])}"


def dump(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def error(refusal: Refusal) -> Json:
    """The body of an error answer."""
    return {
        "code": refusal.code,
        "message": refusal.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
        "status": refusal.status,
    }


def message(message: Message, price: str | None, *, price_unit: str | None) -> Json:
    """A Message resource that shows this price."""
    uri = f"/{API}/Accounts/{message.account_sid}/Messages/{message.sid}"
    return {
        "account_sid": message.account_sid,
        "api_version": API,
        "body": message.body,
        "date_created": _rfc2822(message.created),
        "date_sent": _rfc2822(message.sent),
        "date_updated": _rfc2822(message.updated),
        "direction": message.direction,
        "error_code": message.error_code,
        "error_message": None,
        "from": message.from_,
        "messaging_service_sid": message.messaging_service_sid,
        "num_media": str(message.num_media),
        "num_segments": str(message.num_segments),
        "price": price,
        "price_unit": price_unit,
        "sid": message.sid,
        "status": message.status,
        "subresource_uris": {"media": f"{uri}/Media.json"},
        "to": message.to,
        "uri": f"{uri}.json",
    }


def page(name: str, page: Page, rows: Sequence[Json], *, next_token: str | None, token: str | None) -> Json:
    """One page of a list; `next_token` is what the next one continues after, None on the last."""
    start = page.number * page.size
    return {
        "first_page_uri": page.uri(0),
        "next_page_uri": page.uri(page.number + 1, next_token) if next_token else None,
        "previous_page_uri": page.uri(page.number - 1) if page.number else None,
        "uri": page.uri(page.number, token),
        "page": page.number,
        "page_size": page.size,
        "start": start,
        "end": max(start, start + len(rows) - 1),
        name: list(rows),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose usage it is, and the currency of its bill."""

    sid: str
    unit: str


def usage(
    messages: Iterable[Message], account: Account, *, category: str | None, start: date, end: date, daily: bool
) -> list[Json]:
    """Usage records from the first to the last day: one per category, and per day, newest first, when `daily`.

    What is counted is what the bill counts: segments of an SMS, otherwise messages. `sms` holds its inbound and
    outbound lines and `totalprice` everything: they are not to be added up.
    """
    charged = [m for m in messages if m.charge is not None]
    names = [name for name in _CATEGORIES if category in {None, name}]
    days = [start + timedelta(n) for n in range((end - start).days + 1)] if daily else []
    spans = [(day, day) for day in reversed(days)] if daily else [(start, end)]
    return [
        _usage_record(account, name, span, [m for m in charged if span[0] <= day_of(m) <= span[1]])
        for span, name in itertools.product(spans, names)
    ]


def day_of(message: Message) -> date:
    """The UTC day it is billed on."""
    return (message.sent or message.created).astimezone(UTC).date()


def _usage_record(account: Account, name: str, span: tuple[date, date], charged: list[Message]) -> Json:
    first, last = span
    lines = [(m, amount) for m in charged for line, amount in _lines(m) if name == "totalprice" or _within(line, name)]
    # The fee line of a message is not a message of its own.
    count = 0 if name == "totalprice" else sum(m.units for m, _ in lines)
    price = sum((amount for _, amount in lines), Decimal(0))
    path = f"/{API}/Accounts/{account.sid}/Usage/Records"
    query = urlencode({"Category": name, "StartDate": first, "EndDate": last})
    return {
        "account_sid": account.sid,
        "api_version": API,
        "as_of": f"{last}T23:59:59+00:00",
        "category": name,
        "count": str(count),
        "count_unit": "messages",
        "description": name,
        "start_date": str(first),
        "end_date": str(last),
        "price": format(price, "f"),
        "price_unit": account.unit.lower(),
        "subresource_uris": {"daily": f"{path}/Daily.json?Category={name}"},
        "uri": f"{path}/Daily.json?{query}",
        "usage": str(count),
        "usage_unit": "messages",
    }


def _lines(message: Message) -> list[tuple[str, Decimal]]:
    """The usage categories a message is charged under: its own, and the carrier's fee where there is one."""
    way = "inbound" if message.direction == "inbound" else "outbound"
    own = {"sms": "sms", "mms": "mms", "whatsapp": "channels-whatsapp"}[message.kind]
    fee = [(_CARRIER_FEES[message.kind], message.fee)] if message.fee else []
    return [(f"{own}-{way}", message.charge or Decimal(0)), *fee]


def _within(line: str, category: str) -> bool:
    return line == category or line in {f"{category}-inbound", f"{category}-outbound"}


def _rfc2822(at: datetime | None) -> str | None:
    return None if at is None else format_datetime(at.astimezone(UTC))
