"""``costtrace message``: what one message cost, with its working."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from costtrace.cli.options import AsJson, KnownAt, LedgerUrl, existing_ledger, last_moment
from costtrace.cli.output import show, show_json
from costtrace.cli.page import Note
from costtrace.cli.pages.messages import message_page, message_record, turn_page, turn_record
from costtrace.reports import turn
from costtrace.times import moment_text

Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the page to FILE instead: one file that loads nothing."),
]


def message(
    message_uuid: Annotated[str, typer.Argument(metavar="UUID", help="The message_uuid.", show_default=False)],
    *,
    with_turn: Annotated[bool, typer.Option("--turn", help="Add the message it replies to, and the total.")] = False,
    as_json: AsJson = False,
    html: Html = None,
    known_at: KnownAt = None,
    ledger: LedgerUrl = None,
) -> None:
    """Show the timeline of one message, what each step cost and how that was worked out, and the total."""
    at = None if known_at is None else last_moment(known_at)
    found = turn(existing_ledger(ledger), message_uuid, at=at)
    page = turn_page(found, at=at) if with_turn else message_page(found.message, at=at)
    if html is not None:
        from costtrace.cli.html import write_html  # noqa: PLC0415 - rich, only for who wants a page

        write_html(html, f"Message {message_uuid}", page)
    if as_json:
        record = message_record(found.message)
        if at is not None:
            record = {"as_of": moment_text(at), **record}
        show_json({**record, "turn": turn_record(found)} if with_turn else record)
    else:
        show(page if html is None else [Note(f"wrote {html}")])
