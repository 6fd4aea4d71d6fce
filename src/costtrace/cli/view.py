"""``costtrace view``: one message, and what it answers, as a page to open, or as spans for a trace viewer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from costtrace.cli.files import whole_text_file
from costtrace.cli.options import KnownAt, LedgerUrl, existing_ledger, last_moment
from costtrace.cli.output import show
from costtrace.cli.page import Note
from costtrace.errors import InvalidValue
from costtrace.reports import turn

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 80


def view(
    message_uuid: Annotated[str, typer.Argument(metavar="UUID", help="The message_uuid.", show_default=False)],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write the page; costtrace-UUID.html unless given."
        ),
    ] = None,
    otlp: Annotated[
        Path | None,
        typer.Option(
            "--otlp",
            metavar="FILE",
            help="Write the spans as OTLP/JSON for a trace viewer; no page then, unless --output is given.",
        ),
    ] = None,
    known_at: KnownAt = None,
    ledger: LedgerUrl = None,
) -> None:
    """Draw what happened to a message: model calls, tools, SMS, callbacks and prices, each with its cost and working.

    One file that loads nothing, made from the ledger: no tracing has to be set up.
    """
    if otlp is not None and output is not None and otlp.resolve() == output.resolve():
        raise InvalidValue("--otlp", str(otlp), "another file than --output")
    at = None if known_at is None else last_moment(known_at)
    found = turn(existing_ledger(ledger), message_uuid, at=at)
    notes: list[Note] = []
    if otlp is not None:
        from costtrace.view.otlp import otlp_json  # noqa: PLC0415 - only for who wants spans

        _write(otlp, otlp_json(found))
        notes.append(Note(f"wrote {otlp}, for a trace viewer that reads OTLP/JSON"))
    if output is not None or otlp is None:
        from costtrace.view.page import page  # noqa: PLC0415 - jinja2, only for who wants a page
        from costtrace.view.story import story_of  # noqa: PLC0415

        target = output or Path(_file_name(message_uuid))
        _write(target, page(story_of(found, known_at=at)))
        notes.append(Note(f"wrote {target}; open it in a browser"))
    show(notes)


def _write(path: Path, text: str) -> None:
    with whole_text_file(path) as stream:
        stream.write(text)


def _file_name(message_uuid: str) -> str:
    """A name that every file system takes and that leads nowhere else, whatever the uuid is made of."""
    return f"costtrace-{_UNSAFE.sub('_', message_uuid)[:_LONGEST]}.html"
