"""What a message costs before Twilio says so: a dated table of list prices, with your own rates on top.

A rates file is TOML:

    [[rate]]
    country = ["DE", "AT"]              # ISO 3166 code of the number a message goes to, or several; "*" is any
    kind = "sms"                        # sms (per segment), mms, whatsapp, rcs or another channel (per message)
    direction = "outbound"              # or "inbound", or both in a list
    number = "toll_free"                # your own number: long_code, toll_free, short_code, sender_id; any if missing
    price = 0.0712
    currency = "EUR"                    # USD if missing
    carrier_fee = { low = 0.003, high = 0.0085 }    # what carriers add per unit, or one number; never in the price
    beside = "Meta charges as well"     # what else is billed, and stands in no rate
    source = "contract of March"        # shown in the working
    effective_from = 2026-03-01         # first day
    effective_until = 2026-12-31        # last day; later the rate is used with that said
    checked_on = 2026-11-22

Your own rows win over the published ones. Of several in one file the one in force wins over one that has ended, a
country over "*", a kind of number over any, a later first day over an earlier. Numbers are the exact decimals they are
written as.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Final

from costtrace.errors import InvalidRates, InvalidValue
from costtrace.money import check_currency
from costtrace.pricing.rate_table import Table
from costtrace.pricing.toml_lines import locate
from costtrace.times import utc
from costtrace.twilio.addresses import NumberKind

ANY: Final = "*"
INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"
DIRECTIONS: Final = (OUTBOUND, INBOUND)

_NAME: Final = "sms_rates.toml"
_SOURCED: Final = ("source", "checked_on", "effective_from")
_KEYS: Final = frozenset(
    {
        *_SOURCED,
        "beside",
        "carrier_fee",
        "country",
        "currency",
        "direction",
        "effective_until",
        "kind",
        "number",
        "price",
    }
)
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_KIND: Final = re.compile(r"[a-z][a-z0-9_.-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsRate:
    """One row: what one unit costs, a segment of an SMS or a message of any other kind."""

    line: int
    """Where the row stands in its file."""
    file: str
    version: str
    data_hash: str
    """SHA-256 of the file, first 16 hex digits."""
    own: bool
    """Whether it is a rate of yours rather than a published one."""
    country: str
    kind: str
    direction: str
    number: NumberKind | None
    price: Decimal
    currency: str
    carrier_fee: tuple[Decimal, Decimal] | None
    """The least and the most that carriers add per unit; None where that is not known."""
    beside: str | None
    source: str | None
    checked_on: date | None
    effective_from: date
    effective_until: date

    def about(self, kind: str, direction: str, country: str | None, number: NumberKind | None) -> bool:
        """Whether the row is about such messages, at whatever time."""
        return (
            (self.kind, self.direction) == (kind, direction)
            and self.country in {ANY, country}
            and self.number in {None, number}
        )

    def ended(self, day: date) -> bool:
        """Whether its last day has passed."""
        return day > self.effective_until

    def rank(self, day: date) -> tuple[date, bool, bool, date]:
        """What is more to the point ranks higher."""
        known_until = self.effective_until if self.ended(day) else date.max
        return (known_until, self.country != ANY, self.number is not None, self.effective_from)


class SmsRates:
    """The published list prices, or your own rates with these beneath. Reads its file once and never the network."""

    def __init__(self, *tables: tuple[SmsRate, ...]) -> None:
        self._tables = tables

    @classmethod
    def published(cls) -> SmsRates:
        """Twilio's list prices as bundled with the package."""
        return cls(_bundled())

    @classmethod
    def own(cls, path: str | Path) -> SmsRates:
        """Your own rates, and the published ones for what they do not name.

        Raises InvalidRates naming file, line and key for a file that cannot be used.
        """
        file = Path(path)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InvalidRates(f"rates file {str(file)!r} cannot be read: {error.strerror}") from None
        return cls(parse_sms_rates(content, str(file), own=True), _bundled())

    def rate(
        self, *, kind: str, direction: str, country: str | None, number: NumberKind | None, at: datetime
    ) -> SmsRate | None:
        """The rate of such a message at that moment; None where none is known.

        `country` is that of the number the message goes to, `number` the kind of your own.
        """
        day = utc(at, "at").date()
        for table in self._tables:
            rows = [row for row in table if row.about(kind, direction, country, number) and row.effective_from <= day]
            if rows:
                return max(rows, key=lambda row: row.rank(day))
        return None


def parse_sms_rates(content: bytes, file: str, *, own: bool) -> tuple[SmsRate, ...]:
    """The rows of a rates file; `file` names it in errors.

    Rows that are not your own must name their source, when it was checked, and their first day. Raises InvalidRates
    with file, line and key for content that cannot be used.
    """
    try:
        text = content.decode()
        document = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRates(f"rates file {file!r} is not TOML: {error}") from None
    root = Table(document, (), locate(text), file)
    root.only({"rate", "version"})
    if "rate" not in root:
        raise InvalidRates(f"rates file {file!r} has no [[rate]] table")
    name = Path(file).name
    data_hash = hashlib.sha256(content).hexdigest()[:16]
    reader = _Reader(name, root.text("version") or name, data_hash, own)
    rows = tuple(row for table in root.array("rate") for row in reader.rows(table))
    _refuse_twins(root, rows)
    return rows


@dataclass(frozen=True, slots=True)
class _Reader:
    file: str
    version: str
    data_hash: str
    own: bool

    def rows(self, table: Table) -> Iterable[SmsRate]:
        table.only(_KEYS)
        for key in ("country", "kind", "direction", "price", *(() if self.own else _SOURCED)):
            if key not in table:
                raise table.wrong(key, f"is missing from this {table.header}")
        first, last = table.day("effective_from") or date.min, table.day("effective_until") or date.max
        if last < first:
            raise table.wrong("effective_until", f"must not be before effective_from, got {last}")
        return [
            SmsRate(
                line=table.line,
                file=self.file,
                version=self.version,
                data_hash=self.data_hash,
                own=self.own,
                country=country,
                kind=kind,
                direction=direction,
                number=_number(table),
                price=_price(table),
                currency=_currency(table),
                carrier_fee=_carrier_fee(table),
                beside=table.text("beside"),
                source=table.text("source"),
                checked_on=table.day("checked_on"),
                effective_from=first,
                effective_until=last,
            )
            for country, kind, direction in product(_countries(table), _kinds(table), _directions(table))
        ]


def _countries(table: Table) -> tuple[str, ...]:
    countries = table.texts("country")
    for country in countries:
        if country != ANY and not _COUNTRY.fullmatch(country):
            raise table.wrong("country", f"must be an ISO 3166 code such as 'DE', or '*', got {country!r}")
    return countries


def _kinds(table: Table) -> tuple[str, ...]:
    kinds = table.texts("kind")
    for kind in kinds:
        if not _KIND.fullmatch(kind):
            raise table.wrong("kind", f"must be sms, mms, whatsapp, rcs or another channel's name, got {kind!r}")
    return kinds


def _directions(table: Table) -> tuple[str, ...]:
    directions = table.texts("direction")
    for direction in directions:
        if direction not in DIRECTIONS:
            raise table.wrong("direction", f"must be among {', '.join(DIRECTIONS)}, got {direction!r}")
    return directions


def _number(table: Table) -> NumberKind | None:
    word = table.text("number")
    if word is None:
        return None
    try:
        return NumberKind(word)
    except ValueError:
        raise table.wrong("number", f"must be among {', '.join(NumberKind)}, got {word!r}") from None


def _price(table: Table, key: str = "price") -> Decimal:
    price = table.price(key)
    if price is None:
        raise table.wrong(key, f"is missing from this {table.header}")
    return price


def _currency(table: Table) -> str:
    currency = table.text("currency") or "USD"
    try:
        return check_currency(currency)
    except InvalidValue:
        raise table.wrong("currency", f"must be an ISO 4217 code such as 'USD', got {currency!r}") from None


def _carrier_fee(table: Table) -> tuple[Decimal, Decimal] | None:
    if "carrier_fee" not in table:
        return None
    if not table.is_table("carrier_fee"):
        fee = _price(table, "carrier_fee")
        return fee, fee
    bounds = table.sub("carrier_fee")
    if bounds is None:  # pragma: no cover - is_table has just said that it is one
        raise table.wrong("carrier_fee", "must be a table")
    bounds.only(("high", "low"))
    low, high = _price(bounds, "low"), _price(bounds, "high")
    if high < low:
        raise bounds.wrong("high", f"must not be below low, got {high}")
    return low, high


def _refuse_twins(root: Table, rows: tuple[SmsRate, ...]) -> None:
    seen: dict[object, int] = {}
    for row in rows:
        identity = (row.country, row.kind, row.direction, row.number, row.effective_from)
        if identity in seen:
            raise root.at(row.line, f"says the same messages as line {seen[identity]}: one of the two must go")
        seen[identity] = row.line


@cache
def _bundled() -> tuple[SmsRate, ...]:
    content = files("costtrace.twilio").joinpath(_NAME).read_bytes()
    return parse_sms_rates(content, _NAME, own=False)
