"""What the list addresses take: filters, days and pages."""

from datetime import UTC, date, datetime
from typing import Final

from costtrace.sandbox.twilio_messages import Message
from costtrace.sandbox.twilio_requests import Form, Refusal, one
from costtrace.sandbox.twilio_wire import Page

_PAGE_SIZE: Final = 50
_LARGEST_PAGE: Final = 1000
_PAGING: Final = frozenset({"PageSize", "Page", "PageToken"})


def page(path: str, query: Form) -> Page:
    """The page that is asked for. Raises Refusal for numbers that are none."""
    return Page(
        path=path,
        query=[(name, value) for name, values in query.items() if name not in _PAGING for value in values],
        size=min(max(_whole(query, "PageSize", _PAGE_SIZE), 1), _LARGEST_PAGE),
        number=_whole(query, "Page", 0),
    )


def matches(message: Message, query: Form) -> bool:
    """Whether the list of messages asked for holds this one."""
    ends = one(query, "To") in {None, message.to} and one(query, "From") in {None, message.from_}
    return ends and _in_time(message, query)


def _in_time(message: Message, query: Form) -> bool:
    """What was not sent matches no date. Limits are inclusive; a day without a time begins at midnight UTC."""
    limits = {sign: given for sign in ("", "<", ">") if (given := one(query, f"DateSent{sign}"))}
    if not limits:
        return True
    if message.sent is None:
        return False
    times = {sign: _time(given) for sign, given in limits.items()}
    on = times.get("")
    return (
        (on is None or on.date() == message.sent.astimezone(UTC).date())
        and ("<" not in times or message.sent <= times["<"])
        and (">" not in times or message.sent >= times[">"])
    )


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(20001, f"Parameter 'DateSent' is not a date: {text}") from None
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def day(query: Form, name: str, default: date) -> date:
    """A day of the query, the default where it names none."""
    text = one(query, name)
    try:
        return date.fromisoformat(text) if text else default
    except ValueError:
        raise Refusal(20001, f"Parameter '{name}' is not a date: {text}") from None


def _whole(query: Form, name: str, default: int) -> int:
    text = one(query, name) or str(default)
    if not text.isdecimal():
        raise Refusal(20001, f"Parameter '{name}' is not a number: {text}")
    return int(text)
