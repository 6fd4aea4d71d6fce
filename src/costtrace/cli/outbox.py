"""``costtrace outbox``: what is pending, parked and dead, and how to let it be delivered again."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer

from costtrace.cli.options import AsJson, LedgerUrl, existing_ledger
from costtrace.cli.output import show, show_json
from costtrace.cli.pages.outbox import standing_page
from costtrace.errors import InvalidValue
from costtrace.ledger.letters import DEAD, PARKED
from costtrace.settings import Settings

if TYPE_CHECKING:
    from costtrace.ledger.deliveries import Deliveries

EXIT_CODES: Final = "Exit codes: 0 fine; 2 bad input or configuration."
_REASON: Final = "delivered again on request"
Name = Annotated[str, typer.Argument(metavar="NAME", help="The exporter, as `costtrace outbox` names it.")]

outbox_app = typer.Typer(name="outbox", help="Show what is still to be delivered; replay what was refused.")


@outbox_app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def _outbox(ctx: typer.Context, *, as_json: AsJson = False, ledger: LedgerUrl = None) -> None:
    """Show how far each exporter is, and what it did not take."""
    if ctx.invoked_subcommand is not None:
        return
    from costtrace.outbox import status_of  # noqa: PLC0415 - no other command needs it

    deliveries = _deliveries(ledger)
    standing = [
        (status_of(deliveries, delivery, now_us=_now_us()), deliveries.reasons(delivery.exporter))
        for delivery in deliveries.all()
    ]
    if as_json:
        show_json(
            [{**status.to_dict(), "not_taken": [asdict(reason) for reason in reasons]} for status, reasons in standing]
        )
    else:
        show(standing_page(standing))


@outbox_app.command(epilog=EXIT_CODES)
def replay(
    exporter: Name,
    *,
    parked: Annotated[bool, typer.Option("--parked", help="What is parked.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="What is dead.")] = False,
    entry: Annotated[
        list[str] | None, typer.Option("--entry", metavar="ID", help="That entry, whatever became of it; repeatable.")
    ] = None,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Let entries be delivered again with the next delivery."""
    states = [state for state, wanted in ((PARKED, parked), (DEAD, dead)) if wanted]
    if not (states or entry):
        raise InvalidValue("outbox replay", "nothing", "--parked, --dead or --entry ID")
    deliveries = _known(exporter, ledger)
    replayed = deliveries.requeue(exporter, entry, now_us=_now_us(), reason=_REASON) if entry else 0
    replayed += deliveries.replay(exporter, states, now_us=_now_us())
    if as_json:
        show_json({"exporter": exporter, "replayed": replayed})
    else:
        typer.echo(f"{replayed} {'entry goes' if replayed == 1 else 'entries go'} to {exporter} again")


@outbox_app.command(epilog=EXIT_CODES)
def resume(exporter: Name, *, ledger: LedgerUrl = None) -> None:
    """Try an exporter again that was stopped, or that is left alone for a while."""
    _known(exporter, ledger).resume(exporter)
    typer.echo(f"{exporter} is tried again with the next delivery")


@outbox_app.command(epilog=EXIT_CODES)
def forget(exporter: Name, *, ledger: LedgerUrl = None) -> None:
    """Forget an exporter that is used no more, and what it did not take. The entries themselves stay in the ledger."""
    deliveries = _known(exporter, ledger)
    if exporter in _configured(ledger):
        raise InvalidValue("exporter", exporter, "one that COSTTRACE_EXPORTERS does not name")
    if not deliveries.forget(exporter, now_us=_now_us()):
        raise InvalidValue("exporter", exporter, "one that no process delivers to; end that first")
    typer.echo(f"{exporter} is forgotten")


def _configured(ledger: str | None) -> list[str]:
    return [exporter.name for exporter in Settings.from_environment().make_exporters(existing_ledger(ledger))]


def _deliveries(ledger: str | None) -> Deliveries:
    from costtrace.outbox import deliveries_of  # noqa: PLC0415 - as above

    return deliveries_of(existing_ledger(ledger))


def _known(exporter: str, ledger: str | None) -> Deliveries:
    """The deliveries, if that exporter is one of them; otherwise InvalidValue with the names there are."""
    deliveries = _deliveries(ledger)
    names = [delivery.exporter for delivery in deliveries.all()]
    if exporter not in names:
        raise InvalidValue("exporter", exporter, f"one of {', '.join(names) or 'none, nothing was delivered yet'}")
    return deliveries


def _now_us() -> int:
    return time.time_ns() // 1000
