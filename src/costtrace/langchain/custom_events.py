"""Costs that are told by an event: ``dispatch_custom_event("costtrace.cost", {...})`` inside a LangChain run.

    dispatch_custom_event("costtrace.cost", {"name": "tavily-search", "cost": "0.008", "source_id": request_id})

The data says what `Recorder.record_cost` takes, in JSON: amounts are text, in US dollars unless ``currency`` says
otherwise, and ``occurred_at`` is a text in ISO 8601 with its zone. The cost lands on the message of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.money import Money, parse_amount
from costtrace.times import parse_moment

COST_EVENT: Final = "costtrace.cost"
"""The name of the event; all others are left alone."""

_PLAIN: Final = ("name", "kind", "usage", "provider", "message_uuid", "source_id", "details")
_KEYS: Final = frozenset({*_PLAIN, "cost", "estimate", "currency", "occurred_at"})
_REMEMBERED: Final = 256

_seen: Final[dict[tuple[str, int, int], tuple[object, object]]] = {}


def is_first_sight(ledger: str, data: object, metadata: object) -> bool:
    """Whether no other handler of that ledger was given the same event before.

    LangChain shows one event to each handler in turn. It makes a metadata object anew for each event, and gives that
    same object, and the data, to all of them. So two events are one when both objects are the same; they are kept for a
    while, lest other objects take their places in memory.
    """
    event = (data, metadata)
    first = _seen.setdefault((ledger, id(data), id(metadata)), event) is event
    while len(_seen) > _REMEMBERED:
        with suppress(RuntimeError):  # another thread was faster
            _seen.pop(next(iter(_seen)), None)
    return first


@contextmanager
def values_left_out() -> Iterator[None]:
    """Errors name a value by its type alone: they are logged, and the data of an event may be anything."""
    try:
        yield
    except InvalidValue as error:
        raise InvalidValue(error.field, type(error.value), error.expected) from None


def cost_of(data: object) -> dict[str, Any]:
    """The arguments for `Recorder.record_cost` that the data of an event names. Raises InvalidValue naming the key."""
    if not isinstance(data, Mapping):
        raise InvalidValue(COST_EVENT, data, "an object with a name and a cost, an estimate or a usage")
    for key in data:
        if key not in _KEYS:
            raise InvalidValue(f"{COST_EVENT}.{key}", data[key], f"only the keys {', '.join(sorted(_KEYS))}")
    said = {key: data[key] for key in _PLAIN if data.get(key) is not None}
    if "name" not in said:
        raise InvalidValue(f"{COST_EVENT}.name", None, "what was bought, such as 'tavily-search'")
    currency = data.get("currency") or "USD"
    for key in ("cost", "estimate"):
        if data.get(key) is not None:
            said[key] = _money(data[key], currency, key)
    if data.get("occurred_at") is not None:
        said["occurred_at"] = parse_moment(data["occurred_at"], f"{COST_EVENT}.occurred_at")
    return said


def _money(value: object, currency: Any, key: str) -> Money:
    if isinstance(value, Money):
        return value
    return Money(parse_amount(value, f"{COST_EVENT}.{key}"), currency)
