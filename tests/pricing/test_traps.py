"""Calls that once came out exact and wrong, or failed: each is priced as it is billed, or says that it is not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from costtrace.errors import InvalidValue
from costtrace.pricing import Catalog
from costtrace.quote import Quote, QuoteStatus
from costtrace.times import parse_moment

EXACT, ESTIMATED, PARTIAL = QuoteStatus.EXACT, QuoteStatus.ESTIMATED, QuoteStatus.PARTIAL
CATALOG = Catalog.default()
USAGE = {"input_tokens": 1000, "output_tokens": 50, "total_tokens": 1050}
SONNET = {"provider": "anthropic", "model": "claude-sonnet-4-6"}


def mtok(rate: str, tokens: int) -> Decimal:
    return Decimal(rate) * tokens / 1_000_000


def quote(at: str = "2026-11-10T10:00:00Z", **call: Any) -> Quote:
    return CATALOG.quote(
        **{"provider": "openai", "model": "gpt-4o", "usage": USAGE, **call},
        at=parse_moment(at, "at"),
    )


@pytest.mark.parametrize(("tier", "amount"), [("flex", "0.001401"), ("priority", "0.0056")])
def test_the_tier_is_read_from_renamed_details_where_nothing_else_tells_it(tier: str, amount: str) -> None:
    """gpt-5.4 costs 1.25 / 0.13 / 7.5 at flex and 5 / 0.5 / 30 at priority."""
    usage = {
        **USAGE,
        "input_token_details": {tier: 800, f"{tier}_cache_read": 200},
        "output_token_details": {tier: 30, f"{tier}_reasoning": 20},
    }
    served: tuple[dict[str, Any], ...] = ({}, {"response_metadata": {"model_name": "gpt-5.4"}})
    for more in served:
        priced = quote(model="gpt-5.4", usage=usage, **more)
        assert (priced.status, priced.amount) == (EXACT, Decimal(amount))


def test_a_tool_cannot_take_the_place_of_tokens() -> None:
    for name in ("input", "output", "cache_read", "cache_write_1h", "request"):
        with pytest.raises(InvalidValue, match="names of tools"):
            quote(context={"tool_calls": {name: 1}})


def test_two_names_of_one_tool_add_up() -> None:
    priced = quote(context={"tool_calls": {"web_search": 2, "web_search_call": 3}})
    assert priced.amount == mtok("2.5", 1000) + mtok("10", 50) + 5 * Decimal("0.01")


def test_a_tool_without_a_fee_leaves_the_quote_exact() -> None:
    priced = quote(**SONNET, context={"tool_calls": {"web_fetch": 3}})
    assert (priced.status, priced.amount) == (EXACT, mtok("3", 1000) + mtok("15", 50))


def test_an_answer_without_any_tokens_was_not_free() -> None:
    priced = quote(usage={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0})
    assert (priced.status, priced.amount) == (PARTIAL, None)


def test_reasoning_that_stands_beside_the_output_is_billed_as_output() -> None:
    """A client made for OpenAI's protocol leaves xAI's reasoning in the total only."""
    usage = {
        "input_tokens": 100,
        "output_tokens": 50,
        "total_tokens": 350,
        "output_token_details": {"reasoning": 200},
    }
    priced = quote(model="grok-4.5", usage=usage, context={"base_url": "https://api.x.ai/v1"})
    assert (priced.status, priced.amount) == (EXACT, mtok("2", 100) + mtok("6", 250))


def test_the_split_of_cache_writes_is_read_from_the_provider_where_only_their_total_came_through() -> None:
    raw = {"input_tokens": 200, "output_tokens": 50, "cache_creation": {"ephemeral_1h_input_tokens": 800}}
    usage = {**USAGE, "input_token_details": {"cache_creation": 800}}
    priced = quote(**SONNET, usage=usage, response_metadata={"usage": raw})
    assert (priced.status, priced.amount) == (EXACT, mtok("3", 200) + mtok("6", 800) + mtok("15", 50))


def test_a_split_of_cache_writes_beyond_their_total_is_an_estimate() -> None:
    details = {"cache_creation": 100, "ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 300}
    assert quote(**SONNET, usage={**USAGE, "input_token_details": details}).status is ESTIMATED


def test_deepseeks_own_count_of_cached_tokens_is_read() -> None:
    raw = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, "prompt_cache_hit_tokens": 300}
    metadata = {"model_name": "deepseek-v4-pro", "token_usage": raw}
    for usage in (None, USAGE):
        priced = quote("2026-11-22T12:00:00Z", provider="deepseek", usage=usage, response_metadata=metadata)
        assert priced.amount == mtok("0.66", 700) + mtok("0.022", 300) + mtok("1.98", 50)


@pytest.mark.parametrize(
    ("traffic", "status"),
    [
        ("ON_DEMAND", EXACT),
        ("TRAFFIC_TYPE_UNSPECIFIED", EXACT),
        ("PROVISIONED_THROUGHPUT", PARTIAL),
        ("ON_DEMAND_PRIORITY", PARTIAL),
    ],
)
def test_the_traffic_type_of_vertex_is_a_tier(traffic: str, status: QuoteStatus) -> None:
    metadata = {"usage_metadata": {"prompt_token_count": 1000, "traffic_type": traffic}}
    priced = quote(provider="google_vertexai", model="gemini-2.5-flash", response_metadata=metadata)
    assert priced.status is status


def test_a_deployment_is_azures_whoever_the_answer_says_it_is() -> None:
    """Azure lowered this model's price on 2026-10-03, two months after OpenAI did."""
    call: dict[str, Any] = {
        "provider": None,
        "model": None,
        "context": {"azure_deployment": "chat"},
        "response_metadata": {"model_provider": "openai", "model_name": "gpt-5.6-luna"},
    }
    before, after = quote("2026-10-02T23:59:59Z", **call), quote("2026-10-03T00:00:00Z", **call)
    assert (before.status, before.amount) == (ESTIMATED, mtok("1", 1000) + mtok("6", 50))
    assert (after.status, after.amount) == (EXACT, mtok("0.2", 1000) + mtok("1.2", 50))
    assert quote(**SONNET, context={"azure_deployment": "chat"}).status is PARTIAL


def test_anthropics_word_for_refusing_its_priority_tier_asks_for_the_standard_one() -> None:
    assert quote(**SONNET, context={"requested_service_tier": "standard_only"}).status is EXACT


def test_a_priority_rate_is_not_known_to_hold_for_a_long_request() -> None:
    call: dict[str, Any] = {"model": "gpt-5.4", "service_tier": "priority"}
    short = quote(**call, usage={"input_tokens": 272_000, "output_tokens": 10})
    long = quote(**call, usage={"input_tokens": 272_001, "output_tokens": 10})
    assert (short.status, short.amount) == (EXACT, mtok("5", 272_000) + mtok("30", 10))
    assert (long.status, long.low, long.high) == (ESTIMATED, None, None)
    assert long.assumptions == ("long_context=rates of shorter requests",)


@pytest.mark.parametrize(
    "model", ["gpt-4o-search-preview", "gpt-4o-search-preview-2025-03-11", "gpt-4o-mini-search-preview"]
)
def test_a_model_that_always_searches_costs_more_than_its_tokens(model: str) -> None:
    assert quote(model=model).status is PARTIAL


@pytest.mark.parametrize(("region", "status"), [("europe-west4", EXACT), ("us", EXACT), ("mars", PARTIAL)])
def test_only_regions_of_google_select_its_regional_rates(region: str, status: QuoteStatus) -> None:
    priced = quote(provider="google_vertexai", model="gemini-2.5-flash", context={"region": region})
    assert priced.status is status


def test_a_batch_of_gemini_3_5_flash_costs_half() -> None:
    call: dict[str, Any] = {"provider": "google_genai", "model": "gemini-3.5-flash", "context": {"processing": "batch"}}
    assert quote(**call).amount == mtok("0.75", 1000) + mtok("4.5", 50)
    cached = quote(**call, usage={**USAGE, "input_token_details": {"cache_read": 300}})
    assert (cached.status, cached.low) == (ESTIMATED, mtok("0.75", 700) + mtok("0.075", 300) + mtok("4.5", 50))


def test_cache_writes_for_twelve_hours_have_their_own_rate_and_count_towards_the_threshold() -> None:
    call: dict[str, Any] = {"model": "gpt-6.1-sol", "context": {"cache_ttl": "12h"}}
    short = quote(**call, usage={**USAGE, "input_token_details": {"cache_creation": 800}})
    assert (short.status, short.amount) == (EXACT, mtok("2", 200) + mtok("5", 800) + mtok("10", 50))
    written = {"input_tokens": 272_001, "output_tokens": 0, "input_token_details": {"cache_creation": 272_001}}
    assert quote(**call, usage=written).amount == mtok("10", 272_001)


@pytest.mark.parametrize("model", ["gpt-4o" + "-2024-08-06" * 3000, "x" * 100_000])
def test_a_name_that_goes_on_for_ever_is_unpriced(model: str) -> None:
    assert quote(model=model).status is QuoteStatus.UNPRICED
