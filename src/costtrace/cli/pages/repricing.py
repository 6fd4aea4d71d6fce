"""A re-pricing as a table: what was believed, what the calls cost now, and the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from costtrace.cli.page import NOTHING, Block, Cell, Column, Facts, Grid, Note, Title
from costtrace.messages import Amounts, Totals
from costtrace.money import amount_text
from costtrace.repricing import ModelRepricing, Repricing

_COLUMNS = (
    Column("provider"),
    Column("model"),
    Column("looked at", right=True),
    Column("changed", right=True),
    Column("before", right=True),
    Column("now", right=True),
    Column("difference", right=True),
)


def repricing_page(result: Repricing) -> list[Block]:
    """The models, those with changes first, and their total."""
    title = Title(f"Priced again, {_period(result)}")
    total = result.total
    if not total.looked_at:
        return [title, Note("No entry in that time has a usage to price.", "dim")]
    rows = [[Cell(row.provider or "-"), Cell(row.model or "-"), *_measures(row)] for row in result.models]
    footer = [Cell("total", "strong"), Cell(""), *_measures(total)]
    return [title, Grid(_COLUMNS, rows, footer), *_reasons(result.models), _outcome(result)]


def signed(amounts: Amounts) -> str:
    """Differences by currency, each with its sign."""
    return ", ".join(f"{_sign(amount)}{amount_text(amount)} {currency}" for currency, amount in amounts.items())


def _sign(amount: Decimal) -> str:
    return "+" if amount > 0 else ""


def _period(result: Repricing) -> str:
    since, until = result.selection.since, result.selection.until
    ends = [f"{word} {moment:%Y-%m-%d %H:%M} UTC" for word, moment in (("from", since), ("until", until)) if moment]
    return " ".join(ends) or "all time"


def _measures(row: ModelRepricing) -> list[Cell]:
    counts = [Cell(str(row.looked_at)), Cell(str(row.changed))]
    if not row.changed:
        return [*counts, NOTHING, NOTHING, NOTHING]
    return [*counts, Cell(_in_words(row.before)), Cell(_in_words(row.after)), Cell(_difference(row.difference))]


def _in_words(total: Totals) -> str:
    parts = [str(total.known)] if total.known else []
    if total.estimated:
        parts.append(f"pending {total.pending}")
    if total.unpriced:
        parts.append(f"{total.unpriced} unpriced")
    return ", ".join(parts)


def _difference(total: Totals) -> str:
    parts = [signed(total.actual)] if total.actual else []
    if total.pending:
        parts.append(f"pending {signed(total.pending)}")
    return ", ".join(parts) or "none"


def _reasons(rows: Sequence[ModelRepricing]) -> Iterator[Block]:
    reasons = [(row.model or "-", Cell(reason)) for row in rows for reason in row.reasons]
    if reasons:
        yield Facts(reasons)
    kept = sum(row.kept for row in rows)
    if kept:
        yield Note(f"The price lists of today name no amount for {kept} entries that have one; it stays.", "warn")


def _outcome(result: Repricing) -> Note:
    changed = result.total.changed
    entries = f"{changed} entr{'y' if changed == 1 else 'ies'}"
    if not changed:
        return Note("Every entry stands as these prices have it; there is nothing to correct.", "good")
    if not result.written:
        return Note(f"Dry run: nothing was written; {entries} would be corrected.", "warn")
    return Note(f"{entries} corrected; what was recorded before stays beside the corrections.", "good")
