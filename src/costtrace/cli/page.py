"""What a page is made of, whether it is set with rich, as plain text or as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")

Tone = Literal["", "strong", "dim", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A text, and what it is for the reader."""

    text: str
    tone: Tone = ""


NOTHING: Final = Cell("-", "dim")
"""Stands where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Title:
    """What the page is about."""

    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """The head of a part of the page."""

    text: str
    tone: Tone = "strong"


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence."""

    text: str
    tone: Tone = ""


@dataclass(frozen=True, slots=True)
class Verbatim:
    """Text to copy: set as it is, line by line, never broken."""

    text: str


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


Block = Title | Section | Note | Verbatim | Facts | Grid
Page = Sequence[Block]


def shown(text: str) -> str:
    """The text with everything that would move a cursor, change a colour or turn the reading direction written out."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _written_out(c) for c in text)


def without_password(text: str) -> str:
    """The text with user and password taken out of the addresses in it."""
    return _CREDENTIALS.sub("//***@", text)


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
