"""Price list: your own rates, from a TOML file.

    [[rate]]
    provider = "openai"            # LangChain's ls_provider
    model = "my-finetune"          # the model as served; a trailing * matches any ending
    effective_from = 2026-03-01    # optional: first UTC day
    service_tier = "flex"          # optional: only for that served tier
    source = "contract of March"   # optional: shown in the working
    input = 2.50                   # USD per million tokens, for each usage bucket you pay for
    cache_read = 1.25
    output = 10

Numbers are read as the exact decimals they are written as. Of several rates that match, the one that starts last wins.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final

from costtrace.errors import InvalidRates, InvalidValue
from costtrace.money import ZERO, check_amount
from costtrace.pricing.card import PER_MILLION, STANDARD_TIERS, Band, Rate, RateCard
from costtrace.quote import PriceBasis
from costtrace.usage import DIRECTIONS

_TEXTS: Final = ("provider", "model", "service_tier", "source")
_ALLOWED: Final = frozenset({*_TEXTS, "effective_from", *DIRECTIONS})


@dataclass(frozen=True, slots=True, kw_only=True)
class _OwnRate:
    provider: str
    model: str
    service_tier: str | None
    source: str | None
    effective_from: date
    rates: Mapping[str, Rate]

    def applies(self, provider: str, model: str, day: date) -> bool:
        named = model.startswith(self.model[:-1]) if self.model.endswith("*") else model == self.model
        return named and provider == self.provider and day >= self.effective_from


class OwnRates:
    """Rates that win over every price list. Raises InvalidRates naming file, row and key for a file that is wrong."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        content = self._read()
        self.name = self._path.name
        self.data_hash = hashlib.sha256(content).hexdigest()[:16]
        self._rates = self._parse(content)

    def card(self, provider: str, model: str, context: Mapping[str, str], at: datetime) -> RateCard | None:
        """The rates of that model at that moment, or None where the file says nothing of it."""
        tier = context.get("service_tier")
        candidates = [rate for rate in self._rates if rate.applies(provider, model, at.astimezone(UTC).date())]
        matching = [rate for rate in candidates if rate.service_tier == tier] or [
            rate for rate in candidates if rate.service_tier is None
        ]
        if not matching:
            return None
        chosen = max(matching, key=lambda rate: rate.effective_from)
        named = chosen.service_tier == tier or tier in STANDARD_TIERS
        used = {"service_tier": tier} if tier and chosen.service_tier == tier else {}
        return RateCard(
            basis=PriceBasis(
                provider=provider,
                model=chosen.model,
                rule="own rates",
                source=chosen.source or self.name,
                version=self.name,
                data_hash=self.data_hash,
                effective_from=None if chosen.effective_from == date.min else chosen.effective_from,
                context_used=MappingProxyType(used),
                context_ignored=MappingProxyType({} if named else {"service_tier": tier or ""}),
            ),
            bands=(Band(above=-1, rates=chosen.rates),),
            partial=None if named else f"{self.name} names no rate for service_tier={tier} of model {model!r}",
        )

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise InvalidRates(f"rates file {str(self._path)!r} cannot be read: {error.strerror}") from None

    def _parse(self, content: bytes) -> list[_OwnRate]:
        try:
            document = tomllib.loads(content.decode(), parse_float=Decimal)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidRates(f"rates file {str(self._path)!r} is not TOML: {error}") from None
        rows = document.get("rate")
        if not isinstance(rows, list) or document.keys() != {"rate"}:
            raise InvalidRates(f"rates file {str(self._path)!r}: expected only [[rate]] tables")
        return [self._row(number, row) for number, row in enumerate(rows, 1)]

    def _row(self, number: int, row: object) -> _OwnRate:
        if not isinstance(row, dict):
            raise InvalidRates(f"rates file {str(self._path)!r}, rate number {number}: must be a [[rate]] table")
        for key, value in row.items():
            self._check(number, key, value)
        for key in ("provider", "model"):
            if key not in row:
                raise self._wrong(number, key, "is missing")
        prices = {key: Rate(price=Decimal(row[key]), per=PER_MILLION) for key in DIRECTIONS if key in row}
        if not prices:
            raise self._wrong(number, "input", "is missing: name a price for at least one usage bucket")
        return _OwnRate(
            provider=row["provider"],
            model=row["model"],
            service_tier=row.get("service_tier"),
            source=row.get("source"),
            effective_from=row.get("effective_from", date.min),
            rates=MappingProxyType(prices),
        )

    def _check(self, number: int, key: str, value: object) -> None:
        if key not in _ALLOWED:
            raise self._wrong(number, key, f"is not a known key; known are {', '.join(sorted(_ALLOWED))}")
        if key in _TEXTS:
            if not isinstance(value, str) or not value:
                raise self._wrong(number, key, f"must be a text, got {value!r}")
        elif key == "effective_from":
            if type(value) is not date:
                raise self._wrong(number, key, f"must be a date such as 2026-03-01, got {value!r}")
        elif not _is_price(value):
            raise self._wrong(number, key, f"must be a price of zero or more in USD per million tokens, got {value!r}")

    def _wrong(self, number: int, key: str, what: str) -> InvalidRates:
        return InvalidRates(f"rates file {str(self._path)!r}, [[rate]] number {number}: {key} {what}")


def _is_price(value: object) -> bool:
    try:
        return check_amount(Decimal(value) if type(value) is int else value, "price") >= ZERO
    except InvalidValue:
        return False
