"""Money as a reader meets it: whole, and never a zero where the truth is that nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from costtrace.messages import Totals
from costtrace.money import Money, amount_text
from costtrace.view.blocks import NOTHING, Cell

NOTHING_BOUGHT: Final = Cell("nothing bought", "dim")
"""Stands where no entry could cost anything, as when the provider refused the call."""


def signed(money: Money) -> str:
    """A difference, with its sign."""
    return f"+{money}" if money.amount > 0 else str(money)


def lined_up(amounts: Sequence[Decimal]) -> list[str]:
    """The amounts with as many decimals as the longest of them, so that their points stand below each other."""
    texts = [amount_text(amount) for amount in amounts]
    places = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [f"{amount:.{places}f}" for amount in amounts]  # only adds zeros: nothing is rounded


def actual_column(totals: Sequence[Totals]) -> tuple[str, list[Cell]]:
    """What each of them is known to cost, lined up below a head that names the currency where there is only one."""
    if any(total.known.keys() - {"USD"} for total in totals):
        return "actual", [actual_cell(total) for total in totals]
    lined = iter(lined_up([total.known.usd for total in totals if total.known]))
    return "actual USD", [Cell(next(lined)) if total.known else actual_cell(total) for total in totals]


def actual_cell(total: Totals) -> Cell:
    """What is known to be owed; a word where nothing is known."""
    if total.known:
        return Cell(str(total.known))
    if total.unpriced:
        return Cell("unpriced", "bad")
    return Cell("pending", "warn") if total.estimated else NOTHING_BOUGHT


def pending_column(totals: Sequence[Totals]) -> tuple[str, list[Cell]]:
    """What is expected on top, lined up as `actual_column` is."""
    if any(total.pending.keys() - {"USD"} for total in totals):
        return "pending", [pending_cell(total) for total in totals]
    lined = iter(lined_up([total.pending.usd for total in totals if total.pending]))
    cells = [Cell(next(lined), "warn") if total.pending else pending_cell(total) for total in totals]
    return "pending USD", cells


def pending_cell(total: Totals) -> Cell:
    """What is expected on top."""
    if not total.estimated and not total.pending:
        return NOTHING
    return Cell(str(total.pending) if total.pending else "not known yet", "warn")


def coverage_cell(total: Totals) -> Cell:
    """How many entries stand behind a total, by how well their cost is known."""
    counted = [f"{count} {name}" for name, count in total.coverage.items() if count]
    return Cell(", ".join(counted), "" if total.complete else "warn") if counted else NOTHING
