"""What a price list in the form of genai-prices says, in a table small enough to be written out here."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest

from costtrace.pricing import Catalog, Quote
from costtrace.pricing.genai import GenaiPrices
from costtrace.quote import PriceBasis, QuoteStatus
from costtrace.usage import Usage

NOON: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)


def model(name: str, prices: Any, *variants: dict[str, Any], match: dict[str, Any] | None = None) -> dict[str, Any]:
    known: dict[str, Any] = {"id": name, "match": match or {"equals": name}, "prices": prices}
    return {**known, "price_variants": list(variants)} if variants else known


def since(day: str, **prices: Any) -> dict[str, Any]:
    return {"constraint": {"type": "start_date", "start_date": day}, "prices": prices}


def at_night(**prices: Any) -> dict[str, Any]:
    window = {"type": "time_of_date", "start_time": "20:00:00Z", "end_time": "23:00:00Z"}
    return {"constraint": window, "prices": prices}


TIERED: Final = {"base": 2, "tiers": [{"start": 1000, "price": 4}, {"start": 5000, "price": 6}]}
MODELS: Final = [
    model("plain", {"input_mtok": 2, "output_mtok": 8}),
    model(
        "whole",
        {
            "input_mtok": 2,
            "cache_read_mtok": 0.2,
            "cache_write_mtok": 2.5,
            "cache_write_1h_mtok": 4,
            "input_audio_mtok": 10,
            "cache_audio_read_mtok": 1,
            "output_mtok": 8,
            "output_audio_mtok": 20,
            "web_searches_kcount": 10,
            "requests_kcount": 5,
        },
    ),
    model("other", {"input_mtok": 2, "input_video_mtok": 3, "characters_mtok": 7, "code_executions_kcount": 3}),
    model("tiered", {"input_mtok": TIERED, "output_mtok": 8}),
    model(
        "dated",
        [
            {"prices": {"input_mtok": 1, "output_mtok": 1}},
            since("2026-03-01", input_mtok=2, output_mtok=2),
            since("2026-05-01", input_mtok=3, output_mtok=3),
        ],
    ),
    model("young", [since("2026-07-01", input_mtok=5), since("2026-08-01", input_mtok=6)]),
    model("nightly", [{"prices": {"input_mtok": 4}}, at_night(input_mtok=2)]),
    model(
        "tiers",
        {"input_mtok": 4, "cache_read_mtok": 0.4, "output_mtok": 16},
        {"when": {"service_tier": "flex"}, "prices": {"input_mtok": 2, "output_mtok": 8}},
        {"when": {"service_tier": "fast"}, "prices": {"output_mtok": 32}},
        {
            "when": {"processing": "batch"},
            "constraint": {"type": "start_date", "start_date": "2026-05-15"},
            "prices": {"input_mtok": 1, "cache_read_mtok": 0.1, "output_mtok": 4},
        },
    ),
]
OTHERS: Final = {"anthropic": "claude-x", "google": "gemini-x"}


@pytest.fixture
def table(tmp_path: Path) -> GenaiPrices:
    providers = [
        {
            "id": "openai",
            "name": "OpenAI",
            "api_pattern": "x",
            "pricing_urls": ["https://openai.example/prices", "https://openai.example/more"],
            "models": MODELS,
        },
        *(
            {"id": name, "name": name, "api_pattern": "x", "models": [model(only, {"input_mtok": 1})]}
            for name, only in OTHERS.items()
        ),
        {
            "id": "azure",
            "name": "Azure",
            "api_pattern": "x",
            "models": [],
            "fallback_model_providers": ["nobody", "openai"],
        },
    ]
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(providers))
    return GenaiPrices.from_file(file)


def quoted(
    table: GenaiPrices,
    name: str,
    buckets: dict[str, int],
    *,
    provider: str = "openai",
    at: datetime = NOON,
    tier: str | None = None,
    **context: Any,
) -> Quote:
    return Catalog(table).quote(
        provider=provider, model=name, usage=Usage(buckets=buckets), service_tier=tier, at=at, context=context
    )


def test_a_quote_at_list_prices_shows_all_of_its_working(table: GenaiPrices) -> None:
    quote = quoted(table, "plain", {"input": 1000, "output": 10})
    assert (quote.status, quote.amount) == (QuoteStatus.EXACT, Decimal("0.00208"))
    assert quote.basis == PriceBasis(
        provider="openai",
        model="plain",
        rule="exact name",
        source="genai-prices",
        version=table.version,
        data_hash=table.data_hash,
        url="https://openai.example/prices",
        rates={
            "input": "input_mtok",
            "cache_read": "input_mtok",
            "cache_write": "input_mtok",
            "cache_write_5m": "input_mtok",
            "input_image": "input_mtok",
            "input_video": "input_mtok",
            "output": "output_mtok",
        },
    )


def test_a_list_without_a_page_names_none_and_prices_of_another_say_whose_they_are(table: GenaiPrices) -> None:
    anthropic = quoted(table, "claude-x", {"input": 1}, provider="anthropic")
    assert anthropic.basis is not None
    assert anthropic.basis.url is None
    azure = quoted(table, "plain", {"input": 1}, provider="azure")
    assert (azure.status, azure.amount) == (QuoteStatus.EXACT, Decimal("0.000002"))
    assert azure.basis is not None
    assert (azure.basis.provider, azure.basis.model, azure.basis.rule, azure.basis.url) == (
        "azure",
        "plain",
        "exact name, at the prices of openai",
        "https://openai.example/prices",
    )
    flex = quoted(table, "tiers", {"input": 1_000_000}, provider="azure", tier="flex")
    assert (flex.status, flex.amount) == (QuoteStatus.PARTIAL, Decimal(4))


BUCKETS: Final[list[tuple[str, str, str | None, str | None, str | None]]] = [
    # bucket, what a million cost, what is assumed, the least and the most it can be
    ("input", "2", None, None, None),
    ("cache_read", "0.2", None, None, None),
    ("cache_write", "2.5", "cache_ttl=5m", "2.5", "4"),
    ("cache_write_5m", "2.5", None, None, None),
    ("cache_write_1h", "4", None, None, None),
    ("input_audio", "10", None, None, None),
    ("cache_read_audio", "1", None, None, None),
    ("input_image", "2", None, None, None),
    ("input_video", "2", None, None, None),
    ("output", "8", None, None, None),
    ("output_audio", "20", None, None, None),
    ("web_search", "10000", None, None, None),
]


@pytest.mark.parametrize(("bucket", "cost", "assumption", "low", "high"), BUCKETS)
def test_each_bucket_has_the_rate_that_the_list_has_for_it(  # noqa: PLR0917 - pytest passes by name
    table: GenaiPrices, bucket: str, cost: str, assumption: str | None, low: str | None, high: str | None
) -> None:
    fee = Decimal("0.005")
    quote = quoted(table, "whole", {bucket: 1_000_000})
    assert quote.amount == Decimal(cost) + fee
    assert quote.assumptions == (() if assumption is None else (assumption,))
    assert quote.low == (None if low is None else Decimal(low) + fee)
    assert quote.high == (None if high is None else Decimal(high) + fee)
    assert quote.status is (QuoteStatus.EXACT if assumption is None else QuoteStatus.ESTIMATED)


def test_what_the_list_has_no_rate_for_is_assumed_or_missing(table: GenaiPrices) -> None:
    for bucket in ("cache_read", "cache_write", "cache_write_5m"):
        quote = quoted(table, "plain", {bucket: 1_000_000})
        assert (quote.status, quote.amount, quote.low, quote.high) == (QuoteStatus.ESTIMATED, Decimal(2), None, None)
        assert quote.assumptions == (f"{bucket}=input rate",)
    for bucket in ("cache_write_1h", "input_audio", "output_audio", "web_search", "my_tool"):
        quote = quoted(table, "plain", {bucket: 1, "input": 1_000_000})
        assert (quote.status, quote.amount) == (QuoteStatus.PARTIAL, Decimal(2))
        assert quote.reason == f"no rate for {bucket} of model 'plain'"


def test_units_that_a_chat_call_does_not_report_make_a_quote_partial(table: GenaiPrices) -> None:
    quote = quoted(table, "other", {"input_video": 1_000_000})
    assert (quote.status, quote.amount) == (QuoteStatus.PARTIAL, Decimal(3))
    assert quote.reason is not None
    assert quote.reason.startswith("model 'other' is also billed by c")
    assert quote.reason.endswith(", which a chat call does not report")


@pytest.mark.parametrize(("tokens", "rate"), [(1, 2), (1000, 2), (1001, 4), (5000, 4), (5001, 6), (1_000_000, 6)])
def test_a_long_request_costs_the_rate_of_its_tier_as_a_whole(table: GenaiPrices, tokens: int, rate: int) -> None:
    quote = quoted(table, "tiered", {"input": tokens, "output": 1})
    assert quote.amount == Decimal(rate * tokens + 8) / 1_000_000
    assert quote.basis is not None
    above = {2: {}, 4: {"input_tokens": "more than 1000"}, 6: {"input_tokens": "more than 5000"}}[rate]
    assert quote.basis.context_used == above


@pytest.mark.parametrize(
    ("day", "cost", "first_day"),
    [
        ("2026-02-28", 1, None),
        ("2026-03-01", 2, date(2026, 3, 1)),
        ("2026-04-30", 2, date(2026, 3, 1)),
        ("2026-05-01", 3, date(2026, 5, 1)),
    ],
)
def test_a_price_holds_from_its_first_day(table: GenaiPrices, day: str, cost: int, first_day: date | None) -> None:
    quote = quoted(table, "dated", {"input": 1_000_000}, at=datetime.fromisoformat(day).replace(tzinfo=UTC))
    assert (quote.status, quote.amount, quote.assumptions) == (QuoteStatus.EXACT, Decimal(cost), ())
    assert quote.basis is not None
    assert quote.basis.effective_from == first_day


def test_before_its_first_known_price_a_model_is_assumed_to_have_cost_that(table: GenaiPrices) -> None:
    early = quoted(table, "young", {"input": 1_000_000}, at=datetime(2026, 6, 30, tzinfo=UTC))
    assert early.status is QuoteStatus.ESTIMATED
    assert early.assumptions == ("rates=those of 2026-07-01, the first known",)
    later = quoted(table, "young", {"input": 1_000_000}, at=datetime(2026, 7, 1, tzinfo=UTC))
    assert (later.status, later.amount) == (QuoteStatus.EXACT, Decimal(5))


def test_a_price_of_some_hours_holds_in_them_whatever_was_asked_before(table: GenaiPrices) -> None:
    catalog = Catalog(table)
    costs = {
        hour: catalog.quote(
            provider="openai", model="nightly", usage=Usage(buckets={"input": 1_000_000}), at=NOON.replace(hour=hour)
        ).amount
        for hour in (12, 19, 20, 22, 23, 12)
    }
    assert costs == {12: 4, 19: 4, 20: 2, 22: 2, 23: 4}
    minutes = [(21, 59), (20, 0), (19, 59), (20, 1)]
    amounts = [
        catalog.quote(
            provider="openai",
            model="nightly",
            usage=Usage(buckets={"input": 1_000_000}),
            at=NOON.replace(hour=hour, minute=minute),
        ).amount
        for hour, minute in minutes
    ]
    assert amounts == [2, 2, 4, 2]


def test_a_tier_selects_its_rates_and_leaves_open_what_it_does_not_name(table: GenaiPrices) -> None:
    flex = quoted(table, "tiers", {"input": 1_000_000, "output": 1_000_000}, tier="flex")
    assert (flex.status, flex.amount) == (QuoteStatus.EXACT, Decimal(10))
    assert flex.basis is not None
    assert flex.basis.context_used == {"service_tier": "flex"}
    cached = quoted(table, "tiers", {"cache_read": 1_000_000}, tier="flex")
    assert (cached.status, cached.low, cached.amount, cached.high) == (
        QuoteStatus.ESTIMATED,
        Decimal("0.2"),
        Decimal("0.4"),
        Decimal("0.4"),
    )
    assert cached.assumptions == ("cache_read=standard rate",)
    fast = quoted(table, "tiers", {"cache_read": 1_000_000, "output": 1_000_000}, tier="fast")
    assert (fast.status, fast.amount) == (QuoteStatus.EXACT, Decimal("32.4"))
    unknown = quoted(table, "tiers", {"input": 1_000_000}, tier="scale")
    assert (unknown.status, unknown.amount) == (QuoteStatus.PARTIAL, Decimal(4))
    assert unknown.reason == "no rate of its own is known for service_tier=scale of model 'tiers' at that time"


def test_of_two_options_that_change_the_same_rates_one_is_left_over(table: GenaiPrices) -> None:
    both = quoted(table, "tiers", {"input": 1_000_000}, tier="flex", processing="batch")
    assert (both.status, both.amount) == (QuoteStatus.PARTIAL, Decimal(2))
    assert both.basis is not None
    assert (both.basis.context_used, both.basis.context_ignored) == (
        {"service_tier": "flex"},
        {"processing": "batch"},
    )


def test_a_tier_with_a_first_day_is_unknown_before_it(table: GenaiPrices) -> None:
    early = quoted(table, "tiers", {"input": 1_000_000}, processing="batch", at=datetime(2026, 5, 14, 23, tzinfo=UTC))
    assert (early.status, early.amount) == (QuoteStatus.PARTIAL, Decimal(4))
    later = quoted(table, "tiers", {"cache_read": 1_000_000}, processing="batch", at=datetime(2026, 5, 15, tzinfo=UTC))
    assert (later.status, later.amount) == (QuoteStatus.EXACT, Decimal("0.1"))
    assert later.basis is not None
    assert later.basis.effective_from == date(2026, 5, 15)


def test_how_old_the_table_is_and_how_much_it_knows(table: GenaiPrices) -> None:
    assert table.models == len(MODELS) + len(OTHERS)
    changes = ["2026-03-01", "2026-05-01", "2026-07-01", "2026-08-01"]
    for change in changes:
        assert table.latest_change(date.fromisoformat(change)) == date.fromisoformat(change)
    assert table.latest_change(date(2026, 2, 28)) is None
    assert table.latest_change(date(2026, 4, 1)) == date(2026, 3, 1)
    assert table.latest_change(date(2030, 1, 1)) == date(2026, 8, 1)


def test_a_file_of_prices_takes_the_place_of_the_bundled_ones_and_is_named(table: GenaiPrices, tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    written = datetime(2026, 2, 3, 4, tzinfo=UTC).timestamp()
    os.utime(file, (written, written))
    quote = Catalog.default(prices=file).quote(
        provider="openai", model="plain", usage=Usage(buckets={"input": 1}), at=NOON
    )
    assert quote.basis is not None
    assert (quote.amount, quote.basis.version, quote.basis.data_hash) == (
        Decimal("0.000002"),
        "file of 2026-02-03",
        hashlib.sha256(file.read_bytes()).hexdigest()[:16],
    )
    assert quote.basis.data_hash == table.data_hash
    bundled = GenaiPrices()
    assert (bundled.version, bundled.models > 1000) == (version("genai-prices"), True)
    data = files("genai_prices").joinpath("data.py").read_bytes()
    assert bundled.data_hash == hashlib.sha256(data).hexdigest()[:16]
