"""``costtrace doctor``: is all well, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from costtrace.cli.options import AsJson, LedgerUrl, PricesFile, RatesFile
from costtrace.cli.output import show, show_json
from costtrace.cli.page import Block, Cell, Column, Grid, Note, Title, Tone
from costtrace.settings import Settings

if TYPE_CHECKING:
    from costtrace.cli.checks import Check, State

_FOUND_SOMETHING: Final = 1
_TONES: Final[dict[State, Tone]] = {"ok": "good", "warn": "warn", "fail": "bad"}


_Recount = Annotated[bool, typer.Option("--recount", help="Also count all entries again that reports have sums of.")]
_Rebuild = Annotated[bool, typer.Option("--rebuild", help="Make these sums anew first.")]


def doctor(
    *,
    as_json: AsJson = False,
    recount: _Recount = False,
    rebuild: _Rebuild = False,
    rates: RatesFile = None,
    prices: PricesFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Check settings, ledger, disk, clock, prices, unpriced models and other instrumentation; 1 if a check fails."""
    from costtrace.cli.checks import all_checks  # noqa: PLC0415 - the price table, which other commands do without

    settings = Settings.from_environment()
    settings = replace(
        settings,
        ledger=ledger or settings.ledger,
        rates=rates or settings.rates,
        prices=prices or settings.prices,
    )
    options = {
        "COSTTRACE_LEDGER": ("--ledger", ledger),
        "COSTTRACE_RATES": ("--rates", rates),
        "COSTTRACE_PRICES": ("--prices", prices),
    }
    given = {variable: option for variable, (option, value) in options.items() if value}
    checks = list(all_checks(settings, given=given))
    if recount or rebuild:
        from costtrace.cli.recounting import sums_check  # noqa: PLC0415 - few ask for it

        checks.append(sums_check(settings.ledger, rebuild=rebuild))
    failed = any(check.state == "fail" for check in checks)
    if as_json:
        show_json({"ok": not failed, "checks": [asdict(check) for check in checks]})
    else:
        show(_page(checks))
    if failed:
        raise typer.Exit(_FOUND_SOMETHING)


def _page(checks: Sequence[Check]) -> list[Block]:
    rows = [row for check in checks for row in _rows(check)]
    counts = {state: sum(check.state == state for check in checks) for state in _TONES}
    summary = f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed"
    return [Title("Checks"), Grid((Column(), Column(whole=True), Column()), rows), Note(summary)]


def _rows(check: Check) -> Iterator[tuple[Cell, ...]]:
    yield Cell(check.state, _TONES[check.state]), Cell(check.name), Cell(check.found)
    if check.advice:
        yield Cell(""), Cell(""), Cell(f"-> {check.advice}", "dim")
