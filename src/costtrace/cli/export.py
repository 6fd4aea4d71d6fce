"""``costtrace export``: the ledger in formats that other tools read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer

from costtrace.cli.export_parquet import parquet
from costtrace.cli.files import exact_output, whole_file, whole_text_file
from costtrace.cli.options import AsJson, Last, LedgerUrl, Since, Until, existing_ledger, selection
from costtrace.cli.output import on_terminal, progress, show, show_json
from costtrace.cli.page import Title
from costtrace.cli.pages.exports import focus_page, left_out
from costtrace.entry import Entry
from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.exporters.focus import Exported, FocusExport, write_csv, write_parquet
from costtrace.exporters.jsonl import entry_line

_DOING: Final = "exporting"
_EXIT_CODES: Final = "Exit codes: 0 fine; 2 bad input or configuration, or the file cannot be written."


class _Spec(StrEnum):
    V1_2 = "1.2"


class _Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


_Output = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Write to this file, which is replaced; standard output unless given."
    ),
]

export_app = typer.Typer(name="export", help="Write the ledger in formats that other tools read.")


@export_app.callback(invoke_without_command=True, epilog=_EXIT_CODES)
def _export(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


@export_app.command(epilog=_EXIT_CODES)
def focus(
    *,
    spec: Annotated[_Spec, typer.Option("--spec", help="Version of the FOCUS specification.")] = _Spec.V1_2,  # noqa: ARG001 - there is one so far
    form: Annotated[_Format, typer.Option("--format", help="Parquet needs -o.")] = _Format.CSV,
    last: Last = None,
    since: Since = None,
    until: Until = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            metavar="PROVIDER=ID",
            help="Billing account at a provider, such as twilio=AC123; its name unless given. Can be repeated.",
        ),
    ] = None,
    output: _Output = None,
    as_json: AsJson = False,
    ledger: LedgerUrl = None,
) -> None:
    """Write a FOCUS dataset: a row per call and meter, one per SMS. What has no cost yet is no row; it is counted."""
    if form is _Format.PARQUET and output is None:
        raise ConfigurationError("Parquet cannot go to standard output; name a file with -o")
    accounts = dict(_account(text) for text in account or ())
    export = FocusExport(existing_ledger(ledger), selection=selection(last, since, until), accounts=accounts)
    if output is None:
        with _working():
            write_csv(export.rows(), exact_output())
        _tell(export.exported, as_json=as_json)
        return
    with progress(_DOING):
        _write(export, form, output)
    if as_json:
        show_json(export.exported.to_dict())
    else:
        show(focus_page(export.exported, output))


@export_app.command(epilog=_EXIT_CODES)
def jsonl(
    *,
    last: Last = None,
    since: Since = None,
    until: Until = None,
    output: _Output = None,
    ledger: LedgerUrl = None,
) -> None:
    """Write the entries as they are, one JSON object a line; money is text, so that no digit is lost."""
    entries = existing_ledger(ledger).entries(selection=selection(last, since, until))
    if output is None:
        with _working():
            _write_lines((entry for _, entry in entries), exact_output())
        return
    with progress(_DOING), whole_text_file(output) as stream:
        count = _write_lines((entry for _, entry in entries), stream)
    show([Title(f"{count} {'entry' if count == 1 else 'entries'} in {output}")])


export_app.command(epilog=_EXIT_CODES)(parquet)


def _working() -> AbstractContextManager[None]:
    """Progress while data goes to standard output; on a terminal the data itself shows it."""
    return nullcontext() if on_terminal() else progress(_DOING)


def _account(text: str) -> tuple[str, str]:
    provider, _, account = text.partition("=")
    if not provider or not account:
        raise InvalidValue("--account", text, "PROVIDER=ID, such as twilio=AC123")
    return provider, account


def _write(export: FocusExport, form: _Format, output: Path) -> None:
    if form is _Format.PARQUET:
        with whole_file(output) as path:
            write_parquet(export.rows, path)
    else:
        with whole_text_file(output) as stream:
            write_csv(export.rows(), stream)


def _tell(exported: Exported, *, as_json: bool) -> None:
    """What has to be said beside the data, which has standard output to itself."""
    if as_json:
        sys.stderr.write(json.dumps(exported.to_dict(), indent=2) + "\n")
    elif not exported.complete:
        sys.stderr.write(f"costtrace: entries without a cost are no rows: {left_out(exported)}\n")


def _write_lines(entries: Iterable[Entry], stream: TextIO) -> int:
    count = 0
    for count, entry in enumerate(entries, 1):  # noqa: B007 - what the last one was
        stream.write(f"{entry_line(entry)}\n")
    return count
