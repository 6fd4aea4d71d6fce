"""``costtrace import``: the costs that an earlier system recorded, brought into the ledger."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from costtrace.cli.options import AsJson, LedgerUrl, ledger_url, moment
from costtrace.cli.output import show, show_json
from costtrace.cli.pages.imports import imported_page
from costtrace.ledger import Ledger, SqliteLedger, open_ledger
from costtrace.settings import Settings
from costtrace.testing import MemoryLedger

_BAD_ROWS: Final = 1
_QUIET_S: Final = 1.0
_EVERY_S: Final = 0.2
_EXIT_CODES: Final = (
    "Exit codes: 0 fine; 1 something of a row could not be read, the rest is imported; 2 bad input or configuration, or"
    " a table or a ledger that cannot be used."
)

import_app = typer.Typer(name="import", help="Bring costs that an earlier system recorded into the ledger.")


@import_app.callback(invoke_without_command=True, epilog=_EXIT_CODES)
def _import(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@import_app.command(name="chat-messages", epilog=_EXIT_CODES)
def chat_messages(
    *,
    table: Annotated[str, typer.Option("--table", metavar="NAME", help="The DynamoDB table.")] = "chat-messages",
    region: Annotated[
        str | None, typer.Option("--region", metavar="R", help="Its region; what boto3 finds unless given.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL", help="An emulator of DynamoDB; AWS itself unless given.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="Only messages made then or later, UTC.")
    ] = None,
    unsigned_prices: Annotated[
        bool, typer.Option("--unsigned-prices", help="The table holds Twilio's prices without their minus sign.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be imported and write nothing.")] = False,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Read costs.gpt and costs.twilio of a chat table into the ledger. The table is only read; doing it again is safe.

    What the earlier system calculated for its model calls is recorded as an estimate: nobody can check it. Prices that
    Twilio named are recorded as such. COSTTRACE_HASH_KEY stands in for conversations that are named by phone numbers.
    """
    from costtrace.chat.imports import ChatImport  # noqa: PLC0415 - boto3, which no other command needs
    from costtrace.ledger.dynamodb.client import dynamodb_client  # noqa: PLC0415 - as above

    first = None if since is None else moment(since, "--since")
    run = ChatImport(
        dynamodb_client(region, endpoint),
        _ledger(ledger_url(ledger), dry_run=dry_run),
        table=table,
        hasher=Settings.from_environment().number_hasher(),
        unsigned=unsigned_prices,
    )
    with _counting() as tell:
        done = run.run(since=first, dry_run=dry_run, tell=tell)
    if as_json:
        show_json(done.to_dict())
    else:
        show(imported_page(done))
    if done.bad:
        raise typer.Exit(_BAD_ROWS)


def _ledger(address: str, *, dry_run: bool) -> Ledger:
    """The ledger to write to, made where there is none; a dry run makes none and looks at nothing instead."""
    ledger = open_ledger(address)
    return MemoryLedger() if dry_run and isinstance(ledger, SqliteLedger) and not ledger.exists else ledger


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """A line on standard error that says how many rows, where a person reads it and it takes longer than a second."""
    shown = False
    next_s = time.monotonic() + _QUIET_S

    def tell(rows: int) -> None:
        nonlocal shown, next_s
        if sys.stderr.isatty() and time.monotonic() >= next_s:
            shown, next_s = True, time.monotonic() + _EVERY_S
            sys.stderr.write(f"\rreading the table: {rows} rows\x1b[K")
            sys.stderr.flush()

    try:
        yield tell
    finally:
        if shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
