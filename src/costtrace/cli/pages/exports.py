"""What an export holds, and what it leaves out."""

from __future__ import annotations

from pathlib import Path

from costtrace.cli.page import Block, Cell, Facts, Title
from costtrace.exporters.focus import Exported


def focus_page(exported: Exported, path: Path) -> list[Block]:
    """The charges, what they add up to, and what is no charge."""
    rows = [
        ("charges", Cell(f"{exported.rows} of {exported.entries} {'entry' if exported.entries == 1 else 'entries'}")),
        ("billed", Cell(str(exported.billed) if exported.billed else "nothing", "strong")),
    ]
    if not exported.complete:
        rows.append(("left out", Cell(left_out(exported), "warn")))
    if exported.free:
        rows.append(("free", Cell(f"{exported.free}, known to have cost nothing", "dim")))
    return [Title(f"FOCUS 1.2 in {path}"), Facts(rows)]


def left_out(exported: Exported) -> str:
    """The entries that cost something and are no charge."""
    counts = {"pending": exported.pending, "unpriced": exported.unpriced}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)
