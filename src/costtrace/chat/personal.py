"""Phone numbers among the names and values of a chat table, which must not get any further than the table."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER: Final = re.compile(r"\+[0-9]{6,}|(?<![0-9A-Za-z])[0-9]{10,15}(?![0-9A-Za-z])")
"""With a plus and its country's code it has seven digits or more; without, ten digits on are taken for one."""
_BETWEEN_DIGITS: Final = re.compile(r"(?<=[0-9+])[\s()./-]+(?=[0-9])")
"""How people write numbers: ``+1 (415) 555-0100``."""
_WORD: Final = re.compile(r"[\w$.,:/+-]{0,40}")


def holds_number(text: str) -> bool:
    """Whether the text is a phone number or holds one; rather once too often than once too seldom."""
    if _UUID.fullmatch(text):
        return False
    return bool(_NUMBER.search(text) or _NUMBER.search(_BETWEEN_DIGITS.sub("", text)))


def quotable(value: object) -> str:
    """The value for people where it is a number or a short word; of anything else, which may be what somebody said or
    whom it was said to, only what it is.
    """
    if isinstance(value, Decimal | int):
        return str(value)
    if isinstance(value, str):
        return repr(value) if _WORD.fullmatch(value) and not _NUMBER.search(value) else f"{len(value)} characters"
    return "nothing" if value is None else f"a {type(value).__name__}"
