"""The one write that brings a part of a projection into a row, or the insight that none is needed.

Every write is guarded by what was seen: that the row is that message's, that the map to be filled is or is not there,
and that no newer projection stands there. Fields are set one by one, so that what the write does not know stays. The
version stands inside the map: whoever replaces the map takes the version away with it, and is corrected by the next
projection.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from costtrace.chat.attributes import write
from costtrace.chat.message import COSTS, MESSAGE_ID
from costtrace.chat.projection import VERSION, Part
from costtrace.errors import InvalidValue

_OURS: Final = "#id = :id"
"""True of that message's row alone, and so never of one that does not exist: an update must not make a row."""
_MAP: Final = {"S": "M"}
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


def update(part: Part, costs: object, message_uuid: str) -> dict[str, Any] | None:
    """The parameters of an UpdateItem, whose key and table are still to be named; None where nothing is to be done.

    `costs` is what was seen there. Raises InvalidValue where that is no map, or the part below it is none, and for a
    number that DynamoDB cannot hold exactly.
    """
    known = _map(costs, COSTS)
    whole = {VERSION: part.version, **part.fields}
    if known is None:
        return _made("#costs", write({part.name: whole}, COSTS), _request(message_uuid))
    stands = _map(known.get(part.name), f"{COSTS}.{part.name}")
    below = _request(message_uuid, names={"#part": part.name}, values={":map": _MAP})
    if stands is None:
        return _made("#costs.#part", write(whole, f"{COSTS}.{part.name}"), below, "attribute_type(#costs, :map)")
    version = stands.get(VERSION)
    if isinstance(version, Decimal) and version >= part.version:
        return None
    return _filled(part, whole, below)


def _map(value: object, field: str) -> Mapping[str, Any] | None:
    """The map that stands there; None where nothing stands there, or a null."""
    if value is None or isinstance(value, Mapping):
        return value
    raise InvalidValue(field, type(value).__name__, "a map, or nothing yet")


def _request(message_uuid: str, names: Mapping[str, str] = _NONE, values: Mapping[str, Any] = _NONE) -> dict[str, Any]:
    return {
        "ExpressionAttributeNames": {"#id": MESSAGE_ID, "#costs": COSTS, **names},
        "ExpressionAttributeValues": {":id": {"S": message_uuid}, **values},
    }


def _made(path: str, whole: Mapping[str, Any], request: dict[str, Any], *guards: str) -> dict[str, Any]:
    """The map as a whole, where there is none."""
    request["UpdateExpression"] = f"SET {path} = :whole"
    absent = f"(attribute_not_exists({path}) OR attribute_type({path}, :null))"
    request["ConditionExpression"] = " AND ".join([_OURS, *guards, absent])
    request["ExpressionAttributeValues"] |= {":whole": whole, ":null": {"S": "NULL"}}
    return request


def _filled(part: Part, whole: Mapping[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Its fields one by one, where no newer projection stands."""
    path = "#costs.#part"
    expression = "SET " + ", ".join(f"{path}.#{name} = :{name}" for name in whole)
    if part.unknown:
        expression += " REMOVE " + ", ".join(f"{path}.#{name}" for name in sorted(part.unknown))
    request["UpdateExpression"] = expression
    older = f"(NOT attribute_type({path}.#{VERSION}, :number) OR {path}.#{VERSION} < :{VERSION})"
    request["ConditionExpression"] = f"{_OURS} AND attribute_type({path}, :map) AND {older}"
    request["ExpressionAttributeNames"] |= {f"#{name}": name for name in (*whole, *part.unknown)}
    request["ExpressionAttributeValues"] |= {
        ":number": {"S": "N"},
        **{f":{name}": write(value, f"{COSTS}.{part.name}.{name}") for name, value in whole.items()},
    }
    return request
