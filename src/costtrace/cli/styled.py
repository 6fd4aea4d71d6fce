"""Pages set with rich: for terminals, and recorded for HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, get_args

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from costtrace.cli.page import Block, Cell, Facts, Grid, Note, Page, Section, Title, Tone, Verbatim, shown

STYLES: Final[Mapping[Tone, str]] = {"": "", **{tone: f"costtrace.{tone}" for tone in get_args(Tone) if tone}}
"""Names of styles in the themes below."""
ON_SCREEN: Final = Theme(
    {
        "costtrace.title": "bold cyan",
        "costtrace.strong": "bold",
        "costtrace.dim": "dim",
        "costtrace.good": "green",
        "costtrace.warn": "yellow",
        "costtrace.bad": "bold red",
    }
)
"""The terminal's own colours, whatever they are."""
ON_PAPER: Final = Theme(
    {
        "costtrace.title": "bold #00586b",
        "costtrace.strong": "bold",
        "costtrace.dim": "#5a6066",
        "costtrace.good": "#1b6e37",
        "costtrace.warn": "#8a5600",
        "costtrace.bad": "bold #b01e28",
    }
)
"""Dark on white, each dark enough to be read easily."""
_INDENT: Final = (0, 0, 0, 2)


def terminal() -> Console:
    """Standard output as rich sees it."""
    return Console(theme=ON_SCREEN, highlight=False)


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
            yield Text(shown(text), style="costtrace.title", overflow="fold")
        case Section(text, tone) | Note(text, tone):
            yield Text(shown(text), style=STYLES[tone], overflow="fold")
        case Verbatim(text):
            yield Text(text, style="costtrace.title")
        case Facts():
            yield Padding(_facts(block), _INDENT)
        case Grid():
            yield Padding(_grid(block), _INDENT)


def _facts(facts: Facts) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style=STYLES["dim"], no_wrap=True)
    table.add_column(overflow="fold")
    for label, cell in facts.rows:
        table.add_row(label, styled(cell))
    return table


def _grid(grid: Grid) -> Table:
    heads = any(column.head for column in grid.columns)
    table = Table(
        box=SIMPLE_HEAD if heads else None,
        show_header=heads,
        show_footer=grid.footer is not None,
        show_edge=False,
        header_style=STYLES["dim"],
        padding=(0, 1 if heads else 2, 0, 0),
    )
    for position, column in enumerate(grid.columns):
        table.add_column(
            column.head,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=column.whole or column.right,  # a number is never broken
            footer=styled(grid.footer[position]) if grid.footer else "",
        )
    for row in grid.rows:
        table.add_row(*map(styled, row))
    return table


def styled(cell: Cell) -> Text:
    """The cell as rich text, in the style of its tone."""
    return Text(shown(cell.text), style=STYLES[cell.tone], overflow="fold")
