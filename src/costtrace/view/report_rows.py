"""A report as rows for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from costtrace.csvtext import safe_cell
from costtrace.messages import Totals
from costtrace.money import amount_text
from costtrace.reports import Report


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


def _counts(total: Totals) -> dict[str, int]:
    names = {"pending": "pending_entries", "unpriced": "unpriced_entries"}
    coverage = {names.get(name, name): count for name, count in total.coverage.items()}
    return {**coverage, "input_tokens": total.input_tokens, "output_tokens": total.output_tokens}


def _text(amount: Decimal | None) -> str:
    return "" if amount is None else amount_text(amount)
