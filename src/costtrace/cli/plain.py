"""Pages as plain text: for pipes and files. No colours, no boxes, every value whole and on one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costtrace.cli.page import Block, Cell, Column, Facts, Grid, Note, Page, Section, Title, Verbatim, shown

_GAP = "  "


def plain_text(page: Page) -> str:
    """The page, with a line break at its end."""
    return "".join(f"{line.rstrip()}\n" for line in _lines(page))


def _lines(page: Page) -> Iterator[str]:
    for number, block in enumerate(page):
        if number and isinstance(block, Title | Section):
            yield ""
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Title(text) | Section(text) | Note(text):
            yield shown(text)
        case Verbatim(text):
            yield from text.splitlines()
        case Facts(rows):
            width = max((len(label) for label, _ in rows), default=0)
            for label, cell in rows:
                yield f"{_GAP}{label.ljust(width)}{_GAP}{shown(cell.text)}"
        case Grid(columns, rows, footer):
            yield from _grid(columns, [*rows, *([footer] if footer else [])])


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    texts = [[shown(cell.text) for cell in row] for row in rows]
    if any(column.head for column in columns):
        texts.insert(0, [column.head for column in columns])
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = zip(row, columns, widths, strict=True)
        yield _GAP + _GAP.join(
            text.rjust(width) if column.right else text.ljust(width) for text, column, width in cells
        )
