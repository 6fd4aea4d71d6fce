"""A report as a table, and as rows for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal

from costtrace.cli.page import Block, Cell, Column, Grid, Note, Title
from costtrace.cli.pages.amounts import actual_column, coverage_cell, pending_column
from costtrace.csvtext import safe_cell
from costtrace.messages import Totals
from costtrace.money import amount_text
from costtrace.reports import Report


def report_page(report: Report) -> list[Block]:
    """The groups, dearest first, and their total."""
    title = Title(f"Cost{_by(report.by)}, {_period(report.selection.since, report.selection.until)}")
    if not report.rows:
        return [title, Note("There are no entries in that time.", "dim")]
    keys = [[Cell(word) if word is not None else Cell("(none)", "dim") for word in row.key] for row in report.rows]
    keys.append([Cell("total", "strong"), *[Cell("")] * (len(report.by) - 1)])
    measures = _measures([*(row.total for row in report.rows), report.total])
    columns = [*(Column(word.replace("_", " ")) for word in report.by or ("",)), *(column for column, _ in measures)]
    cells = zip(*(cells for _, cells in measures), strict=True)
    rows = [[*key, *row] for key, row in zip(keys, cells, strict=True)]
    return [title, Grid(columns, rows[:-1] if report.by else (), rows[-1])]


def csv_rows(report: Report) -> Iterator[list[str]]:
    """A head, then a row per group and currency.

    Counts stand only in the first row of a group, so that sums over a column are right; an amount that is not known is
    empty, never zero. Words that a spreadsheet would run as a formula have an apostrophe in front.
    """
    yield [*report.by, "currency", "actual", "pending", *_counts(Totals())]
    for row in report.rows:
        counts = [str(count) for count in _counts(row.total).values()]
        for currency in sorted({*row.total.known, *row.total.pending}) or [""]:
            amounts = [_text(row.total.known.get(currency)), _text(row.total.pending.get(currency))]
            yield [*(safe_cell(word or "") for word in row.key), currency, *amounts, *counts]
            counts = [""] * len(counts)


def _by(words: Sequence[str]) -> str:
    said = [word.replace("_", " ") for word in words]
    return f" by {' and '.join(filter(None, (', '.join(said[:-1]), said[-1])))}" if said else ""


def _period(since: datetime | None, until: datetime | None) -> str:
    ends = [f"{word} {moment:%Y-%m-%d %H:%M} UTC" for word, moment in (("from", since), ("until", until)) if moment]
    return " ".join(ends) or "all time"


def _measures(totals: Sequence[Totals]) -> list[tuple[Column, list[Cell]]]:
    """The columns beside the groups; one that would say nothing is left out."""
    head, actual = actual_column(totals)
    measures = [(Column(head, right=True, whole=True), actual)]
    if any(total.estimated or total.pending for total in totals):
        head, pending = pending_column(totals)
        measures.append((Column(head, right=True), pending))
    return [
        *measures,
        (Column("coverage"), [coverage_cell(total) for total in totals]),
        (Column("in", right=True), [Cell(str(total.input_tokens)) for total in totals]),
        (Column("out", right=True), [Cell(str(total.output_tokens)) for total in totals]),
    ]


def _counts(total: Totals) -> dict[str, int]:
    names = {"pending": "pending_entries", "unpriced": "unpriced_entries"}
    coverage = {names.get(name, name): count for name, count in total.coverage.items()}
    return {**coverage, "input_tokens": total.input_tokens, "output_tokens": total.output_tokens}


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else amount_text(amount)
