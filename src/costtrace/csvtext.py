"""Texts in CSV files that people open in a spreadsheet."""

from __future__ import annotations

from typing import Final

_QUOTE: Final = "'"
_STARTS_A_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", _QUOTE)
"""What a spreadsheet takes for the beginning of a formula, in either width; and the apostrophe, so that every text with
one in front had it put there. https://owasp.org/www-community/attacks/CSV_Injection"""


def safe_cell(text: str) -> str:
    """The text, with an apostrophe in front where a spreadsheet would run it as a formula; `text[1:]` takes it away.

    For texts only: a number may begin with a minus.
    """
    return f"{_QUOTE}{text}" if text.startswith(_STARTS_A_FORMULA) else text
