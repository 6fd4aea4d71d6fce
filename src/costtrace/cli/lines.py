"""Entries one by one as plain lines, for a list that never ends."""

from __future__ import annotations

import sys

from costtrace.cli.page import shown
from costtrace.entry import Entry
from costtrace.view.entries import cost_cell, moment_of, outcome, what

GAP = "  "


def print_line(_: int, entry: Entry) -> None:
    """Print the entry at once, with everything on one line."""
    texts = [
        f"{moment_of(entry):%Y-%m-%dT%H:%M:%S.%fZ}",
        entry.message_uuid,
        what(entry),
        tokens(entry),
        outcome(entry).text,
        cost_cell(entry).text,
    ]
    sys.stdout.write(GAP.join(shown(text) for text in texts if text) + "\n")
    sys.stdout.flush()


def tokens(entry: Entry) -> str:
    """The tokens of an entry in a few words; empty where it has none."""
    return f"{entry.usage.input_tokens} in, {entry.usage.output_tokens} out" if entry.usage else ""
