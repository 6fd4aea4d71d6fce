"""Reports as the tables of pages: rows with their amounts lined up, their share of the whole, and where they lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from costtrace.messages import Totals
from costtrace.reports import Report
from costtrace.view.amounts import actual_column, pending_column
from costtrace.view.blocks import Cell
from costtrace.web.dashboard.asked import Asked, is_filter
from costtrace.web.dashboard.figures import Share, coverage_shares

NOBODY: Final = "(none)"
"""Stands for entries that say nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One group of a report."""

    names: tuple[str | None, ...]
    query: str | None
    """Of the pages about these entries alone; None where they cannot be chosen."""
    actual: Cell
    pending: Cell
    share: float
    """Of the dearest row, from 0 to 100."""
    coverage: Sequence[Share]
    complete: bool
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows, and what stands above them."""

    actual_head: str
    pending_head: str
    rows: Sequence[Row]
    more: int
    """Rows that are left out."""
    has_pending: bool


def table(report: Report, wanted: Asked, *, first: int = 0, limit: int | None = None) -> Table:
    """The rows of a report from that one on, at most so many."""
    end = None if limit is None else first + limit
    groups = report.rows[first:end]
    totals = [group.total for group in groups]
    actual_head, actual = actual_column(totals)
    pending_head, pending = pending_column(totals)
    dearest = report.rows[0].total.known.usd if report.rows else Decimal(0)  # they come sorted
    rows = [
        Row(
            names=group.key,
            query=_query(report.by, group.key, wanted),
            actual=actual[number],
            pending=pending[number],
            share=_share(group.total, dearest),
            coverage=coverage_shares(group.total),
            complete=group.total.complete,
            input_tokens=group.total.input_tokens,
            output_tokens=group.total.output_tokens,
        )
        for number, group in enumerate(groups)
    ]
    return Table(
        actual_head=actual_head,
        pending_head=pending_head,
        rows=rows,
        more=max(0, len(report.rows) - first - len(rows)),
        has_pending=any(total.estimated > 0 or total.pending for total in totals),
    )


def _query(by: Sequence[str], key: Sequence[str | None], wanted: Asked) -> str | None:
    if len(by) != 1 or not is_filter(by[0]):
        return None
    return wanted.with_group(by[0], key[0])


def _share(total: Totals, dearest: Decimal) -> float:
    if dearest <= 0 or total.known.usd <= 0:
        return 0.0
    return float(100 * total.known.usd / dearest)
