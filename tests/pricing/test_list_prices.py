"""List prices, checked by eye: tokens times the rate that the provider published for that day, tier and length."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.pricing import Catalog, Quote
from costtrace.pricing import catalog as catalog_module
from costtrace.pricing.genai import GenaiPrices
from costtrace.quote import QuoteStatus
from costtrace.usage import Usage
from costtrace.usage_metadata import usage_from_metadata

CATALOG = Catalog.default()
JANUARY = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def mtok(rate: str, tokens: int) -> Decimal:
    """What that many tokens cost at a rate in USD per million."""
    return Decimal(rate) * tokens / 1_000_000


def price(
    model: str, at: datetime = JANUARY, *, provider: str = "openai", tier: str | None = None, **buckets: int
) -> Quote:
    return CATALOG.quote(provider=provider, model=model, usage=Usage(buckets=buckets), service_tier=tier, at=at)


def test_a_call_costs_its_tokens_at_their_rates() -> None:
    quote = price("gpt-4o", input=450, output=200)
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == mtok("2.5", 450) + mtok("10", 200) == Decimal("0.003125")
    assert [str(line) for line in quote.lines] == [
        "450 input x 2.5 / 1000000 = 0.001125",
        "200 output x 10 / 1000000 = 0.002",
    ]
    assert quote.reason is None
    assert quote.assumptions == ()
    assert quote.basis is not None
    assert (quote.basis.provider, quote.basis.model, quote.basis.rule) == ("openai", "gpt-4o", "exact name")
    assert quote.basis.source == "genai-prices"
    assert len(quote.basis.data_hash) == 16


@given(st.dictionaries(st.sampled_from(["input", "output", "cache_read"]), st.integers(1, 2**40)))
def test_an_amount_is_the_exact_sum_of_its_lines(buckets: dict[str, int]) -> None:
    quote = CATALOG.quote(provider="openai", model="gpt-4o", usage=Usage(buckets=buckets), at=JANUARY)
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == sum((line.subtotal for line in quote.lines), Decimal(0))
    for line in quote.lines:
        assert line.subtotal * line.per == line.rate * line.quantity
    assert {line.bucket: line.quantity for line in quote.lines} == buckets


def test_cached_tokens_cost_the_cached_rate() -> None:
    quote = price("gpt-4o", input=600, cache_read=400, output=500)
    assert quote.amount == mtok("2.5", 600) + mtok("1.25", 400) + mtok("10", 500)


def test_langchains_own_record_is_priced_as_it_is() -> None:
    record = {"input_tokens": 1000, "output_tokens": 500, "input_token_details": {"cache_read": 400}}
    quote = CATALOG.quote(provider="openai", model="gpt-4o", usage=record, at=JANUARY)
    assert quote.amount == mtok("2.5", 600) + mtok("1.25", 400) + mtok("10", 500)


def test_reasoning_is_paid_as_output_and_once() -> None:
    record = {"input_tokens": 10, "output_tokens": 500, "output_token_details": {"reasoning": 300}}
    quote = CATALOG.quote(provider="openai", model="gpt-4o", usage=record, at=JANUARY)
    assert quote.amount == mtok("2.5", 10) + mtok("10", 500)


@pytest.mark.parametrize(
    ("tier", "amount"),
    [
        (None, mtok("2.5", 450) + mtok("15", 200)),
        ("default", mtok("2.5", 450) + mtok("15", 200)),
        ("standard", mtok("2.5", 450) + mtok("15", 200)),
        ("flex", mtok("1.25", 450) + mtok("7.5", 200)),
        ("priority", mtok("5", 450) + mtok("30", 200)),
    ],
)
def test_the_tier_as_served_selects_the_rate(tier: str | None, amount: Decimal) -> None:
    quote = price("gpt-5.4", NOVEMBER, tier=tier, input=450, output=200)
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == amount


def test_a_tier_without_a_rate_of_its_own_is_partial_and_names_it() -> None:
    quote = price("gpt-4o", NOVEMBER, tier="scale", input=450, output=200)
    assert quote.status is QuoteStatus.PARTIAL
    assert quote.reason == "no rate of its own is known for service_tier=scale of model 'gpt-4o' at that time"
    assert quote.basis is not None
    assert quote.basis.context_ignored == {"service_tier": "scale"}
    assert not quote.is_actual


@pytest.mark.parametrize(
    ("day", "status"),
    [(datetime(2026, 10, 11, 23, 59, 59, tzinfo=UTC), "partial"), (datetime(2026, 10, 12, tzinfo=UTC), "exact")],
)
def test_a_tier_is_exact_only_from_the_day_its_rates_were_verified(day: datetime, status: str) -> None:
    quote = price("gpt-4o", day, tier="priority", input=450, output=200)
    assert quote.status == status


def test_a_request_option_that_selects_nothing_is_partial() -> None:
    usage = Usage(buckets={"input": 1})
    quote = CATALOG.quote(
        provider="anthropic", model="claude-sonnet-4-6", usage=usage, at=NOVEMBER, context={"inference_geo": "mars"}
    )
    assert quote.status is QuoteStatus.PARTIAL
    assert "inference_geo=mars" in str(quote.reason)


@pytest.mark.parametrize(("tokens", "input_rate", "output_rate"), [(272_000, "2.5", "15"), (272_001, "5", "22.5")])
def test_a_long_request_costs_more_from_its_first_token(tokens: int, input_rate: str, output_rate: str) -> None:
    quote = price("gpt-5.4", input=tokens, output=200)
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == mtok(input_rate, tokens) + mtok(output_rate, 200)


def test_cached_and_written_tokens_count_towards_the_length_of_a_request() -> None:
    quote = price("gpt-5.4", input=1, cache_read=272_000, output=200)
    assert quote.amount == mtok("5", 1) + mtok("0.5", 272_000) + mtok("22.5", 200)


def test_anthropic_writes_cost_by_their_time_to_live() -> None:
    quote = price(
        "claude-sonnet-4-6", NOVEMBER, provider="anthropic", cache_write_5m=5003, cache_write_1h=100, input=7, output=20
    )
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == mtok("3.75", 5003) + mtok("6", 100) + mtok("3", 7) + mtok("15", 20)


@pytest.mark.parametrize(
    ("at", "input_rate", "output_rate", "since"),
    [
        (datetime(2026, 3, 12, 23, 59, 59, 999999, tzinfo=UTC), "6", "22.5", None),
        (datetime(2026, 3, 13, tzinfo=UTC), "3", "15", "2026-03-13"),
    ],
)
def test_a_call_costs_what_the_list_said_on_its_own_day(
    at: datetime, input_rate: str, output_rate: str, since: str | None
) -> None:
    quote = price("claude-sonnet-4-6", at, provider="anthropic", input=200_001, output=1000)
    assert quote.amount == mtok(input_rate, 200_001) + mtok(output_rate, 1000)
    assert quote.basis is not None
    assert quote.basis.to_dict()["effective_from"] == since


@pytest.mark.parametrize("hours", [-8, 5.75, 14])
def test_the_day_of_a_call_is_the_utc_day_whatever_its_zone(hours: float) -> None:
    at = datetime(2026, 3, 12, 23, 59, 59, tzinfo=UTC)
    local = at.astimezone(timezone(timedelta(hours=hours)))
    assert price("claude-sonnet-4-6", local, provider="anthropic", input=200_001) == price(
        "claude-sonnet-4-6", at, provider="anthropic", input=200_001
    )


@pytest.mark.parametrize(
    ("clock", "rate"),
    [("00:59", "0.15"), ("01:00", "0.3"), ("03:59", "0.3"), ("04:00", "0.15"), ("05:59", "0.15"), ("06:00", "0.3")],
)
def test_deepseek_costs_what_its_hour_costs(clock: str, rate: str) -> None:
    at = datetime.fromisoformat(f"2026-11-02T{clock}:59+00:00")
    assert price("deepseek-v4-flash", at, provider="deepseek", input=1_000_000).amount == mtok(rate, 1_000_000)


def test_audio_without_an_audio_rate_is_partial_and_never_costs_what_text_costs() -> None:
    quote = price("gpt-4o", provider="openai", input=100, input_audio=500, output=50, output_audio=70)
    assert quote.status is QuoteStatus.PARTIAL
    assert quote.amount == mtok("2.5", 100) + mtok("10", 50)
    assert quote.reason == "no rate for input_audio, output_audio of model 'gpt-4o'"


def test_audio_with_a_rate_of_its_own_costs_that() -> None:
    quote = price("gemini-2.5-flash", provider="google_genai", input=100, input_audio=500, output=10)
    assert quote.amount == mtok("0.3", 100) + mtok("1", 500) + mtok("2.5", 10)


def test_a_cached_token_without_a_cached_rate_is_an_estimate_that_says_what_it_assumes() -> None:
    quote = price("gpt-4o-audio-preview", input=100, cache_read=50, output=1)
    assert quote.status is QuoteStatus.ESTIMATED
    assert quote.amount == mtok("2.5", 100) + mtok("2.5", 50) + mtok("10", 1)
    assert quote.assumptions == ("cache_read=input rate",)


@pytest.mark.parametrize(
    ("provider", "model", "reason"),
    [
        ("openai", "gpt-9", "no price for model 'gpt-9' (provider 'openai') on 2026-01-20; add it to your rates file"),
        ("acme", "gpt-4o", "no price for model 'gpt-4o' (provider 'acme') on 2026-01-20; add it to your rates file"),
        (None, "gpt-4o", "the provider of this call is not known"),
        ("openai", None, "the model of this call is not known"),
        ("", "gpt-4o", "the provider of this call is not known"),
    ],
)
def test_what_nobody_has_a_price_for_is_unpriced_with_a_reason_and_never_zero(
    provider: str | None, model: str | None, reason: str
) -> None:
    quote = CATALOG.quote(provider=provider, model=model, usage=Usage(buckets={"input": 1}), at=JANUARY)
    assert (quote.status, quote.amount, quote.reason) == (QuoteStatus.UNPRICED, None, reason)


@pytest.mark.parametrize(
    ("provider", "listed"),
    [
        ("azure_openai", "azure"),
        ("azure", "azure"),
        ("anthropic-bedrock", "aws"),
        ("google_anthropic_vertex", "google"),
    ],
)
def test_a_cloud_is_priced_as_that_cloud_and_not_as_the_maker_of_the_model(provider: str, listed: str) -> None:
    models = {"azure": "gpt-4o", "aws": "us.anthropic.claude-sonnet-4-6", "google": "gemini-2.5-flash"}
    quote = price(models[listed], NOVEMBER, provider=provider, input=1)
    assert quote.basis is not None
    assert quote.basis.provider == listed


def test_a_geographic_profile_on_bedrock_costs_its_uplift() -> None:
    quote = price("us.anthropic.claude-sonnet-4-6", NOVEMBER, provider="bedrock_converse", input=1000, output=100)
    assert quote.amount == mtok("3.3", 1000) + mtok("16.5", 100)


def test_a_tier_on_a_cloud_that_lends_the_makers_prices_is_partial() -> None:
    quote = price("gpt-4o", NOVEMBER, provider="azure", tier="priority", input=1000)
    assert quote.status is QuoteStatus.PARTIAL


def test_usage_that_was_not_reported_is_no_price_of_zero() -> None:
    quote = CATALOG.quote(provider="openai", model="gpt-4o", usage=None, at=JANUARY)
    assert (quote.status, quote.amount) == (QuoteStatus.USAGE_MISSING, None)
    assert quote.reason == "no usage was reported for this call"


def test_usage_that_contradicts_itself_is_no_price_and_names_the_value() -> None:
    quote = CATALOG.quote(provider="openai", model="gpt-4o", usage={"input_tokens": -1, "output_tokens": 2}, at=JANUARY)
    assert (quote.status, quote.amount) == (QuoteStatus.INVALID_USAGE, None)
    assert quote.reason == "usage_metadata.input_tokens: expected a whole number of zero or more, got -1"


def test_an_answer_from_langchains_cache_costs_nothing_and_says_so() -> None:
    quote = CATALOG.quote(
        provider="openai", model="gpt-4o", usage={"input_tokens": 9, "output_tokens": 9, "total_cost": 0}, at=JANUARY
    )
    assert (quote.status, quote.amount) == (QuoteStatus.NOT_BILLED, Decimal(0))


@pytest.mark.parametrize(
    ("details", "status", "assumed"),
    [
        ({"input_token_details": {"cache_read": 200}}, "estimated", ("details=cut to their total",)),
        ({"total_tokens": 7}, "estimated", ("total=input+output",)),
    ],
)
def test_numbers_that_contradict_each_other_are_an_estimate(
    details: dict[str, Any], status: str, assumed: tuple[str, ...]
) -> None:
    quote = CATALOG.quote(
        provider="openai", model="gpt-4o", usage={"input_tokens": 100, "output_tokens": 1, **details}, at=JANUARY
    )
    assert quote.status == status
    assert quote.assumptions == assumed


def test_an_answer_that_broke_off_is_partial() -> None:
    usage = usage_from_metadata({"input_tokens": 100, "output_tokens": 1}, incomplete=True)
    quote = CATALOG.quote(provider="openai", model="gpt-4o", usage=usage, at=JANUARY)
    assert quote.status is QuoteStatus.PARTIAL
    assert quote.amount == mtok("2.5", 100) + mtok("10", 1)


def test_a_quote_without_an_amount_always_says_why() -> None:
    """No token at all and a contradictory total: there is nothing to price, and a reader must learn it."""
    usage = usage_from_metadata({"input_tokens": 0, "output_tokens": 0, "total_tokens": 9})
    quote = CATALOG.quote(provider="openai", model="gpt-4o", usage=usage, at=JANUARY)
    assert quote.amount is not None or quote.reason


def test_a_naive_moment_is_refused() -> None:
    naive = datetime(2026, 1, 20)  # noqa: DTZ001 - naive is the point
    with pytest.raises(InvalidValue, match="at: expected a datetime with a time zone"):
        price("gpt-4o", naive, input=1)


def test_an_option_that_is_no_text_is_refused() -> None:
    context: Any = {"region": 1}
    with pytest.raises(InvalidValue, match=r"context\.region: expected a text, got 1"):
        CATALOG.quote(provider="openai", model="gpt-4o", usage=Usage(buckets={"input": 1}), context=context)


def test_without_a_moment_the_catalogs_clock_decides() -> None:
    catalog = Catalog(GenaiPrices(), clock=lambda: datetime(2026, 3, 12, tzinfo=UTC))
    usage = Usage(buckets={"input": 200_001})
    assert catalog.quote(provider="anthropic", model="claude-sonnet-4-6", usage=usage).amount == mtok("6", 200_001)


def test_many_threads_may_ask_one_catalog_at_once() -> None:
    catalog = Catalog.default()
    barrier = threading.Barrier(8)
    days = [JANUARY + timedelta(days=number) for number in range(40)]

    def ask(_: int) -> list[Decimal | None]:
        barrier.wait(timeout=30)
        return [
            catalog.quote(
                provider="openai", model=model, usage=Usage(buckets={"input": 450, "output": 200}), at=day
            ).amount
            for day in days
            for model in ("gpt-4o", "gpt-4o-mini", "gpt-9")
        ]

    expected = [mtok("2.5", 450) + mtok("10", 200), mtok("0.15", 450) + mtok("0.6", 200), None] * len(days)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [expected] * 8


class Endless:
    """A price list that knows every model, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    name = "endless"

    def sheet(self, *_: Any) -> None:
        self.asked += 1


def test_cards_are_kept_and_never_more_than_a_bound() -> None:
    known = Endless()
    catalog = Catalog(known)
    usage = Usage(buckets=MappingProxyType({"input": 1}))
    for number in range(2 * catalog_module._MAX_CARDS + 10):
        catalog.quote(provider="acme", model=f"m{number}", usage=usage, at=JANUARY)
        assert len(catalog._cards) <= catalog_module._MAX_CARDS
    asked = known.asked
    for _ in range(10):
        catalog.quote(provider="acme", model="m1", usage=usage, at=JANUARY)
    assert known.asked == asked + 1
