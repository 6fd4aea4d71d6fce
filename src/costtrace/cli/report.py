"""``costtrace report``: what a time cost, by whatever groups are asked for."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Final

import typer

from costtrace.cli.options import AsJson, Last, LedgerUrl, Since, Until, Where, existing_ledger, selection, zone_of
from costtrace.cli.output import progress, show, show_json
from costtrace.cli.pages.reports import report_page
from costtrace.errors import ConfigurationError
from costtrace.ledger import GROUPS, LedgerHealth, SqliteLedger
from costtrace.ledger.rollups import BULK, VERY_LONG
from costtrace.messages import Totals
from costtrace.reports import report as reported
from costtrace.view.report_rows import csv_rows

_INCOMPLETE: Final = 2
_PATIENCE_S: Final = 5
"""How long a person may wait so that the next report is fast, where very much was stored since the last."""


def report(
    *,
    by: Annotated[
        str, typer.Option("--by", metavar="WORDS", help=f"Comma-separated: {', '.join(GROUPS)}, tag:NAME.")
    ] = "model",
    last: Last = None,
    since: Since = None,
    until: Until = None,
    where: Where = None,
    zone: Annotated[
        str, typer.Option("--zone", metavar="ZONE", help="Whose days and hours, such as Europe/Berlin.")
    ] = "UTC",
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: one row per group and currency.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 2 when something is unpriced.")] = False,
    ledger: LedgerUrl = None,
) -> None:
    """Show what each group cost, dearest first, and how complete each total is. All time unless said otherwise."""
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv exclude each other; choose one")
    words = [word.strip() for word in by.split(",") if word.strip()]
    opened = existing_ledger(ledger)
    asked, days_of = selection(last, since, until, where), zone_of(zone)
    with progress("adding up ..."):
        if isinstance(opened, SqliteLedger):
            opened.rollups.shorten(_PATIENCE_S, longer_than=VERY_LONG, most=BULK)
        found = reported(opened, words, asked, days_of)
    if as_json:
        show_json(found.to_dict())
    elif as_csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows(csv_rows(found))
    else:
        show(report_page(found))
    if strict and (missing := _missing(found.total, opened.health())):
        sys.stderr.write(f"costtrace: {missing}\n")
        raise typer.Exit(_INCOMPLETE)


def _missing(total: Totals, health: LedgerHealth) -> str | None:
    """Why the total is not the whole cost, if it is not."""
    if total.unpriced > 0:
        return f"{total.unpriced} of {total.entries} entries have no price; `costtrace doctor` says which models"
    if health.waiting or health.rejected or health.lost:
        return "entries are waiting, rejected or lost, and not in this report; `costtrace doctor` says more"
    return None
