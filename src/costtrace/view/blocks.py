"""What is said about a message, as values: facts, grids and notes, whoever sets them as text, with rich or as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Tone = Literal["", "strong", "dim", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and what it is for the reader."""

    text: str
    tone: Tone = ""


NOTHING: Final = Cell("-", "dim")
"""Stands where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels with their values, one below the other."""

    rows: Sequence[tuple[str, Cell]]


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column; without one in the whole grid, none is shown."""

    head: str = ""
    right: bool = False
    whole: bool = False
    """Never broken into two lines, whatever the width."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    footer: Sequence[Cell] | None = None


Block = Note | Facts | Grid


def shown(text: str) -> str:
    """The text with everything that would move a cursor, change a colour or turn the reading direction written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
