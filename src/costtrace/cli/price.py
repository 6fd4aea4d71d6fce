"""``costtrace price``: one quote, or a quote for every line of standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final

import typer

from costtrace.cli.options import AsJson, RatesFile, moment
from costtrace.cli.output import show, show_json, show_json_line
from costtrace.cli.page import Block, Title
from costtrace.cli.pages.quotes import verdict, working
from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.money import amount_text
from costtrace.pricing import Catalog
from costtrace.pricing.options import CONTEXT_KEYS
from costtrace.quote import Quote
from costtrace.settings import Settings
from costtrace.usage import Usage, usage_from_metadata

_EXAMPLE: Final = """'{"input_tokens": 450, "output_tokens": 200}'"""
_BAD_LINES: Final = 2
_TEXTS: Final = ("provider", "model", "at", "service_tier")
_OBJECTS: Final = ("usage", "response_metadata", "context")
_KEYS: Final = frozenset({"id", *_TEXTS, *_OBJECTS})


def price(
    *,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="P", help="LangChain's ls_provider, such as openai.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="M", help="The model as served.")] = None,
    usage: Annotated[
        str | None, typer.Option("--usage", metavar="JSON", help=f"LangChain's usage_metadata, such as {_EXAMPLE}.")
    ] = None,
    service_tier: Annotated[
        str | None, typer.Option("--service-tier", metavar="T", help="The tier as served, such as flex.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="When the call began, UTC; now if not.")
    ] = None,
    context: Annotated[
        str | None,
        typer.Option("--context", metavar="JSON", help=f"What else selects a rate: {', '.join(CONTEXT_KEYS)}."),
    ] = None,
    response_metadata: Annotated[
        str | None,
        typer.Option("--response-metadata", metavar="JSON", help="LangChain's response_metadata of the answer."),
    ] = None,
    batch: Annotated[
        bool,
        typer.Option(
            "--batch",
            help="Read JSON lines {id, provider, model, at, usage, service_tier, response_metadata, context}; "
            "answer each with a line of JSON.",
        ),
    ] = False,
    rates: RatesFile = None,
    as_json: AsJson = False,
) -> None:
    """Price one usage and show the working."""
    settings = Settings.from_environment()
    catalog = Catalog.default(rates or settings.rates, settings.prices)
    asked = {
        "provider": provider,
        "model": model,
        "usage": usage,
        "service_tier": service_tier,
        "at": at,
        "context": context,
        "response_metadata": response_metadata,
    }
    if batch:
        _batch(catalog, asked)
        return
    for name in ("provider", "model", "usage"):
        if not asked[name]:
            raise ConfigurationError(f"--{name} is missing; give it, or lines of JSON with --batch")
    read = {name: _object(f"--{name.replace('_', '-')}", asked[name]) for name in _OBJECTS}
    when = moment(at, "--at") if at else datetime.now(UTC)
    quote = catalog.quote(provider=provider, model=model, service_tier=service_tier, at=when, **read)
    if as_json:
        show_json(_record(quote))
    else:
        show(
            _page(
                quote,
                usage_from_metadata(read["usage"] or {}, provider=provider),
                f"{provider} {model} on {when:%Y-%m-%d}",
            )
        )


def _page(quote: Quote, usage: Usage, asked: str) -> list[Block]:
    return [Title(f"{asked}: {verdict(quote).text}"), *working(quote, usage)]


def _record(quote: Quote) -> dict[str, Any]:
    dollars = quote.amount if quote.currency == "USD" else None
    return {"amount_usd": None if dollars is None else amount_text(dollars), **quote.to_dict()}


def _object(name: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        parsed = _json(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(name, text, f"a JSON object such as {_EXAMPLE} ({error})") from None
    if not isinstance(parsed, dict):
        raise InvalidValue(name, text, f"a JSON object such as {_EXAMPLE}")
    return parsed


def _json(text: str | bytes) -> Any:
    """The value of a JSON text, decimals as they are written; ValueError also for NaN, which Python would let pass."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")


def _batch(catalog: Catalog, asked: Mapping[str, str | None]) -> None:
    for name, value in asked.items():
        if value is not None:
            raise ConfigurationError(f"--batch reads {name} from its lines; leave out --{name.replace('_', '-')}")
    lines = bad = 0
    for line in sys.stdin.buffer:
        if line.strip():
            answer = _answer(catalog, line)
            lines += 1
            bad += "error" in answer
            show_json_line(answer)
    if bad:
        sys.stderr.write(f"costtrace: {bad} of {lines} lines could not be read; each was answered with its error\n")
        raise typer.Exit(_BAD_LINES)


def _answer(catalog: Catalog, line: bytes) -> dict[str, Any]:
    try:
        asked = _json(line)
    except (ValueError, RecursionError) as error:
        return {"id": None, "error": f"line: expected JSON ({error})"}
    if not isinstance(asked, dict):
        return {"id": None, "error": f"line: expected a JSON object, got {asked!r}"}
    try:
        return {"id": asked.get("id"), **_record(_line_quote(catalog, asked))}
    except InvalidValue as error:
        return {"id": asked.get("id"), "error": str(error)}


def _line_quote(catalog: Catalog, asked: Mapping[str, Any]) -> Quote:
    for name in asked.keys() - _KEYS:
        raise InvalidValue("line", name, f"only the keys {', '.join(sorted(_KEYS))}")
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
