"""What a page of the command is made of, whether it is set with rich, as plain text or as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from costtrace.view.blocks import NOTHING, Cell, Column, Facts, Grid, Note, Tone, shown

_CREDENTIALS: Final = re.compile(r"//[^/@\s]*@")


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
class Verbatim:
    """Text to copy: set as it is, line by line, never broken."""

    text: str


Block = Title | Section | Note | Verbatim | Facts | Grid
Page = Sequence[Block]


def without_password(text: str) -> str:
    """The text with user and password taken out of the addresses in it."""
    return _CREDENTIALS.sub("//***@", text)


__all__ = [
    "NOTHING",
    "Block",
    "Cell",
    "Column",
    "Facts",
    "Grid",
    "Note",
    "Page",
    "Section",
    "Title",
    "Tone",
    "Verbatim",
    "shown",
    "without_password",
]
