"""Entries one by one, for a list that never ends and so has no width of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable

from costtrace.cli.page import Cell, shown
from costtrace.cli.pages.messages import cost_cell, outcome, what
from costtrace.entry import Entry

_GAP = "  "
_TIME_WIDTH = 8
_COST_WIDTH = 16


def line_printer(*, styled: bool) -> Callable[[int, Entry], None]:
    """Something that prints an entry at once, set with rich or as one plain line."""
    return _styled_printer() if styled else _print_plain


def _cells(entry: Entry) -> tuple[Cell, ...]:
    usage = entry.usage
    tokens = f"{usage.input_tokens} in {usage.output_tokens} out" if usage else ""
    return Cell(entry.message_uuid), Cell(what(entry)), Cell(tokens), outcome(entry), cost_cell(entry)


def _print_plain(_: int, entry: Entry) -> None:
    time = f"{entry.occurred_at:%Y-%m-%dT%H:%M:%S.%fZ}"
    texts = [time, *(shown(cell.text) for cell in _cells(entry) if cell.text)]
    sys.stdout.write(_GAP.join(texts) + "\n")
    sys.stdout.flush()


def _styled_printer() -> Callable[[int, Entry], None]:
    from rich.console import Console  # noqa: PLC0415 - a pipe must not wait for it
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    from costtrace.cli.styled import STYLES  # noqa: PLC0415 - as above

    console = Console(highlight=False)

    def show(_: int, entry: Entry) -> None:
        uuid, subject, tokens, ended, cost = _cells(entry)
        line = Table.grid(padding=(0, 2), expand=True)
        line.add_column(width=_TIME_WIDTH, style="dim")
        line.add_column(no_wrap=True, width=len(uuid.text))
        line.add_column(overflow="fold", ratio=1)
        line.add_column(justify="right", min_width=_COST_WIDTH, no_wrap=True)
        said = [Text(shown(cell.text), style=STYLES[cell.tone]) for cell in (subject, tokens, ended) if cell.text]
        line.add_row(
            f"{entry.occurred_at:%H:%M:%S}",
            Text(shown(uuid.text), style="cyan"),
            Text(", ").join(said),
            Text(shown(cost.text), style=STYLES[cost.tone]),
        )
        console.print(line)

    return show
