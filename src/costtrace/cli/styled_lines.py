"""Entries one by one for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from costtrace.cli.lines import GAP, tokens
from costtrace.cli.page import Cell, shown
from costtrace.cli.styled import styled, terminal
from costtrace.entry import Entry, Status
from costtrace.view.entries import briefly, cost_cell, moment_of, outcome

_COST_WIDTH = 15


class StyledLines:
    """Prints each entry at once, below the message it belongs to."""

    def __init__(self) -> None:
        self._console = terminal()
        self._message = ""

    def __call__(self, _: int, entry: Entry) -> None:
        """Print one entry; its sequence number is of no interest here."""
        if entry.message_uuid != self._message:
            self._message = entry.message_uuid
            self._console.print(_heading(entry))
        self._console.print(_line(entry))


def _heading(entry: Entry) -> Text:
    known = (entry.context.user_id, entry.context.channel, entry.context.role)
    return Text(GAP).join(
        [Text(shown(entry.message_uuid), style="costtrace.title"), styled(Cell(" ".join(filter(None, known)), "dim"))]
    )


def _line(entry: Entry) -> Table:
    line = Table.grid(padding=(0, 2, 0, 0), expand=True)
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    line.add_column(justify="right", min_width=_COST_WIDTH)
    said = [Cell(briefly(entry)), Cell(tokens(entry), "dim")]
    if entry.status != Status.COMPLETED:
        said.append(outcome(entry))
    subject = Text(GAP).join(styled(cell) for cell in said if cell.text)
    line.add_row(f"{GAP}{moment_of(entry):%H:%M:%S}", subject, styled(cost_cell(entry)))
    return line
