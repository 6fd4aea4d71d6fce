"""Your own rates: read exactly as written, above every list price, and refused with file, row and key when wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from costtrace.errors import ConfigurationError, InvalidRates
from costtrace.pricing import Catalog, Quote
from costtrace.quote import QuoteStatus
from costtrace.usage import Usage

APRIL = datetime(2026, 4, 1, 12, tzinfo=UTC)

RATES = """
[[rate]]
provider = "openai"
model = "gpt-4o"
source = "contract of March"
effective_from = 2026-03-01
input = 2.25
output = 9

[[rate]]
provider = "openai"
model = "gpt-4o"
effective_from = 2026-06-01
input = 2.0000000000000000000000000001
output = 8

[[rate]]
provider = "openai"
model = "gpt-4o"
service_tier = "flex"
input = 1.1
output = 4.4

[[rate]]
provider = "openai"
model = "ft:gpt-4o*"
input = 3.75
output = 15

[[rate]]
provider = "acme"
model = "*"
input = 0
output = 0.01
"""


def mtok(rate: str, tokens: int) -> Decimal:
    """What that many tokens cost at a rate in USD per million."""
    return Decimal(rate) * tokens / 1_000_000


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "rates.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def catalog(written: Callable[[str], Path]) -> Catalog:
    return Catalog.default(written(RATES))


def price(
    catalog: Catalog, model: str, at: datetime = APRIL, *, provider: str = "openai", tier: str | None = None
) -> Quote:
    usage = Usage(buckets={"input": 450, "output": 200})
    return catalog.quote(provider=provider, model=model, usage=usage, service_tier=tier, at=at)


def test_an_own_rate_wins_over_the_list_price_and_says_where_it_stands(catalog: Catalog) -> None:
    quote = price(catalog, "gpt-4o")
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == mtok("2.25", 450) + mtok("9", 200)
    assert quote.basis is not None
    assert (quote.basis.rule, quote.basis.source, quote.basis.version) == (
        "own rates",
        "contract of March",
        "rates.toml",
    )
    assert quote.basis.to_dict()["effective_from"] == "2026-03-01"


def test_what_the_file_does_not_name_costs_the_list_price(catalog: Catalog) -> None:
    quote = price(catalog, "gpt-4o-mini")
    assert quote.amount == mtok("0.15", 450) + mtok("0.6", 200)
    assert quote.basis is not None
    assert quote.basis.source == "genai-prices"


@pytest.mark.parametrize(
    ("at", "amount"),
    [
        (datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), mtok("2.5", 450) + mtok("10", 200)),
        (datetime(2026, 3, 1, tzinfo=UTC), mtok("2.25", 450) + mtok("9", 200)),
        (datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), mtok("2.25", 450) + mtok("9", 200)),
        (datetime(2026, 6, 1, tzinfo=UTC), Decimal("0.002500000000000000000000000000045")),
    ],
)
def test_an_own_rate_holds_from_its_first_utc_day_and_until_the_next(
    catalog: Catalog, at: datetime, amount: Decimal
) -> None:
    """The rate of June has more digits than a Decimal computes with unless told to, and all of them count."""
    assert price(catalog, "gpt-4o", at).amount == amount


def test_a_rate_of_a_tier_is_only_for_that_tier(catalog: Catalog) -> None:
    flex = price(catalog, "gpt-4o", tier="flex")
    assert flex.amount == mtok("1.1", 450) + mtok("4.4", 200)
    assert flex.basis is not None
    assert flex.basis.context_used == {"service_tier": "flex"}
    assert price(catalog, "gpt-4o", tier="default").amount == mtok("2.25", 450) + mtok("9", 200)


def test_a_tier_that_the_file_does_not_name_is_not_exact(catalog: Catalog) -> None:
    """A contract that names no tier says nothing of what priority costs."""
    quote = price(catalog, "gpt-4o", tier="priority")
    assert not quote.is_actual
    assert "priority" in str(quote.reason)


def test_a_star_matches_any_ending(catalog: Catalog) -> None:
    assert price(catalog, "ft:gpt-4o-mini:us::1").amount == mtok("3.75", 450) + mtok("15", 200)
    assert price(catalog, "anything", provider="acme").amount == mtok("0", 450) + mtok("0.01", 200)
    assert price(catalog, "ft:gpt-3.5", provider="acme2").status is QuoteStatus.UNPRICED


def test_a_bucket_without_a_rate_is_partial_and_not_guessed_from_the_list(catalog: Catalog) -> None:
    usage = Usage(buckets={"input": 450, "cache_read": 100})
    quote = catalog.quote(provider="openai", model="gpt-4o", usage=usage, at=APRIL)
    assert quote.status is QuoteStatus.PARTIAL
    assert quote.amount == mtok("2.25", 450)
    assert quote.reason == "no rate for cache_read of model 'gpt-4o'"


def test_two_files_with_different_rates_have_different_hashes(written: Callable[[str], Path]) -> None:
    first = price(Catalog.default(written(RATES)), "gpt-4o").basis
    second = price(Catalog.default(written(RATES.replace("2.25", "2.26"))), "gpt-4o").basis
    assert first is not None
    assert second is not None
    assert first.data_hash != second.data_hash


ROW = 'provider = "openai"\nmodel = "gpt-4o"\n'


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW + "inptu = 1", "inptu is not a known key; known are"),
        (ROW + 'input = "2.50"', "input must be a price of zero or more in USD per million tokens, got '2.50'"),
        (ROW + "input = -1", "input must be a price of zero or more in USD per million tokens, got -1"),
        (ROW + "input = nan", "input must be a price of zero or more in USD per million tokens, got Decimal('NaN')"),
        (ROW + "input = inf", "input must be a price of zero or more"),
        (ROW + "input = true", "input must be a price of zero or more in USD per million tokens, got True"),
        (ROW + "input = 1e999", "input must be a price of zero or more"),
        (ROW + "input = 1e-99", "input must be a price of zero or more"),
        (ROW + "input = [1]", "input must be a price of zero or more"),
        (ROW, "input is missing: name a price for at least one usage bucket"),
        ('provider = "openai"\ninput = 1', "model is missing"),
        ('model = "gpt-4o"\ninput = 1', "provider is missing"),
        ('provider = ""\nmodel = "x"\ninput = 1', "provider must be a text, got ''"),
        ('provider = "openai"\nmodel = 4\ninput = 1', "model must be a text, got 4"),
        (ROW + 'input = 1\neffective_from = "2026-03-01"', "effective_from must be a date such as 2026-03-01"),
        (ROW + "input = 1\neffective_from = 2026-03-01T00:00:00Z", "effective_from must be a date such as 2026-03-01"),
        (ROW + "input = 1\nservice_tier = 1", "service_tier must be a text, got 1"),
        (ROW + "input = 1\nsource = []", "source must be a text, got []"),
    ],
)
def test_a_wrong_row_is_refused_with_file_number_and_key(written: Callable[[str], Path], row: str, said: str) -> None:
    path = written(f'[[rate]]\nprovider = "acme"\nmodel = "a"\ninput = 1\n\n[[rate]]\n{row}\n')
    with pytest.raises(InvalidRates) as refusal:
        Catalog.default(path)
    assert str(refusal.value).startswith(f"rates file {str(path)!r}, [[rate]] number 2: {said}")
    assert isinstance(refusal.value, ConfigurationError)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rate]\n", "is not TOML: "),
        ("", "expected only [[rate]] tables"),
        ("[rate]\nprovider = 'a'", "expected only [[rate]] tables"),
        ("rate = 1", "expected only [[rate]] tables"),
        (f"[[rate]]\n{ROW}input = 1\n[other]\n", "expected only [[rate]] tables"),
        ("rate = [1, 2]", "number 1: must be a [[rate]] table"),
    ],
)
def test_a_file_that_holds_no_rates_is_refused_by_name(written: Callable[[str], Path], text: str, said: str) -> None:
    path = written(text)
    with pytest.raises(InvalidRates) as refusal:
        Catalog.default(path)
    assert str(refusal.value).startswith(f"rates file {str(path)!r}")
    assert said in str(refusal.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rates.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidRates, match="is not TOML"):
        Catalog.default(path)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InvalidRates, match="cannot be read: " + why):
            Catalog.default(path)
