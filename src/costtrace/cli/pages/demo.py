"""What the demo did, and what PostHog made of it, as pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from costtrace.cli.page import NOTHING, Block, Cell, Column, Grid, Note, Section
from costtrace.money import amount_text
from costtrace.view.amounts import lined_up

if TYPE_CHECKING:
    from decimal import Decimal

    from costtrace.sandbox.demo import Story
    from costtrace.sandbox.posthog_project import Held

_POSTHOG: Final = (Column("event"), Column("events", right=True), Column("cost USD", right=True, whole=True))


def told(story: Story) -> list[Block]:
    """What happened, in order."""
    if not story.steps:
        return []
    rows = [[Cell(subject, "strong"), Cell(became)] for subject, became in story.steps]
    return [Section("What happened"), Grid((Column(), Column()), rows)]


def posthog_blocks(held: Held | None, ledger_usd: Decimal | None) -> list[Block]:
    """The events PostHog holds of what costs that much by the ledger; `held` is None where none could be delivered."""
    title = Section("What PostHog holds")
    if held is None:
        return [title, Note("Nothing: the export needs pip install 'langchain-costtrace[posthog]'.", "dim")]
    amounts = [*(one.usd for one in held.events), held.usd]
    lined = iter(lined_up([amount for amount in amounts if amount is not None]))
    *cells, total = [NOTHING if amount is None else Cell(next(lined)) for amount in amounts]
    rows = [[Cell(one.name), Cell(str(one.count)), cell] for one, cell in zip(held.events, cells, strict=True)]
    footer = [Cell("total", "strong"), Cell(str(held.count)), total]
    return [title, Grid(_POSTHOG, rows, footer), _verdict(held, ledger_usd)]


def _verdict(held: Held, ledger_usd: Decimal | None) -> Note:
    requests = "1 request" if held.requests == 1 else f"{held.requests} requests"
    if held.usd == ledger_usd:
        return Note(
            f"Delivered in {requests}; the total is what this run added to the ledger, to the last digit.", "dim"
        )
    known = "no cost" if ledger_usd is None else f"{amount_text(ledger_usd)} USD"
    return Note(f"Delivered in {requests}; this run added {known} to the ledger.", "bad")
