"""Options that commands share, and how their text is read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.ledger import Ledger, Selection, SqliteLedger, open_ledger
from costtrace.settings import Settings

EXIT_CODES: Final = (
    "Exit codes: 0 fine; 1 a check found something (doctor); 2 bad input or configuration, or something is unpriced"
    " (report --strict)."
)

LedgerUrl = Annotated[
    str | None,
    typer.Option(
        "--ledger",
        metavar="URL",
        help="Address of the ledger, such as sqlite:///costtrace.db; COSTTRACE_LEDGER unless given.",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; money is text, so that no digit is lost.")]
Last = Annotated[str | None, typer.Option("--last", metavar="SPAN", help="Such as 30m, 12h, 7d, 4w.")]
Since = Annotated[str | None, typer.Option("--since", metavar="DATE", help="First moment, UTC.")]
Until = Annotated[str | None, typer.Option("--until", metavar="DATE", help="First moment that is not counted, UTC.")]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="WORD=VALUE",
        help="Only entries that say so, such as user=u1 or tag:team=a; user= are those that say nothing of it."
        " Can be repeated.",
    ),
]
KnownAt = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="What was known at the end of that day, or at that moment, UTC.",
        show_default=False,
    ),
]
RatesFile = Annotated[
    str | None,
    typer.Option(
        "--rates",
        metavar="FILE",
        help="TOML file of your own rates, which win over list prices; COSTTRACE_RATES unless given.",
        show_default=False,
    ),
]

PricesFile = Annotated[
    str | None,
    typer.Option(
        "--prices",
        metavar="FILE",
        help="File that `costtrace prices update` wrote; COSTTRACE_PRICES unless given.",
        show_default=False,
    ),
]

_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)


def ledger_url(url: str | None) -> str:
    """The address that was given, or that of the environment."""
    return url or Settings.from_environment().ledger


def existing_ledger(url: str | None) -> Ledger:
    """The ledger to read from; ConfigurationError where there is no such file, because reading must not make one."""
    address = ledger_url(url)
    ledger = open_ledger(address)
    if isinstance(ledger, SqliteLedger) and not ledger.exists:
        raise ConfigurationError(
            f"there is no ledger at {address!r}; name another with --ledger or COSTTRACE_LEDGER, or make one to look at"
            " with `costtrace demo`"
        )
    return ledger


def moment(text: str, option: str) -> datetime:
    """The moment a text names: a date is its first moment, and what names no zone is meant in UTC."""
    try:
        read = datetime.fromisoformat(text)
        return (read.replace(tzinfo=UTC) if read.tzinfo is None else read).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidValue(option, text, "a date such as 2026-01-20 or a time such as 2026-01-20T09:30 (UTC)") from None


def last_moment(text: str) -> datetime:
    """The moment that ``--as-of`` names; a date counts whole."""
    named = moment(text, "--as-of")
    try:
        date.fromisoformat(text)
    except ValueError:
        return named
    return named + timedelta(days=1, microseconds=-1)


def ago(text: str, option: str) -> datetime:
    """The moment that long ago: ``30m``, ``12h``, ``7d`` or ``4w``."""
    span = _SPAN.fullmatch(text)
    if span is None:
        raise InvalidValue(option, text, "a span such as 30m, 12h, 7d or 4w")
    try:
        return datetime.now(UTC) - timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
    except OverflowError:
        raise InvalidValue(option, text, "a span that begins after the year 1") from None


def selection(last: str | None, since: str | None, until: str | None, where: Sequence[str] | None = None) -> Selection:
    """The time that ``--last``, or ``--since`` and ``--until``, name, all time where none is given; and `where`."""
    conditions = dict(_condition(text) for text in where or ())
    if last is None:
        first = None if since is None else moment(since, "--since")
        end = None if until is None else moment(until, "--until")
        if first and end and first >= end:
            raise InvalidValue("--until", until, f"a moment after --since {since}")
        return Selection(since=first, until=end, where=conditions)
    if since is not None or until is not None:
        raise ConfigurationError("--last excludes --since and --until; give one or the other")
    return Selection(since=ago(last, "--last"), where=conditions)


def zone_of(name: str) -> tzinfo:
    """The time zone of that name in the IANA database."""
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):  # a name with .. in it, or that of a directory there
        raise InvalidValue("--zone", name, "a time zone such as UTC, Europe/Berlin or Asia/Kolkata") from None


def _condition(text: str) -> tuple[str, str | None]:
    word, equals, said = text.partition("=")
    if not word or not equals:
        raise InvalidValue("--where", text, "WORD=VALUE, such as user=u1 or tag:team=a")
    return word, said or None
