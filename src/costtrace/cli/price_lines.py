"""``costtrace price --batch``: a quote for every line of JSON on standard input, with the same id."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import typer

from costtrace.cli.options import moment
from costtrace.errors import InvalidValue
from costtrace.jsontext import encode
from costtrace.money import amount_text
from costtrace.pricing import Catalog
from costtrace.quote import Quote

_BAD_LINES: Final = 2
_TEXTS: Final = ("provider", "model", "at", "service_tier")
_OBJECTS: Final = ("usage", "response_metadata", "context")
_KEYS: Final = frozenset({"id", *_TEXTS, *_OBJECTS})


def price_lines(catalog: Catalog) -> None:
    """Answer every line at once, so that whoever waits at the other end of a pipe can go on.

    A line that cannot be read is answered by ``{"id": ..., "error": ...}``; the exit code says whether there was one.
    """
    lines = bad = 0
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        asked, identity, problem = _read(line)
        answer = None
        if problem is None:
            try:
                answer = _answer(identity, _quote(catalog, asked))
            except InvalidValue as error:
                problem = str(error)
        lines += 1
        bad += answer is None
        text = answer or f'{{"id":{identity},"error":{encode(problem)}}}'
        sys.stdout.buffer.write(text.encode() + b"\n")
        sys.stdout.buffer.flush()
    if bad:
        sys.stderr.write(f"costtrace: {bad} of {lines} lines could not be read; each was answered with its error\n")
        raise typer.Exit(_BAD_LINES)


def quote_record(quote: Quote) -> dict[str, Any]:
    """The quote as JSON objects, without its basis; ``amount_usd`` first, null where there is none in US dollars."""
    dollars = quote.amount if quote.currency == "USD" else None
    return {"amount_usd": None if dollars is None else amount_text(dollars), **quote.to_dict(with_basis=False)}


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, decimals as they are written; ValueError also for NaN, which Python would let pass."""
    return _decoder.decode(text if isinstance(text, str) else text.decode())


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")


_decoder: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)


def _read(line: bytes) -> tuple[Mapping[str, Any], str, str | None]:
    """The object of the line, its id as JSON text, and what is wrong with the line."""
    try:
        asked = parse_json(line)
        if not isinstance(asked, dict):
            return {}, "null", f"line: expected a JSON object, got {asked!r}"
        return asked, _json_text(asked.get("id")), None
    except (ValueError, TypeError, RecursionError) as error:
        return {}, "null", f"line: expected JSON ({error})"


def _quote(catalog: Catalog, asked: Mapping[str, Any]) -> Quote:
    if not asked.keys() <= _KEYS:
        raise InvalidValue("line", min(asked.keys() - _KEYS), f"only the keys {', '.join(sorted(_KEYS))}")
    for name in _TEXTS:
        if not isinstance(asked.get(name), str | None):
            raise InvalidValue(name, asked[name], "a text")
    for name in _OBJECTS:
        if not isinstance(asked.get(name), dict | None):
            raise InvalidValue(name, asked[name], "an object")
    at = asked.get("at")
    return catalog.quote(
        provider=asked.get("provider"),
        model=asked.get("model"),
        usage=asked.get("usage"),
        service_tier=asked.get("service_tier"),
        at=None if at is None else moment(at, "at"),
        context=asked.get("context"),
        response_metadata=asked.get("response_metadata"),
    )


def _answer(identity: str, quote: Quote) -> str:
    basis = "null" if quote.basis is None else quote.basis.json_text
    return f'{{"id":{identity},{encode(quote_record(quote))[1:-1]},"basis":{basis}}}'


def _json_text(identity: object) -> str:
    """The id as it came, decimals within it too."""
    if isinstance(identity, Decimal):
        return str(identity)
    if isinstance(identity, list):
        return f"[{','.join([_json_text(item) for item in identity])}]"
    if isinstance(identity, dict):
        return f"{{{','.join([f'{encode(key)}:{_json_text(item)}' for key, item in identity.items()])}}}"
    return encode(identity)
