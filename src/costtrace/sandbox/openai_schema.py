"""A small value that satisfies a JSON schema, filled from the user's words where a field's name says what fits."""

import re
from collections.abc import Mapping
from typing import Any

from costtrace.sandbox.openai_requests import InvalidRequestError

Schema = Mapping[str, Any]

DEEPEST = 5
"""Below this depth lists stay empty and optional values null, so that a schema that contains itself ends."""

# The first expression says which field names are meant, the second finds their value in the user's words.
_HINTS = tuple(
    (re.compile(name, re.IGNORECASE), re.compile(value))
    for name, value in (
        (r"mail", r"([\w.+-]+@[\w-]+\.[\w.-]*\w)"),
        (r"phone|mobile|msisdn", r"(\+?\d[\d -]{6,}\d)"),
        (r"date|day", r"(\d{4}-\d{2}-\d{2})"),
        (r"zip|post_?code", r"\b(\d{4,6})\b"),
        (r"(^|_)id$|number|code|reference|sku", r"\b([A-Za-z]*[-#]?\d[\w-]*)"),
        (r"city|location|place|town|country", r"\b(?:in|at|for|to|from|near)\s+([A-Z][\w'-]*(?:[ ,]+[A-Z][\w'-]*)*)"),
        (r"name", r"(?:called|named|am|is)\s+([A-Z][\w'-]*(?: [A-Z][\w'-]*)*)"),
    )
)
_FORMATS: Mapping[str, str] = {
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "date-time": "2026-01-01T12:00:00Z",
    "email": "user@example.com",
    "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def instance(schema: Schema, words: str) -> Any:
    """The value; of an object only the required properties are filled, and an empty schema gives an empty object.

    Raises InvalidRequestError for a reference that leads nowhere.
    """
    return _Filler(schema, words).value(schema) if schema else {}


class _Filler:
    def __init__(self, root: Schema, words: str) -> None:
        self._root = root
        self._words = words

    def value(self, schema: Schema, name: str = "", depth: int = 0) -> Any:
        schema = self._resolved(schema, deep=depth >= DEEPEST)
        fixed = [schema[key] for key in ("const", "default") if key in schema]
        if fixed:
            return fixed[0]
        if options := schema.get("enum"):
            return next((option for option in options if str(option).lower() in self._words.lower()), options[0])
        return self._of_type(schema, name, depth)

    def _of_type(self, schema: Schema, name: str, depth: int) -> Any:
        match _type(schema):
            case "object":
                value: Any = self._object(schema, depth)
            case "array":
                value = self._array(schema, name, depth)
            case "integer":
                value = int(self._number(schema))
            case "number":
                value = self._number(schema)
            case "boolean":
                value = True
            case "null":
                value = None
            case _:
                value = self._text(schema, name)
        return value

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        return {key: self.value(properties.get(key) or {}, key, depth + 1) for key in schema.get("required") or []}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        items = schema.get("items")
        if depth >= DEEPEST or not items:
            return []
        return [self.value(items, name, depth + 1)] * max(schema.get("minItems", 1), 1)

    def _number(self, schema: Schema) -> float:
        found = _NUMBER.search(self._words)
        value = float(found.group()) if found else 1.0
        return min(max(value, float(schema.get("minimum", value))), float(schema.get("maximum", "inf")))

    def _text(self, schema: Schema, name: str) -> str:
        for meant, finder in _HINTS:
            if meant.search(name) and (found := finder.search(self._words)):
                return found.group(1).strip()
        text = _FORMATS.get(schema.get("format", ""), self._words)
        return text[: schema.get("maxLength", len(text))]

    def _resolved(self, schema: Schema, *, deep: bool) -> Schema:
        """Follows references and picks one of several alternatives: the first that is not null, or null deep down."""
        while True:
            if reference := schema.get("$ref"):
                schema = self._referenced(reference)
            elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
                nulls = [option for option in alternatives if option.get("type") == "null"]
                others = [option for option in alternatives if option.get("type") != "null"]
                schema = nulls[0] if nulls and (deep or not others) else others[0]
            elif parts := schema.get("allOf"):
                schema = {key: field for part in parts for key, field in self._resolved(part, deep=deep).items()}
            else:
                return schema

    def _referenced(self, reference: str) -> Schema:
        target: Any = self._root
        for step in filter(None, reference.removeprefix("#").split("/")):
            target = target.get(step) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise InvalidRequestError(f"Invalid schema: reference can not be resolved: '{reference}'.")
        return target


def _type(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return next((option for option in kind if option != "null"), "null")
    return kind or ("object" if "properties" in schema else "string")
