"""On which line of a TOML text each table and key stands.

The parser of the standard library keeps no positions. This finds them in a text which that parser has already accepted,
so it has to recognise tables and keys, not to judge them.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

Path = tuple[str | int, ...]
"""Names of tables, each array of tables followed by the index in it: ``("rate", 0, "band", 1)``."""

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]")
_KEY: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([\w-]+))\s*[=.]""")


def locate(text: str) -> dict[Path, int]:
    """The line, counted from 1, of each table and of each key in it."""
    lines: dict[Path, int] = {(): 1}
    seen: Counter[Path] = Counter()
    table: Path = ()
    inside_text = False
    for number, line in enumerate(text.splitlines(), 1):
        header = None if inside_text else _HEADER.match(line)
        if header is not None:
            table = _entered(header, table, seen)
            lines.setdefault(table, number)
        elif not inside_text and (key := _KEY.match(line)):
            lines.setdefault((*table, key[1] or key[2] or key[3]), number)
        inside_text ^= (line.count('"""') + line.count("'''")) % 2 == 1
    return lines


def _entered(header: re.Match[str], table: Path, seen: Counter[Path]) -> Path:
    *parents, name = header[2].split(".")
    path: Path = (*(_array_item(table, parents) if parents else ()), name)
    if header[1] == "[":
        return path
    seen[path] += 1
    return (*path, seen[path] - 1)


def _array_item(table: Path, parents: list[str]) -> Path:
    depth = 2 * len(parents)
    return table[:depth] if list(table[:depth:2]) == parents else tuple(parents)
