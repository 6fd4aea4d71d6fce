"""A report as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from costtrace.cli.page import Block, Cell, Column, Grid, Note, Title
from costtrace.messages import Totals
from costtrace.reports import Report
from costtrace.view.amounts import actual_column, coverage_cell, pending_column


def report_page(report: Report) -> list[Block]:
    """The groups, dearest first, and their total."""
    where = "".join(f", {word} {said or '(none)'}" for word, said in report.selection.where.items())
    zone = "" if report.zone is UTC or not {"day", "hour"}.intersection(report.by) else f", in {report.zone}"
    title = Title(f"Cost{_by(report.by)}{where}, {_period(report.selection.since, report.selection.until)}{zone}")
    if not report.rows:
        return [title, Note("There are no entries in that time.", "dim")]
    keys = [[Cell(word) if word is not None else Cell("(none)", "dim") for word in row.key] for row in report.rows]
    keys.append([Cell("total", "strong"), *[Cell("")] * (len(report.by) - 1)])
    measures = _measures([*(row.total for row in report.rows), report.total])
    columns = [*(Column(word.replace("_", " ")) for word in report.by or ("",)), *(column for column, _ in measures)]
    cells = zip(*(cells for _, cells in measures), strict=True)
    rows = [[*key, *row] for key, row in zip(keys, cells, strict=True)]
    return [title, Grid(columns, rows[:-1] if report.by else (), rows[-1])]


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
