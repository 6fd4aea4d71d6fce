"""The check of ``costtrace doctor --recount``: are the sums that reports begin with those of the entries?"""

from __future__ import annotations

from typing import Final

from costtrace.cli.checks import Check
from costtrace.cli.options import existing_ledger
from costtrace.cli.output import progress
from costtrace.errors import CostTraceError
from costtrace.ledger import SqliteLedger
from costtrace.ledger.recount import recount
from costtrace.ledger.rollups import BULK

_NAME: Final = "roll-ups"


def sums_check(url: str, *, rebuild: bool) -> Check:
    """Count again, after making the sums anew if that is wanted; nothing is mended unasked."""
    try:
        ledger = existing_ledger(url)
        if not isinstance(ledger, SqliteLedger):
            return Check(name=_NAME, state="ok", found="this ledger has none; its reports read every entry")
        if rebuild:
            with progress("adding up ..."):
                _rebuild(ledger)
        with progress("counting again ..."):
            found = recount(ledger.path)
    except CostTraceError as error:
        return Check(name=_NAME, state="fail", found=str(error))
    if found is None:
        return Check(name=_NAME, state="ok", found="there are none yet; the next to write makes them")
    if found.wrong:
        advice = "`costtrace doctor --rebuild` makes them anew; entries are never changed"
        wrong = f"{found.wrong:,} of {found.sums:,} sums are not those of the entries"
        return Check(name=_NAME, state="fail", found=wrong, advice=advice)
    return Check(name=_NAME, state="ok", found=f"{found.sums:,} sums are those of the entries up to {found.entries:,}")


def _rebuild(ledger: SqliteLedger) -> None:
    ledger.rollups.clear()
    while ledger.rollups.advance(BULK, patiently=True):
        continue
