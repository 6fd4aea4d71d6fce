"""``costtrace reprice``: corrections for what was priced with rates that were missing or wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from costtrace.cli.options import AsJson, LedgerUrl, PricesFile, RatesFile, existing_ledger, moment
from costtrace.cli.output import show, show_json
from costtrace.cli.pages.repricing import repricing_page
from costtrace.errors import InvalidValue
from costtrace.ledger import Selection
from costtrace.pricing import Catalog
from costtrace.repricing import Watch
from costtrace.repricing import reprice as repriced
from costtrace.settings import Settings

_QUIET_S: Final = 1.0
_EVERY_S: Final = 0.2


def reprice(
    *,
    since: Annotated[str, typer.Option("--since", metavar="DATE", help="First moment, UTC.", show_default=False)],
    until: Annotated[
        str | None, typer.Option("--until", metavar="DATE", help="First moment that is left out, UTC.")
    ] = None,
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="P", help="Only entries of this provider, as recorded.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="M", help="Only entries of this model, as recorded.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change and write nothing.")] = False,
    rates: RatesFile = None,
    prices: PricesFile = None,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Price recorded calls again, as of when they began, and append a correction where the answer differs."""
    selection = _selection(since, until)
    store = existing_ledger(ledger)
    settings = Settings.from_environment()
    catalog = Catalog.default(rates or settings.rates, prices or settings.prices)
    with _progress() as watch:
        found = repriced(
            store, catalog, selection=selection, provider=provider, model=model, write=not dry_run, watch=watch
        )
    if as_json:
        show_json(found.to_dict())
    else:
        show(repricing_page(found))


def _selection(since: str, until: str | None) -> Selection:
    first, end = moment(since, "--since"), None if until is None else moment(until, "--until")
    if end is not None and first >= end:
        raise InvalidValue("--until", until, f"a moment after --since {since}")
    return Selection(since=first, until=end)


@contextmanager
def _progress() -> Iterator[Watch]:
    """A line on standard error that says how far it is, where a person reads it and it takes longer than a second."""
    shown = False
    next_s = time.monotonic() + _QUIET_S

    def watch(seq: int, last: int) -> None:
        nonlocal shown, next_s
        if sys.stderr.isatty() and time.monotonic() >= next_s:
            shown, next_s = True, time.monotonic() + _EVERY_S
            sys.stderr.write(f"\rpricing again: {100 * seq // max(last, 1)} %\x1b[K")
            sys.stderr.flush()

    try:
        yield watch
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
