"""``costtrace prices``: the price lists in use; and the one command that fetches newer ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from costtrace.cli.options import EXIT_CODES, AsJson, PricesFile, RatesFile
from costtrace.cli.output import progress, show, show_json
from costtrace.cli.page import NOTHING, Cell, Column, Facts, Grid, Note, Page, Title
from costtrace.errors import ConfigurationError
from costtrace.settings import Settings

if TYPE_CHECKING:
    from costtrace.pricing.listing import Listed
    from costtrace.pricing.updates import PriceUpdate

_COLUMNS: Final = (
    Column("list", whole=True),
    Column("version"),
    Column("sha256", whole=True),
    Column("holds"),
    Column("newest", whole=True),
)
_SOURCE: Final = "the address where genai-prices publishes its data"

prices_app = typer.Typer(name="prices", help="Show the price lists in use, the one that decides first on top.")


@prices_app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def prices(ctx: typer.Context, *, as_json: AsJson = False, rates: RatesFile = None, prices: PricesFile = None) -> None:
    """Show the price lists in use, the one that decides first on top."""
    if ctx.invoked_subcommand is not None:
        return
    from costtrace.pricing.listing import listed  # noqa: PLC0415 - the price table, which other commands do without

    settings = Settings.from_environment()
    settings = replace(settings, rates=rates or settings.rates, prices=prices or settings.prices)
    now = datetime.now(UTC)
    lists = [listed(price_list, now.date()) for price_list in settings.catalog().price_lists]
    if as_json:
        show_json({"lists": [_record(each) for each in lists]})
    else:
        show(_page(lists, settings))


@prices_app.command(epilog=EXIT_CODES)
def update(
    *,
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL|FILE", help=f"Where to take them from; else {_SOURCE}.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="FILE", help="File to put them into; COSTTRACE_PRICES unless given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the price table of today, check all of it, and put it into a file."""
    from costtrace.pricing.updates import PUBLISHED, update_price_file  # noqa: PLC0415 - the price table

    in_use = Settings.from_environment().prices
    file = target or in_use
    if file is None:
        raise ConfigurationError("no file to put the prices into: name one with --to or COSTTRACE_PRICES")
    with progress("fetching the price table"):
        done = update_price_file(file, source or PUBLISHED)
    if as_json:
        show_json({**asdict(done), "path": str(done.path), "in_use": file == in_use})
    else:
        show(_update_page(done, in_use=file == in_use))


def _record(each: Listed) -> dict[str, Any]:
    return {**asdict(each), "newest": each.newest and each.newest.isoformat()}


def _page(lists: list[Listed], settings: Settings) -> Page:
    rows = [_row(each) for each in lists]
    own = "" if settings.rates else " Prices of your own: COSTTRACE_RATES."
    newer = "" if settings.prices else " A newer table: `costtrace prices update --to FILE`."
    return [Title("Price lists, the one that decides first on top"), Grid(_COLUMNS, rows), Note((own + newer).strip())]


def _row(each: Listed) -> tuple[Cell, ...]:
    newest = NOTHING if each.newest is None else Cell(f"{each.newest} ({each.age_days} d ago)")
    return Cell(each.name), Cell(each.version), Cell(each.data_hash), Cell(each.holds), newest


def _update_page(done: PriceUpdate, *, in_use: bool) -> Page:
    state = Cell("changed", "good") if done.changed else Cell("the same data as before")
    facts = (
        ("file", Cell(str(done.path))),
        ("from", Cell(done.source)),
        ("sha256", Cell(done.data_hash)),
        ("holds", Cell(f"{done.models} models of {done.providers} providers")),
        ("state", state),
    )
    then = (
        "Calls from now on are priced with it; `costtrace reprice --since DATE` corrects earlier ones."
        if in_use
        else f"To use it: COSTTRACE_PRICES={done.path}"
    )
    return [Title("Price table"), Facts(facts), Note(then)]
