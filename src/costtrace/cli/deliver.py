"""``costtrace deliver``: give the ledger's entries to the exporters."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from costtrace.cli.options import AsJson, LedgerUrl, existing_ledger
from costtrace.cli.output import on_terminal, show, show_json
from costtrace.cli.pages.outbox import delivered_page
from costtrace.errors import ConfigurationError
from costtrace.settings import Settings

if TYPE_CHECKING:
    from costtrace.outbox import Outbox

_NOT_ALL: Final = 1
_LONG: Final = 1_000
"""Entries from which on a delivery takes long enough to be watched."""
_PAGES: Final = 50_000
"""Objects of some pages of entries."""
EXIT_CODES: Final = (
    "Exit codes: 0 everything was delivered, or another process is at it; 1 an exporter did not take everything; 2 bad"
    " input or configuration."
)


class Begin(StrEnum):
    """Where a new exporter begins."""

    BEGINNING = "beginning"
    NOW = "now"


def deliver(
    *,
    forever: Annotated[
        bool, typer.Option("--forever/--once", help="Go on with what comes, until Ctrl-C or SIGTERM.")
    ] = False,
    begin: Annotated[
        Begin, typer.Option("--from", help="Where an exporter begins that the ledger does not know yet.")
    ] = Begin.BEGINNING,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Deliver what is pending to where COSTTRACE_EXPORTERS says, each entry until it is acknowledged there."""
    outbox = _outbox(ledger, begin)
    with ExitStack() as stack:
        stopping = stack.enter_context(_ended())
        totals = {status.exporter: status.pending for status in outbox.status()}
        tell = stack.enter_context(_watched(totals, forever=forever))
        stack.enter_context(seldom_collected())
        if forever:
            outbox.deliver_forever(stopping, tell=tell)
            return
        delivered = outbox.deliver_once(tell=tell, stopping=stopping.is_set)
    if as_json:
        show_json([done.to_dict() for done in delivered])
    else:
        show(delivered_page(delivered))
    if not all(done.is_complete for done in delivered):
        raise typer.Exit(_NOT_ALL)


def _outbox(ledger: str | None, begin: Begin) -> Outbox:
    from costtrace.outbox import Outbox, deliveries_of  # noqa: PLC0415 - no other command delivers

    settings = Settings.from_environment()
    settings = replace(settings, ledger=ledger or settings.ledger)
    store = existing_ledger(settings.ledger)
    deliveries_of(store)
    exporters = settings.make_exporters(store)
    if not exporters:
        raise ConfigurationError(
            "COSTTRACE_EXPORTERS is not set, so there is nothing to deliver to; for instance posthog, or"
            " jsonl:///var/lib/entries.jsonl, several separated by commas"
        )
    return Outbox(store, exporters, from_now=begin is Begin.NOW)


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have Python look for cycles less often: a page's entries die together and hold none, and a quarter of the time
    of a delivery would go into walking them. For a process that does nothing else.
    """
    before = gc.get_threshold()
    gc.set_threshold(_PAGES, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def _ended() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM: the batch under way is ended and noted first. A second Ctrl-C does not wait."""
    ended = threading.Event()

    def end(number: int, _frame: object) -> None:
        ended.set()
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _watched(totals: Mapping[str, int], *, forever: bool) -> Iterator[Callable[[str, int], None]]:
    """A bar for each exporter on a terminal, where it takes long; silent when piped."""
    if not (on_terminal() and sys.stderr.isatty()) or (sum(totals.values()) < _LONG and not forever):
        yield lambda _name, _count: None
        return
    from rich.console import Console  # noqa: PLC0415 - a pipe must not wait for it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks = {name: progress.add_task(name, total=None if forever else total) for name, total in totals.items()}
        yield lambda name, count: progress.advance(tasks[name], count)
