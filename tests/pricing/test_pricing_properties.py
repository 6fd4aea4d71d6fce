"""What holds for every quote, whatever was bought, when, where and on which terms."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from itertools import combinations, pairwise
from typing import Any, Final, NoReturn

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import example, given
from hypothesis import strategies as st

from costtrace.jsontext import encode
from costtrace.money import EXACT, Money
from costtrace.pricing import Catalog, Quote
from costtrace.quote import ACTUAL, QuoteStatus
from costtrace.usage import DIRECTIONS, Usage

CATALOG: Final = Catalog.default()
ANOTHER: Final = Catalog.default()

MODELS: Final = [
    (provider.id, model.id)
    for provider in get_snapshot().providers
    if provider.id in {"anthropic", "aws", "azure", "deepseek", "google", "mistral", "openai", "openrouter", "x-ai"}
    for model in provider.models
]
MOMENTS: Final = st.datetimes(
    min_value=datetime(2025, 1, 1),  # noqa: DTZ001 - the strategy adds the zone
    max_value=datetime(2027, 2, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
SHORT: Final = 100_000
"""No list changes its rates for a request that is shorter than this."""
COUNTS: Final = st.integers(0, 2_000_000)
INPUT_DETAILS: Final = (
    "audio",
    "cache_creation",
    "cache_read",
    "ephemeral_1h_input_tokens",
    "ephemeral_5m_input_tokens",
    "flex_cache_read",
    "priority_cache_read",
)
OUTPUT_DETAILS: Final = ("audio", "flex_reasoning", "image", "priority_reasoning", "reasoning")


@st.composite
def usages(draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """What LangChain may report; details that exceed their total included."""
    total_in, total_out = draw(COUNTS), draw(COUNTS)
    return {
        "input_tokens": total_in,
        "output_tokens": total_out,
        "total_tokens": total_in + total_out,
        "input_token_details": draw(st.dictionaries(st.sampled_from(INPUT_DETAILS), COUNTS, max_size=3)),
        "output_token_details": draw(st.dictionaries(st.sampled_from(OUTPUT_DETAILS), COUNTS, max_size=2)),
    }


CONTEXTS: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {},
    optional={
        "region": st.sampled_from(["us", "eu", "us-east-1", "eu-central-1", "global"]),
        "base_url": st.sampled_from(
            [
                "https://api.openai.com/v1",
                "https://eu.api.openai.com/v1",
                "https://us.api.x.ai/v1",
                "http://localhost:8000",
            ]
        ),
        "inference_geo": st.sampled_from(["us", "global"]),
        "speed": st.sampled_from(["fast", "standard"]),
        "processing": st.just("batch"),
        "cache_ttl": st.sampled_from(["5m", "1h"]),
        "requested_service_tier": st.sampled_from(["flex", "priority", "auto"]),
        "azure_deployment": st.just("our-deployment"),
        "tool_calls": st.dictionaries(
            st.sampled_from(["web_search", "file_search", "code_execution"]), st.integers(0, 50), max_size=2
        ),
        "provider_reported": st.sampled_from(
            [
                {"cost_in_usd_ticks": 37_756_000},
                {"cost": Decimal("0.00123"), "cost_details": {"upstream_inference_cost": Decimal("0.001")}},
                {"response_cost": Decimal("0.25")},
                {"cost": 0.00123},
            ]
        ),
    },
)


def usual_usage(plain: int, cached: int, output: int) -> dict[str, Any]:
    """What most calls report: tokens, some of them cached."""
    return {
        "input_tokens": plain + cached,
        "output_tokens": output,
        "total_tokens": plain + cached + output,
        "input_token_details": {"cache_read": cached},
    }


USUAL_USAGES: Final = st.builds(usual_usage, COUNTS, COUNTS, COUNTS)


@st.composite
def calls(draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """The arguments of one call of `Catalog.quote`: half of them usual ones, the others on any terms."""
    provider, model = draw(st.sampled_from(MODELS))
    usual = {"provider": provider, "model": model, "at": draw(MOMENTS)}
    if draw(st.booleans()):
        return {**usual, "usage": draw(USUAL_USAGES)}
    tier = draw(st.sampled_from([None, "default", "flex", "priority", "scale"]))
    return {**usual, "usage": draw(usages()), "service_tier": tier, "context": draw(CONTEXTS)}


@st.composite
def plain_calls(draw: Callable[[st.SearchStrategy[Any]], Any]) -> dict[str, Any]:
    """The arguments of a call without terms, so that most answers are exact."""
    provider, model = draw(st.sampled_from(MODELS))
    return {"provider": provider, "model": model, "at": draw(MOMENTS)}


def total(amounts: list[Decimal]) -> Decimal:
    return reduce(EXACT.add, amounts, Decimal(0))


def parts_of(value: object) -> Iterator[object]:
    """The value and everything that can be reached from it."""
    yield value
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        return
    for part in inner:
        yield from parts_of(part)


def refuse(text: str) -> NoReturn:
    raise AssertionError(f"the JSON of a quote holds the bare number {text}")


@given(calls())
def test_no_float_is_anywhere_in_a_quote(call: dict[str, Any]) -> None:
    quote = CATALOG.quote(**call)
    assert not [part for part in parts_of(quote) if isinstance(part, (float, complex))]
    json.loads(encode(quote.to_dict()), parse_float=refuse, parse_constant=refuse)


@given(calls())
def test_a_quote_survives_its_json_text(call: dict[str, Any]) -> None:
    quote = CATALOG.quote(**call)
    assert Quote.from_dict(json.loads(encode(quote.to_dict()))) == quote


@given(calls())
def test_the_amount_is_the_sum_of_its_lines_and_each_line_is_quantity_times_rate(call: dict[str, Any]) -> None:
    quote = CATALOG.quote(**call)
    for line in quote.lines:
        assert line.subtotal * line.per == line.quantity * line.rate
    if quote.status in {QuoteStatus.EXACT, QuoteStatus.ESTIMATED, QuoteStatus.PARTIAL} and quote.lines:
        assert quote.amount == total([line.subtotal for line in quote.lines])


@given(calls())
def test_no_bucket_is_priced_twice_and_an_exact_quote_prices_each(call: dict[str, Any]) -> None:
    quote = CATALOG.quote(**call)
    priced = [line.bucket for line in quote.lines]
    assert len(priced) == len(set(priced))
    if quote.status is QuoteStatus.EXACT:
        tokens = {line.bucket: line.quantity for line in quote.lines if line.bucket in DIRECTIONS}
        for direction in ("input", "output"):
            priced_tokens = sum(count for bucket, count in tokens.items() if DIRECTIONS[bucket] == direction)
            assert priced_tokens == call["usage"][f"{direction}_tokens"]


@given(calls())
def test_an_amount_is_never_negative_and_lies_within_its_bounds(call: dict[str, Any]) -> None:
    quote = CATALOG.quote(**call)
    known = [bound for bound in (quote.low, quote.amount, quote.high) if bound is not None]
    assert all(smaller <= larger for smaller, larger in pairwise(known))
    assert all(bound >= 0 for bound in known)


@given(calls())
def test_what_is_not_actual_says_why(call: dict[str, Any]) -> None:
    quote = CATALOG.quote(**call)
    assert quote.status in ACTUAL or quote.reason or quote.assumptions


@given(calls())
def test_a_quote_depends_on_nothing_but_its_arguments(call: dict[str, Any]) -> None:
    assert CATALOG.quote(**call) == CATALOG.quote(**call) == ANOTHER.quote(**call)


@given(plain_calls(), st.permutations(["input", "cache_read", "cache_write_5m", "output"]), st.data())
def test_the_order_of_buckets_never_changes_an_amount(
    plain: dict[str, Any], order: list[str], data: st.DataObject
) -> None:
    counts = {bucket: data.draw(COUNTS) for bucket in sorted(order)}
    sorted_quote = CATALOG.quote(**plain, usage=Usage(buckets=counts))
    shuffled = CATALOG.quote(**plain, usage=Usage(buckets={bucket: counts[bucket] for bucket in order}))
    assert (shuffled.status, shuffled.amount) == (sorted_quote.status, sorted_quote.amount)
    assert sorted(shuffled.lines) == sorted(sorted_quote.lines)


@given(st.lists(calls(), min_size=2, max_size=4), st.randoms(use_true_random=False), st.integers(1, 3))
def test_order_and_grouping_never_change_a_sum(bought: list[dict[str, Any]], random: Any, cut: int) -> None:
    amounts = [amount for call in bought if (amount := CATALOG.quote(**call).amount) is not None]
    shuffled = random.sample(amounts, len(amounts))
    grouped = [total(shuffled[:cut]), total(shuffled[cut:])]
    assert total(amounts) == total(shuffled) == total(grouped)
    assert sum((Money(amount) for amount in amounts), Money(0)) == sum((Money(amount) for amount in grouped), Money(0))


GPT_54: Final = {"provider": "openai", "model": "gpt-5.4", "at": datetime(2026, 11, 1, tzinfo=UTC)}
SMALL_BUCKETS: Final = st.fixed_dictionaries(
    {"input": st.integers(0, 900), "output": st.integers(0, 900)}, optional={"cache_read": st.integers(0, 90)}
)


@given(plain_calls(), SMALL_BUCKETS, st.integers(2, 100))
@example(
    {"provider": "openai", "model": "gpt-5.4", "at": datetime(2026, 11, 1, tzinfo=UTC)},
    {"input": 990, "output": 7},
    100,
)
def test_scaling_a_usage_scales_its_cost_below_the_thresholds(
    plain: dict[str, Any], buckets: dict[str, int], times: int
) -> None:
    assert sum(buckets.values()) * times < SHORT * 2
    one = CATALOG.quote(**plain, usage=Usage(buckets=buckets))
    many = CATALOG.quote(**plain, usage=Usage(buckets={bucket: count * times for bucket, count in buckets.items()}))
    if one.lines and one.status is many.status is QuoteStatus.EXACT:
        assert many.amount == Money(one.amount or Decimal(0)).amount * times


@given(plain_calls(), SMALL_BUCKETS, SMALL_BUCKETS)
def test_two_usages_together_cost_what_they_cost_apart_below_the_thresholds(
    plain: dict[str, Any], first: dict[str, int], second: dict[str, int]
) -> None:
    together = {bucket: first.get(bucket, 0) + second.get(bucket, 0) for bucket in first | second}
    apart = [CATALOG.quote(**plain, usage=Usage(buckets=buckets)) for buckets in (first, second)]
    both = CATALOG.quote(**plain, usage=Usage(buckets=together))
    if all(quote.status is QuoteStatus.EXACT for quote in (*apart, both)):
        assert both.amount == total([quote.amount for quote in apart if quote.amount is not None])


@pytest.mark.parametrize(
    ("model", "threshold"), [("gpt-5.4", 272_000), ("gpt-6.1-sol", 272_000), ("claude-haiku-5-5", 100_000)]
)
def test_above_a_threshold_the_whole_request_costs_more_and_below_it_nothing_does(model: str, threshold: int) -> None:
    """Scaling stops where the provider's own rule stops it: one token more than the threshold changes every rate."""
    provider = "anthropic" if model.startswith("claude") else "openai"
    at = datetime(2026, 11, 1, tzinfo=UTC)
    upto, beyond = (
        CATALOG.quote(provider=provider, model=model, at=at, usage=Usage(buckets={"input": length, "output": 10}))
        for length in (threshold, threshold + 1)
    )
    assert upto.status is beyond.status is QuoteStatus.EXACT
    rates = [{line.bucket: line.rate for line in quote.lines} for quote in (upto, beyond)]
    assert all(rates[1][bucket] > rates[0][bucket] for bucket in ("input", "output"))


OPTIONS: Final = (
    ("service_tier", "flex"),
    ("service_tier", "priority"),
    ("service_tier", "fast"),
    ("processing", "batch"),
    ("region", "us"),
    ("region", "eu"),
    ("region", "europe-west1"),
    ("inference_geo", "us"),
    ("speed", "fast"),
)


def with_options(provider: str, model: str, *options: tuple[str, str]) -> Quote:
    context = dict(options)
    tier = context.pop("service_tier", None)
    at = datetime(2026, 11, 18, 12, tzinfo=UTC)
    usage = Usage(buckets={"input": 1_000, "output": 1_000})
    return CATALOG.quote(provider=provider, model=model, usage=usage, service_tier=tier, at=at, context=context)


@pytest.mark.parametrize("provider", ["anthropic", "google", "openai"])
def test_of_two_options_that_change_the_price_neither_is_silently_left_out(provider: str) -> None:
    """Where the two together have no rate of their own, the quote says so: it is not exact at the rate of one."""
    silent = []
    for model in [model for seller, model in MODELS if seller == provider]:
        plain = with_options(provider, model).amount
        alone = {option: with_options(provider, model, option).amount for option in OPTIONS}
        changing = [option for option in OPTIONS if alone[option] not in {None, plain}]
        for one, other in combinations(changing, 2):
            both = with_options(provider, model, one, other)
            if one[0] != other[0] and both.status is QuoteStatus.EXACT and both.amount in {alone[one], alone[other]}:
                silent.append((model, one, other))
    assert not silent
