"""``costtrace sms``: Twilio's own prices for what was sent and received, and its list and bill beside the ledger."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from costtrace.cli.options import AsJson, LedgerUrl, existing_ledger
from costtrace.cli.output import progress, show, show_json, show_json_line
from costtrace.cli.pages.sms import reconciled_page, settled_line, settled_page
from costtrace.settings import Settings
from costtrace.telemetry import set_up_where_asked

if TYPE_CHECKING:
    from costtrace.twilio.reconcile import Reconcile
    from costtrace.twilio.settlement import Settled, Settlement

_NO_ANSWER: Final = 1
_EXIT_CODES: Final = (
    "Exit codes: 0 fine; 1 for some prices there was no answer (settle); 2 bad input or configuration, credentials that"
    " Twilio refuses, or no answer at all."
)

sms_app = typer.Typer(
    name="sms",
    help="Ask Twilio what messages cost; needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
)


@sms_app.callback(invoke_without_command=True, epilog=_EXIT_CODES)
def _sms(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@sms_app.command(epilog=_EXIT_CODES)
def settle(
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, asking whenever a price is due, until Ctrl-C.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Ask for at most N prices in one go.")
    ] = None,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Ask Twilio for the prices that are due and record them: at once, then ever more rarely, for three days."""
    settlement = _settlement(Settings.from_environment(), ledger)
    if watch:
        with _until_ended():
            settlement.watch(wait=threading.Event().wait, tell=_told_as_json if as_json else _told, limit=limit)
        return
    with progress("asking Twilio for prices"):
        settled = settlement.run_once(limit=limit)
    if as_json:
        show_json(settled.to_dict())
    else:
        show(settled_page(settled))
    if settled.failed:
        raise typer.Exit(_NO_ANSWER)


@sms_app.command(epilog=_EXIT_CODES)
def reconcile(
    *,
    days: Annotated[int, typer.Option("--days", min=1, max=400, metavar="N", help="Whole UTC days before today.")] = 7,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Compare the ledger with Twilio's list of messages, record what it lacks, and compare its sums with the bill.

    With COSTTRACE_HASH_KEY as the sender has it, sends of unknown outcome are recognised by the number they went to.
    """
    walk = _reconcile(Settings.from_environment(), ledger)
    with progress("reading Twilio's list"):
        found = walk.run(days=days)
    if as_json:
        show_json(found.to_dict())
    else:
        show(reconciled_page(found))


def _settlement(settings: Settings, ledger: str | None) -> Settlement:
    from costtrace.twilio.settlement import Settlement  # noqa: PLC0415 - no other command asks Twilio

    set_up_where_asked()
    tracing = settings.tracing()
    return Settlement(settings.twilio_client(), existing_ledger(ledger), tracing=tracing)


def _reconcile(settings: Settings, ledger: str | None) -> Reconcile:
    from costtrace.twilio.reconcile import Reconcile  # noqa: PLC0415 - no other command asks Twilio

    set_up_where_asked()
    client, hasher, tracing = settings.twilio_client(), settings.number_hasher(), settings.tracing()
    return Reconcile(client, existing_ledger(ledger), hasher=hasher, tracing=tracing)


def _told(settled: Settled) -> None:
    if settled.asked:
        typer.echo(settled_line(settled))


def _told_as_json(settled: Settled) -> None:
    if settled.asked:
        show_json_line(settled.to_dict())


@contextmanager
def _until_ended() -> Iterator[None]:
    """Ctrl-C and SIGTERM end it in good order: what was asked for is recorded first."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
