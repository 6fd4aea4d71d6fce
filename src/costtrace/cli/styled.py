"""Pages set with rich: for terminals, and recorded for HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from costtrace.cli.page import Block, Cell, Facts, Grid, Note, Page, Section, Title, Tone, Verbatim, shown

STYLES: Final[Mapping[Tone, str]] = {
    "": "",
    "strong": "bold",
    "dim": "dim",
    "good": "green",
    "warn": "yellow",
    "bad": "bold red",
}
_INDENT: Final = (0, 0, 0, 2)


def print_page(page: Page, console: Console) -> None:
    """Set the page for that console's width."""
    for number, block in enumerate(page):
        if number and isinstance(block, Title | Section):
            console.print()
        for renderable in _renderables(block):
            console.print(renderable, soft_wrap=isinstance(block, Verbatim))


def _renderables(block: Block) -> Iterator[RenderableType]:
    match block:
        case Title(text):
            yield Text(shown(text), style="bold cyan", overflow="fold")
        case Section(text, tone) | Note(text, tone):
            yield Text(shown(text), style=STYLES[tone], overflow="fold")
        case Verbatim(text):
            yield Text(text, style="cyan")
        case Facts():
            yield Padding(_facts(block), _INDENT)
        case Grid():
            yield Padding(_grid(block), _INDENT) if not _has_heads(block) else _grid(block)


def _facts(facts: Facts) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, cell in facts.rows:
        table.add_row(label, _text(cell))
    return table


def _grid(grid: Grid) -> Table:
    heads = _has_heads(grid)
    table = Table(
        box=SIMPLE_HEAD if heads else None,
        show_header=heads,
        show_footer=grid.footer is not None,
        header_style="dim",
        padding=(0, 1),
        pad_edge=heads,
    )
    for position, column in enumerate(grid.columns):
        table.add_column(
            column.head,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.whole,
            footer=_text(grid.footer[position]) if grid.footer else "",
        )
    for row in grid.rows:
        table.add_row(*map(_text, row))
    return table


def _has_heads(grid: Grid) -> bool:
    return any(column.head for column in grid.columns)


def _text(cell: Cell) -> Text:
    return Text(shown(cell.text), style=STYLES[cell.tone], overflow="fold")
