"""DynamoDB's own notation of values: ``{"S": "text"}`` in, a Python value out, and the other way round.

Numbers are Decimals with every digit they are stored with; nothing passes through a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from costtrace.errors import InvalidValue

Attribute = Mapping[str, Any]
Item = Mapping[str, Attribute]

_MOST_DIGITS: Final = 38
_MOST_EXPONENT: Final = 125
_LEAST_EXPONENT: Final = -130


def read_item(item: Item) -> dict[str, Any]:
    """The item's values by name."""
    return {name: read(attribute) for name, attribute in item.items()}


def read(attribute: Attribute) -> Any:
    """The value: text, Decimal, bool, None, bytes, dict or list; the three kinds of set are lists."""
    ((kind, value),) = attribute.items()
    if kind == "N":
        return Decimal(value)
    if kind == "NULL":
        return None
    if kind == "M":
        return read_item(value)
    if kind == "L":
        return [read(each) for each in value]
    return [Decimal(each) for each in value] if kind == "NS" else value


def write(value: object, field: str) -> dict[str, Any]:
    """The value as DynamoDB is told it.

    Raises InvalidValue, naming the field, for a float, for what DynamoDB has no word for, and for a number that it
    would round: it holds 38 digits.
    """
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | Decimal):
        return {"N": _number(Decimal(value), field)}
    if isinstance(value, Mapping):
        return {"M": {str(name): write(each, f"{field}.{name}") for name, each in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [write(each, f"{field}[{place}]") for place, each in enumerate(value)]}
    raise InvalidValue(field, type(value).__name__, "text, a whole number, a Decimal, a bool, a list or a mapping")


def _number(value: Decimal, field: str) -> str:
    if not value.is_finite():
        raise InvalidValue(field, value, "a finite number")
    digits = "".join(map(str, value.as_tuple().digits)).strip("0")
    if len(digits) > _MOST_DIGITS or (digits and not _LEAST_EXPONENT <= value.adjusted() <= _MOST_EXPONENT):
        raise InvalidValue(field, value, f"a number that DynamoDB holds exactly: at most {_MOST_DIGITS} digits")
    return str(value)
