"""``costtrace tail``: entries as they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Annotated, Final

import typer

from costtrace.cli.lines import print_line
from costtrace.cli.options import AsJson, LedgerUrl, ago, existing_ledger
from costtrace.cli.output import on_terminal, show_json_line
from costtrace.entry import Entry, encode_entry
from costtrace.ledger import Ledger, Selection
from costtrace.reports import newest

_POLL_S: Final = 0.5


def tail(
    *,
    count: Annotated[int, typer.Option("-n", min=0, metavar="N", help="How many past entries to begin with.")] = 10,
    since: Annotated[
        str | None, typer.Option("--since", metavar="SPAN", help="Begin with all entries since then: 10m, 12h, 7d, 4w.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Do not wait for new entries.")] = False,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Show the last entries of the ledger, then new ones as they arrive, until Ctrl-C."""
    store = existing_ledger(ledger)
    show = _as_json if as_json else _line_printer()
    try:
        last = max(store.last_seq(), _each(show, _past(store, count, since)))
        while not once:
            last = _each(show, store.entries(after=last)) or last
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        return


def _line_printer() -> Callable[[int, Entry], None]:
    if not on_terminal():
        return print_line
    from costtrace.cli.styled_lines import StyledLines  # noqa: PLC0415 - rich; a pipe must not wait for it

    return StyledLines()


def _past(store: Ledger, count: int, since: str | None) -> Iterable[tuple[int, Entry]]:
    if since is None:
        return newest(store, count)
    return store.entries(selection=Selection(since=ago(since, "--since")))


def _each(show: Callable[[int, Entry], None], entries: Iterable[tuple[int, Entry]]) -> int:
    """Show the entries; the sequence number of the last one, 0 where there was none."""
    seq = 0
    for seq, entry in entries:
        show(seq, entry)
    return seq


def _as_json(seq: int, entry: Entry) -> None:
    show_json_line({"seq": seq, **encode_entry(entry)})
