"""What may be said of a call beside its usage, and what a provider says it charged; refusals are whole sentences."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest

from costtrace.errors import InvalidValue
from costtrace.money import Money
from costtrace.pricing.options import CONTEXT_KEYS, checked, completed, selecting, with_served
from costtrace.pricing.resolution import PROVIDERS, resolve
from costtrace.reported import reported_amount
from costtrace.responses import read_response
from costtrace.usage import FLAG_INCOMPLETE, FLAG_TOOL_FEES, Usage

KEYS: Final = (
    "azure_deployment, base_url, cache_ttl, inference_geo, processing, provider_reported, region, "
    "requested_service_tier, speed, tool_calls"
)


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ({"regoin": "eu"}, f"context: expected only the keys {KEYS}, got 'regoin'"),
        ({"region": 1}, "context.region: expected a text, got 1"),
        ({"base_url": ["x"]}, "context.base_url: expected a text, got ['x']"),
        ({"tool_calls": "one"}, "context.tool_calls: expected an object, got 'one'"),
        ({"provider_reported": 0.1}, "context.provider_reported: expected an object, got 0.1"),
    ],
)
def test_an_option_that_is_none_is_refused(context: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        checked(context)
    assert str(refused.value) == said


def test_options_that_say_nothing_are_left_aside() -> None:
    assert checked(dict.fromkeys(CONTEXT_KEYS)) == {}
    said = {"region": "eu", "tool_calls": {"t": 1}, "provider_reported": {"cost": 1}}
    assert checked({**said, "speed": "", "cache_ttl": None}) == said


def test_the_options_that_select_a_rate_are_told_from_those_of_this_one_call() -> None:
    said = {key: key for key in sorted(CONTEXT_KEYS, reverse=True)}
    assert selecting(said) == tuple(
        (key, key) for key in ("azure_deployment", "base_url", "inference_geo", "processing", "region", "speed")
    )


def test_what_the_caller_says_wins_over_what_the_answer_says() -> None:
    answer = read_response(None, {"usage": {"speed": "fast", "inference_geo": "us"}, "cost": "0.1"})
    assert with_served({}, answer) == {"speed": "fast", "inference_geo": "us", "provider_reported": {"cost": "0.1"}}
    said = {"speed": "standard", "provider_reported": {"cost": "0.2"}}
    assert with_served(said, answer) == {**said, "inference_geo": "us"}
    assert with_served(said, read_response(None, {})) == said


USAGE: Final = Usage(
    buckets={"cache_write": 5, "cache_write_1h": 2, "web_search": 9},
    reasoning_tokens=0,
    raw_json='{"a":1}',
    flags=(FLAG_INCOMPLETE, FLAG_TOOL_FEES),
)


@pytest.mark.parametrize(
    ("options", "buckets", "flags"),
    [
        ({}, {"cache_write": 5, "cache_write_1h": 2, "web_search": 9}, USAGE.flags),
        ({"cache_ttl": "24h"}, {"cache_write": 5, "cache_write_1h": 2, "web_search": 9}, USAGE.flags),
        ({"cache_ttl": "1h"}, {"cache_write_1h": 7, "web_search": 9}, USAGE.flags),
        ({"cache_ttl": "5m"}, {"cache_write_5m": 5, "cache_write_1h": 2, "web_search": 9}, USAGE.flags),
        (
            {"tool_calls": {"google_search": 2, "my_tool": 1}, "cache_ttl": "24h"},
            {"cache_write": 5, "cache_write_1h": 2, "web_search": 2, "my_tool": 1},
            (FLAG_INCOMPLETE,),
        ),
        (
            {"tool_calls": {"code_interpreter": 3}, "cache_ttl": "5m"},
            {"cache_write_5m": 5, "cache_write_1h": 2, "web_search": 9, "code_execution": 3},
            (FLAG_INCOMPLETE,),
        ),
    ],
)
def test_options_complete_a_usage_and_change_nothing_else(
    options: dict[str, Any], buckets: dict[str, int], flags: tuple[str, ...]
) -> None:
    assert completed(USAGE, options) == Usage(buckets=buckets, raw_json='{"a":1}', flags=flags)


def test_a_usage_that_was_not_understood_stays_so_and_reasoning_is_kept() -> None:
    odd = Usage(buckets={}, problem="odd")
    assert completed(odd, {"tool_calls": {"t": 1}}).problem == "odd"
    thought = Usage(buckets={"output": 5}, reasoning_tokens=3)
    assert completed(thought, {"tool_calls": {"t": 1}}).reasoning_tokens == 3
    assert completed(thought, {"cache_ttl": "5m"}) is thought


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ({"my tool": 1}, "context.tool_calls: expected names of tools, such as web_search, got 'my tool'"),
        ({7: 1}, "context.tool_calls: expected names of tools, such as web_search, got 7"),
        ({"web_search": -1}, "tool_calls.web_search: expected a whole number of zero or more, got -1"),
    ],
)
def test_a_tool_that_is_none_is_refused(tools: dict[Any, Any], said: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        completed(USAGE, {"tool_calls": tools})
    assert str(refused.value) == said


TOOLS: Final = {
    "code_execution_requests": "code_execution",
    "code_interpreter": "code_execution",
    "code_interpreter_call": "code_execution",
    "file_search_call": "file_search",
    "google_search": "web_search",
    "web_search_call": "web_search",
    "web_search_preview": "web_search",
    "web_search_requests": "web_search",
    "x_search": "x_search",
}


@pytest.mark.parametrize(("tool", "bucket"), TOOLS.items())
def test_a_tool_counts_in_its_bucket_whatever_its_provider_calls_it(tool: str, bucket: str) -> None:
    assert completed(Usage(buckets={}), {"tool_calls": {tool: 2}}).buckets == {bucket: 2}


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        ({}, None),
        ({"is_byok": True}, None),
        ({"cost_in_usd_ticks": 37_756_000}, "0.0037756"),
        ({"cost_in_usd_ticks": 0, "cost": 5}, "0"),
        ({"cost": "0.25"}, "0.25"),
        ({"cost": 0}, "0"),
        ({"cost": 1.5e-06}, "0.0000015"),
        ({"cost": Decimal("0.1")}, "0.1"),
        ({"cost": {"total_cost": 0.005}}, "0.005"),
        ({"cost": {"request_cost": 0.005}, "response_cost": 1}, None),
        ({"cost": 0.1, "cost_details": {"upstream_inference_cost": 0.5}}, "0.1"),
        ({"cost": 0.1, "cost_details": {"upstream_inference_cost": 0.5}, "is_byok": True}, "0.6"),
        ({"cost": 0.1, "cost_details": {"upstream_inference_cost": None}, "is_byok": True}, "0.1"),
        ({"cost": 0.1, "cost_details": "none", "is_byok": True}, "0.1"),
        ({"response_cost": "0.002"}, "0.002"),
        ({"cost": "0.1", "response_cost": "0.002"}, "0.1"),
    ],
)
def test_the_amount_that_a_provider_names(fields: dict[str, Any], amount: str | None) -> None:
    assert reported_amount(fields) == (None if amount is None else Money(amount))


AMOUNT: Final = "expected an amount of zero or more, got"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"cost_in_usd_ticks": 1.5},
            "provider_reported.cost_in_usd_ticks: expected a whole number of zero or more, got 1.5",
        ),
        (
            {"cost_in_usd_ticks": -1},
            "provider_reported.cost_in_usd_ticks: expected a whole number of zero or more, got -1",
        ),
        (
            {"cost_in_usd_ticks": True},
            "provider_reported.cost_in_usd_ticks: expected a whole number of zero or more, got True",
        ),
        ({"cost": -0.1}, f"provider_reported.cost: {AMOUNT} '-0.1'"),
        ({"cost": Decimal("NaN")}, f"provider_reported.cost: {AMOUNT} Decimal('NaN')"),
        ({"cost": {"total_cost": -1}}, f"provider_reported.cost.total_cost: {AMOUNT} '-1'"),
        ({"response_cost": "-1"}, f"provider_reported.response_cost: {AMOUNT} '-1'"),
        (
            {"cost": 1, "is_byok": True, "cost_details": {"upstream_inference_cost": -1}},
            f"provider_reported.cost_details.upstream_inference_cost: {AMOUNT} '-1'",
        ),
    ],
)
def test_a_charge_that_is_no_amount_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        reported_amount(fields)
    assert str(refused.value) == said


@pytest.mark.parametrize("fields", [{"cost": "dear"}, {"cost": True}, {"response_cost": [1]}])
def test_a_charge_that_is_no_number_is_refused_by_its_field(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as refused:
        reported_amount(fields)
    assert refused.value.field == f"provider_reported.{next(iter(fields))}"


PLACES: Final[dict[str, tuple[tuple[str, str], dict[str, str], dict[str, Any]]]] = {
    # provider and model, options of the call: the parts of the route that they decide
    "a batch by its tier": (
        ("anthropic", "m"),
        {"service_tier": "batch", "speed": "fast"},
        {"context": {"speed": "fast", "processing": "batch"}},
    ),
    "another tier": (("anthropic", "m"), {"service_tier": "flex"}, {"context": {"service_tier": "flex"}}),
    "a provider in capitals": ((" OpenAI ", "m"), {}, {"provider": "openai"}),
    "the host's provider": (
        ("openai", "m"),
        {"base_url": "https://api.groq.com/openai/v1"},
        {"provider": "groq", "used": {"base_url": "api.groq.com"}},
    ),
    "an unknown host": (
        ("openai", "m"),
        {"base_url": "https://llm.example"},
        {
            "used": {"base_url": "llm.example"},
            "problem": "nobody is known to bill calls to llm.example at published prices; "
            "add its price to your own rates",
        },
    ),
    "a text that is no host": (
        ("openai", "m"),
        {"base_url": "http://[::1"},
        {
            "used": {"base_url": ""},
            "problem": "nobody is known to bill calls to the base URL at published prices; "
            "add its price to your own rates",
        },
    ),
    "a subscription": (
        ("OpenAI-Codex ", "m"),
        {},
        {
            "problem": "calls through a Codex subscription are not billed at the API's prices; "
            "add yours to your own rates"
        },
    ),
    "a region that is said": (("openai", "m"), {"region": "eu"}, {"context": {"region": "eu"}}),
    "the same region from both": (
        ("openai", "m"),
        {"region": "eu", "base_url": "https://eu.api.openai.com/v1"},
        {"context": {"region": "eu"}, "used": {"base_url": "eu.api.openai.com"}},
    ),
    "two regions": (
        ("aws", "amazon.nova-pro-v1:0"),
        {"region": "us-east-1", "base_url": "https://bedrock-runtime.eu-west-1.amazonaws.com"},
        {
            "context": {"region": "eu-west-1"},
            "used": {"base_url": "bedrock-runtime.eu-west-1.amazonaws.com"},
            "assumptions": ("region=eu-west-1, not us-east-1",),
        },
    ),
    "a profile called from a region": (
        ("aws", "us.anthropic.claude-opus-5"),
        {"region": "us-west-2"},
        {"used": {"region": "us"}},
    ),
    "a profile of another geography": (
        ("aws", "us.anthropic.claude-opus-5"),
        {"region": "apac"},
        {"used": {"region": "us"}, "assumptions": ("region=us, not apac",)},
    ),
    "a hidden model with its region": (
        ("aws", "arn:aws:bedrock:EU-west-1:123456789012:provisioned-model/abc"),
        {},
        {
            "context": {"region": "eu-west-1"},
            "problem": "the ARN of a Bedrock provisioned-model hides the model behind it; name that model "
            "(base_model_id), or add the ARN with its price to your own rates",
        },
    ),
    "a tuned model": (
        ("google", "tunedModels/x"),
        {},
        {"problem": "the name of a tuned model or endpoint hides the model behind it; add its price to your own rates"},
    ),
    "a deployment": (
        ("azure", "chat"),
        {"azure_deployment": "chat"},
        {"used": {"azure_deployment": "chat"}, "assumptions": ("model=chat, by the name of its deployment",)},
    ),
}


@pytest.mark.parametrize(("called", "context", "expected"), PLACES.values(), ids=PLACES)
def test_where_a_call_went(called: tuple[str, str], context: dict[str, str], expected: dict[str, Any]) -> None:
    route = resolve(*called, context)
    assert {
        "provider": route.provider,
        "context": route.context,
        "used": route.used,
        "assumptions": route.assumptions,
        "problem": route.problem,
    } == {
        "provider": PROVIDERS.get(called[0], called[0]),
        "context": {},
        "used": {},
        "assumptions": (),
        "problem": None,
        **expected,
    }


NAMES: Final[dict[tuple[str, str], list[tuple[str, str]]]] = {
    ("google", "MODELS/gemini-x"): [("MODELS/gemini-x", "exact name"), ("gemini-x", "resource name")],
    ("google", "Google/gemini-x"): [("Google/gemini-x", "exact name"), ("gemini-x", "resource name")],
    ("openai", "FT:gpt-4o:org::id"): [("FT:gpt-4o:org::id", "exact name"), ("ft:gpt-4o", "fine-tune of gpt-4o")],
    ("openai", "ft:gpt-4o"): [("ft:gpt-4o", "exact name")],
    ("azure", "gpt-4.1.ft-0a"): [
        ("gpt-4.1.ft-0a", "exact name"),
        ("gpt-4.1.ft-", "fine-tune of gpt-4.1"),
        ("ft:gpt-4.1", "fine-tune of gpt-4.1"),
    ],
    ("azure", "GPT-35-turbo"): [("GPT-35-turbo", "exact name"), ("gpt-3.5-turbo", "Azure's spelling")],
    ("x-ai", "grok-20260101"): [
        ("grok-20260101", "exact name"),
        ("grok-2026-01-01", "compact date"),
        ("grok", "snapshot not listed"),
    ],
    ("aws", "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/m-2026-01-01"): [
        ("arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/m-2026-01-01", "exact name"),
        ("m-2026-01-01", "foundation model"),
        ("m", "snapshot not listed"),
    ],
}


@pytest.mark.parametrize(("called", "names"), NAMES.items(), ids=str)
def test_the_names_under_which_a_price_may_stand(called: tuple[str, str], names: list[tuple[str, str]]) -> None:
    assert list(resolve(*called, {}).names) == names
