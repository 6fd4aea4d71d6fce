"""An import as a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from costtrace.cli.page import Block, Cell, Facts, Note, Section, Title

if TYPE_CHECKING:
    from costtrace.chat.imports import Imported


def imported_page(done: Imported) -> list[Block]:
    """What was read, what of it is new to the ledger, and what was left out."""
    what = "Import of" if not done.dry_run else "What an import would bring of"
    since = f", messages since {done.since:%Y-%m-%d %H:%M:%S} UTC" if done.since else ""
    title = Title(f"{what} the table {done.table}{since}")
    if not done.rows:
        return [title, Note("It holds no message.", "dim")]
    blocks: list[Block] = [title, Facts(list(_facts(done)))]
    if done.llm:
        blocks.append(
            Note(
                "What the earlier system calculated is an estimate: nobody named it who sells it. It is pending, and"
                " never added to money that is known to be owed.",
                "dim",
            )
        )
    if done.problems:
        more = f", the first {len(done.problems)} of {done.bad}" if done.bad > len(done.problems) else ""
        blocks.append(Section(f"What could not be read{more}", "bad"))
        blocks += [Note(problem, "bad") for problem in done.problems]
    return blocks


def _facts(done: Imported) -> Iterator[tuple[str, Cell]]:
    yield "messages read", Cell(str(done.rows))
    if done.without_costs:
        yield "without costs", Cell(str(done.without_costs), "dim")
    if done.llm:
        claimed = f", together {done.claimed} by the earlier system's own account" if done.claimed else ""
        yield "model calls", Cell(f"of {done.llm} messages{claimed}", "good")
    if done.sms:
        yield "SMS", Cell(str(done.sms), "good")
    if done.prices:
        yield "prices of SMS", Cell(f"{done.prices}, together {done.charged}", "good")
    if done.known:
        yield "imported before", Cell(str(done.known), "dim")
    for reason, count in sorted(done.skipped.items()):
        yield "left out", Cell(f"{count}: {reason}", "dim")
    if done.bad:
        yield "not readable", Cell(str(done.bad), "bad")
