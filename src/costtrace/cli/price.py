"""``costtrace price``: one quote, or a quote for every line of standard input."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from costtrace.cli.options import AsJson, RatesFile, moment
from costtrace.cli.output import show, show_json
from costtrace.cli.page import Block, Title
from costtrace.cli.price_lines import parse_json, price_lines, quote_record
from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.pricing import Catalog
from costtrace.pricing.options import CONTEXT_KEYS, checked, completed
from costtrace.quote import Quote
from costtrace.responses import read_response
from costtrace.settings import Settings
from costtrace.usage import Usage
from costtrace.usage_metadata import usage_from_metadata
from costtrace.view.quotes import verdict, working

_EXAMPLE: Final = """'{"input_tokens": 450, "output_tokens": 200}'"""
_OBJECTS: Final = ("usage", "response_metadata", "context")


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
        for name, value in asked.items():
            if value is not None:
                option = name.replace("_", "-")
                raise ConfigurationError(f"--batch reads {name} from its lines; leave out --{option}")
        price_lines(catalog)
        return
    for name in ("provider", "model", "usage"):
        if not asked[name]:
            raise ConfigurationError(f"--{name} is missing; give it, or lines of JSON with --batch")
    read = {name: _object(f"--{name.replace('_', '-')}", asked[name]) for name in _OBJECTS}
    when = moment(at, "--at") if at else datetime.now(UTC)
    quote = catalog.quote(provider=provider, model=model, service_tier=service_tier, at=when, **read)
    if as_json:
        show_json({**quote_record(quote), "basis": quote.basis and quote.basis.to_dict()})
    else:
        show(_page(quote, _counted(provider, read), f"{provider} {model} on {when:%Y-%m-%d}"))


def _page(quote: Quote, usage: Usage | None, asked: str) -> list[Block]:
    return [Title(f"{asked}: {verdict(quote).text}"), *working(quote, usage)]


def _counted(provider: str | None, read: Mapping[str, Any]) -> Usage | None:
    """What was priced, for the page to say which of it has no rate."""
    if read["response_metadata"] is None:
        usage: Usage | None = usage_from_metadata(read["usage"], provider=provider)
    else:
        usage = read_response(read["usage"], read["response_metadata"], provider=provider).usage
    return usage and completed(usage, checked(read["context"] or {}))


def _object(name: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        parsed = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(name, text, f"a JSON object such as {_EXAMPLE} ({error})") from None
    if not isinstance(parsed, dict):
        raise InvalidValue(name, text, f"a JSON object such as {_EXAMPLE}")
    return parsed
