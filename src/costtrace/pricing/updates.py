"""Price files: newer data for the bundled price list, fetched when somebody asks for it and never otherwise.

The file holds what the maintainers of genai-prices publish, byte for byte, so that its SHA-256, which stands in every
quote made with it, can be compared with theirs. A file is read and checked as a whole before it takes the place of
another.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices, _providers_from_raw
from pydantic import ValidationError

from costtrace.errors import InvalidRates, PricesUnavailable

PUBLISHED: Final = (
    "https://raw.githubusercontent.com/pydantic/genai-prices/refs/heads/main/prices/new_data/v2/data.json"
)
"""Where genai-prices publishes the data that its own updater reads."""
MAX_BYTES: Final = 32 * 1024 * 1024
"""The published data is less than one megabyte; more than this is something else."""
TIMEOUT_S: Final = 30.0
"""For the whole answer, however slowly its pieces come."""

_CORE: Final = frozenset({"anthropic", "google", "openai"})
"""Providers without which a file is a part of the table, or another table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceUpdate:
    """What an update did."""

    path: Path
    source: str
    data_hash: str
    """SHA-256 of the data, first 16 hex digits."""
    providers: int
    models: int
    changed: bool
    """Whether the file holds other data than before."""


def read_price_file(path: str | Path) -> tuple[DataSnapshot, str, str]:
    """The table in that file, the first 16 hex digits of its SHA-256, and its version: the UTC day it was written.

    Raises InvalidRates naming the file, and the place in it, where it cannot be read or is no price table.
    """
    file = Path(path)
    content, written = _content(file)
    return _snapshot(content, str(file)), _hash(content), f"file of {written.isoformat()}"


def update_price_file(
    target: str | Path, source: str = PUBLISHED, *, max_bytes: int = MAX_BYTES, timeout_s: float = TIMEOUT_S
) -> PriceUpdate:
    """Put the data of `source`, an https address or a file, into the file `target`, all of it or nothing.

    Raises PricesUnavailable where it cannot be had or written, InvalidRates where it is no price table; the file is
    then as it was before.
    """
    content = _fetched(source, max_bytes, timeout_s) if "://" in source else _content(Path(source))[0]
    snapshot = _snapshot(content, source)
    file = Path(target)
    changed = not file.exists() or file.read_bytes() != content
    _replace(file, content)
    return PriceUpdate(
        path=file,
        source=source,
        data_hash=_hash(content),
        providers=len(snapshot.providers),
        models=sum(len(provider.models) for provider in snapshot.providers),
        changed=changed,
    )


def _fetched(address: str, max_bytes: int, timeout_s: float) -> bytes:
    from costtrace.pricing.download import download  # noqa: PLC0415 - whoever only prices loads nothing that can fetch

    return download(address, max_bytes=max_bytes, timeout_s=timeout_s)


def _content(file: Path) -> tuple[bytes, date]:
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
            written = os.fstat(opened.fileno()).st_mtime
    except OSError as error:
        raise InvalidRates(f"price file {str(file)!r} cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise InvalidRates(f"price file {str(file)!r} is larger than {MAX_BYTES} bytes; a price table is not")
    return content, datetime.fromtimestamp(written, UTC).date()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _snapshot(content: bytes, where: str) -> DataSnapshot:
    """The table, checked as a whole: its shape by genai-prices, its amounts here."""
    raw = _json(content, where)
    try:
        providers = _providers_from_raw(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise InvalidRates(f"price data of {where!r}, at {place}: {first['msg']}") from None
    except (TypeError, ValueError) as error:
        text = f"price data of {where!r}: {error}; if it is of a newer genai-prices, upgrade that package"
        raise InvalidRates(text) from None
    snapshot = DataSnapshot(providers=providers, from_auto_update=False)
    _check(snapshot, where)
    return snapshot


def _json(content: bytes, where: str) -> list[Any]:
    try:
        raw = json.loads(content, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidRates(f"price data of {where!r} is not JSON: {error}") from None
    if not isinstance(raw, list):
        raise InvalidRates(f"price data of {where!r}: must be a list of providers, got {type(raw).__name__}")
    return raw


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no price")


def _check(snapshot: DataSnapshot, where: str) -> None:
    """What the shape does not say: the big providers are there, and no price is negative."""
    with_models = {provider.id for provider in snapshot.providers if provider.models}
    if missing := sorted(_CORE - with_models):
        raise InvalidRates(f"price data of {where!r} has no models of {', '.join(missing)}; it is not the whole table")
    for provider in snapshot.providers:
        for model in provider.models:
            for key, amount in _amounts(model):
                if not amount.is_finite() or amount < 0:
                    place = f"provider {provider.id!r}, model {model.id!r}"
                    raise InvalidRates(f"price data of {where!r}, {place}: {key} must not be {amount}")


def _amounts(model: ModelInfo) -> Iterator[tuple[str, Decimal]]:
    tables = [model.prices] if isinstance(model.prices, ModelPrice) else [price.prices for price in model.prices]
    for table in (*tables, *(variant.prices for variant in model.price_variants or ())):
        for key, price in table.__dict__.items():
            if isinstance(price, TieredPrices):
                yield from ((key, amount) for amount in (price.base, *(tier.price for tier in price.tiers)))
            elif price is not None:
                yield key, price


def _replace(file: Path, content: bytes) -> None:
    """Write beside the file, then rename: whoever reads meanwhile sees the old data or the new, and never half."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        beside = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            beside.chmod(_mode(file))
            beside.replace(file)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise PricesUnavailable(f"price file {str(file)!r} cannot be written: {error.strerror}") from None


def _mode(file: Path) -> int:
    """As it was; a new one may be read by everybody, since a price list is no secret."""
    return file.stat().st_mode & 0o777 if file.exists() else 0o644
