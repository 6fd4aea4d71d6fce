"""What there is to say of a price list in use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from costtrace.pricing.genai import GenaiPrices
from costtrace.pricing.rate_file import RateFile
from costtrace.pricing.sheet import PriceList


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A price list, as quotes name it."""

    name: str
    version: str
    data_hash: str
    """SHA-256 of its data, first 16 hex digits: as in every quote made with it."""
    holds: str
    newest: date | None
    """The last day on which one of its prices took effect, or was compared with the provider's page."""
    age_days: int | None
    """How long ago that was."""


def listed(price_list: PriceList, today: date) -> Listed:
    """The list, as of that day; one of another's making says no more than its name."""
    newest, holds = None, ""
    if isinstance(price_list, GenaiPrices):
        newest, holds = price_list.latest_change(today), f"{price_list.models} models"
    elif isinstance(price_list, RateFile):
        newest, holds = price_list.newest(today), f"{price_list.rows} rows"
    return Listed(
        name=price_list.name,
        version=getattr(price_list, "version", ""),
        data_hash=getattr(price_list, "data_hash", ""),
        holds=holds,
        newest=newest,
        age_days=None if newest is None else (today - newest).days,
    )
