"""Where a call went, from what its client says: the provider that bills it, the names of its model, its region."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.pricing.endpoints import endpoint
from costtrace.pricing.resolution import PROVIDERS, resolve
from costtrace.pricing.route import Route

WORDS = {
    "amazon_bedrock": "aws",
    "amazon_bedrock_converse_chat": "aws",
    "anthropic": "anthropic",
    "anthropic-bedrock": "aws",
    "anthropic-chat": "anthropic",
    "anthropic-mantle": "aws",
    "anthropicvertex": "google",
    "azure": "azure",
    "azure-openai-chat": "azure",
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "chat-deepseek": "deepseek",
    "chat-google-generative-ai": "google",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "fireworks": "fireworks",
    "google_anthropic_vertex": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "groq": "groq",
    "mistral": "mistral",
    "mistralai": "mistral",
    "OpenAI": "openai",
    "openai-mantle": "aws",
    "openrouter": "openrouter",
    "perplexity": "perplexity",
    "together": "together",
    "xai": "x-ai",
    "x-ai": "x-ai",
}
"""What LangChain's integrations call a provider, and whose prices those are."""

HOSTS = {
    "https://api.openai.com/v1": ("openai", None),
    "https://API.OpenAI.com:443/v1": ("openai", None),
    "api.openai.com/v1": ("openai", None),
    "https://api.openai.com./v1": ("openai", None),
    "https://eu.api.openai.com/v1": ("openai", "eu"),
    "https://us.api.openai.com/v1": ("openai", "us"),
    "https://api.anthropic.com": ("anthropic", None),
    "https://openrouter.ai/api/v1": ("openrouter", None),
    "https://api.x.ai/v1": ("x-ai", None),
    "https://us-east-1.api.x.ai/v1": ("x-ai", "us-east-1"),
    "https://api.deepseek.com/beta": ("deepseek", None),
    "https://api.groq.com/openai/v1": ("groq", None),
    "https://my-resource.openai.azure.com/": ("azure", None),
    "https://my-resource.services.ai.azure.com/models": ("azure", None),
    "https://bedrock-runtime.us-west-2.amazonaws.com": ("aws", "us-west-2"),
    "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com": ("aws", "us-gov-west-1"),
    "https://bedrock-mantle.eu-central-1.api.aws/v1": ("aws", "eu-central-1"),
    "https://vpce-0a1-b2c.bedrock-runtime.us-east-1.vpce.amazonaws.com": ("aws", "us-east-1"),
    "https://generativelanguage.googleapis.com": ("google", None),
    "https://us-east5-aiplatform.googleapis.com": ("google", "us-east5"),
    "https://aiplatform.eu.rep.googleapis.com": ("google", "eu"),
}

STRANGERS = [
    "http://localhost:8000/v1",
    "http://127.0.0.1:11434",
    "https://api.openai.com.example.net/v1",
    "https://api.openai.com@example.net/v1",
    "https://example.net/api.openai.com",
    "https://example.net\\@api.openai.com",
    "https://xapi.openai.com/v1",
    "https://evil-openrouter.ai/api/v1",
    "https://openai.azure.com.example.net",
    "https://bedrock-runtime.us-east-1.amazonaws.com.cn",
    "https://storage.googleapis.com",
    "https://gateway.smith.langchain.com",
    "http://[::1",
    "not a url at all",
]


def names(provider: str, model: str) -> list[str]:
    return [name for name, _ in resolve(provider, model, {}).names]


def rules(provider: str, model: str) -> dict[str, str]:
    return dict(resolve(provider, model, {}).names)


@pytest.mark.parametrize(("word", "provider"), WORDS.items())
def test_every_word_for_a_provider_leads_to_whose_prices_it_pays(word: str, provider: str) -> None:
    assert resolve(word, "m", {}).provider == provider


def test_a_word_that_is_not_known_stands_for_itself() -> None:
    """Price lists know no such provider; the caller's own rates may, by the word they use for it."""
    for word in ("ollama", "vllm", "My-Own-Host", "amazon_sagemaker_chat", "openai-compatible", "litellm"):
        assert resolve(word, "m", {}).provider == word


def test_the_map_of_providers_is_idempotent() -> None:
    assert {PROVIDERS.get(provider) for provider in PROVIDERS.values()} <= {*PROVIDERS.values(), None}


def test_a_subscription_is_not_billed_at_the_prices_of_the_api() -> None:
    route = resolve("openai-codex", "gpt-5.4", {})
    assert route.provider == "openai-codex"
    assert route.problem is not None
    assert "subscription" in route.problem


@pytest.mark.parametrize(("base_url", "expected"), HOSTS.items())
def test_the_host_says_who_bills_the_call(base_url: str, expected: tuple[str, str | None]) -> None:
    route = resolve("openai", "m", {"base_url": base_url})
    assert (route.provider, route.context.get("region")) == expected
    assert route.problem is None
    assert "base_url" not in route.context


@pytest.mark.parametrize("base_url", STRANGERS)
def test_behind_an_unknown_host_no_price_list_holds(base_url: str) -> None:
    route = resolve("openai", "gpt-4o", {"base_url": base_url})
    assert endpoint(base_url).provider is None
    assert route.provider == "openai"
    assert route.problem is not None
    assert "own rates" in route.problem


def test_credentials_in_a_base_url_are_not_kept() -> None:
    route = resolve("openai", "m", {"base_url": "https://user:secret-1@proxy.example.net/v1?key=secret-2"})
    assert route.used == {"base_url": "proxy.example.net"}
    assert "secret" not in repr(route)


def test_what_does_not_say_where_the_call_went_passes_through() -> None:
    given = {"service_tier": "flex", "processing": "batch", "inference_geo": "us", "speed": "fast", "region": "eu"}
    route = resolve("anthropic", "claude-opus-5", given)
    assert route.context == given
    assert not route.used


def test_the_whole_route_of_a_call() -> None:
    given = {"base_url": "https://eu.api.openai.com/v1", "service_tier": "flex"}
    assert resolve("openai", "gpt-5.4-20260305", given) == Route(
        provider="openai",
        names=(
            ("gpt-5.4-20260305", "exact name"),
            ("gpt-5.4-2026-03-05", "compact date"),
            ("gpt-5.4", "snapshot not listed"),
        ),
        asked_provider="openai",
        asked_model="gpt-5.4-20260305",
        context={"service_tier": "flex", "region": "eu"},
        used={"base_url": "eu.api.openai.com"},
    )


def test_a_region_that_the_host_contradicts_is_an_assumption() -> None:
    route = resolve("openai", "gpt-4o", {"base_url": "https://eu.api.openai.com", "region": "us"})
    assert route.context == {"region": "eu"}
    assert route.assumptions == ("region=eu, not us",)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-4o", ["gpt-4o"]),
        ("gpt-4o-2024-08-06", ["gpt-4o-2024-08-06", "gpt-4o"]),
        ("gpt-4o-20240806", ["gpt-4o-20240806", "gpt-4o-2024-08-06", "gpt-4o"]),
        ("gpt-4o-2024-08-06-2024-08-06", ["gpt-4o-2024-08-06-2024-08-06", "gpt-4o-2024-08-06", "gpt-4o"]),
        ("gpt-4o-2024-08-06-20240806", ["gpt-4o-2024-08-06-20240806", "gpt-4o-2024-08-06", "gpt-4o"]),
        ("gpt-4o-2024-08-06-2024-11-20", ["gpt-4o-2024-08-06-2024-11-20"]),
        ("gpt-4o-2024-13-45", ["gpt-4o-2024-13-45"]),
        ("gpt-4-0613", ["gpt-4-0613"]),
        ("gpt-35-turbo-1106", ["gpt-35-turbo-1106", "gpt-3.5-turbo-1106"]),
        ("openai/gpt-4o", ["openai/gpt-4o"]),
        ("ft:gpt-4.1-2025-04-14:org::id", ["ft:gpt-4.1-2025-04-14:org::id", "ft:gpt-4.1-2025-04-14", "ft:gpt-4.1"]),
        ("ft:gpt-4o-mini:org:name:id:ckpt-step-80", ["ft:gpt-4o-mini:org:name:id:ckpt-step-80", "ft:gpt-4o-mini"]),
        (
            "ft:gpt-3.5-turbo-0125:org::id",
            ["ft:gpt-3.5-turbo-0125:org::id", "ft:gpt-3.5-turbo-0125", "ft:gpt-3.5-turbo"],
        ),
        (
            "gpt-4.1-2025-04-14.ft-0a1b",
            ["gpt-4.1-2025-04-14.ft-0a1b", "gpt-4.1-2025-04-14.ft-", "ft:gpt-4.1-2025-04-14", "ft:gpt-4.1"],
        ),
    ],
)
def test_names_of_openai_models(model: str, expected: list[str]) -> None:
    """On Azure they are the same models under the same names."""
    assert names("openai", model) == expected
    assert names("azure_openai", model) == expected


def test_each_name_says_which_rule_made_it() -> None:
    assert rules("azure", "gpt-4o-2024-08-06-2024-08-06")["gpt-4o-2024-08-06"] == "doubled date"
    assert rules("openai", "ft:gpt-4.1:org::id")["ft:gpt-4.1"] == "fine-tune of gpt-4.1"
    assert rules("google_genai", "models/gemini-2.5-flash")["gemini-2.5-flash"] == "resource name"


def test_names_that_mean_the_very_model_are_told_from_those_that_are_assumed() -> None:
    route = resolve("openai", "gpt-4o-20240513", {})
    assert route.certain_names == ("gpt-4o-20240513", "gpt-4o-2024-05-13")


@pytest.mark.parametrize(
    "model",
    [
        "models/gemini-2.5-flash",
        "publishers/google/models/gemini-2.5-flash",
        "projects/p-1/locations/us-central1/publishers/google/models/gemini-2.5-flash",
        "google/gemini-2.5-flash",
    ],
)
def test_a_resource_name_of_google_contains_the_model(model: str) -> None:
    assert names("google_vertexai", model) == [model, "gemini-2.5-flash"]


def test_a_resource_name_of_google_contains_the_region() -> None:
    model = "projects/p-1/locations/us-east5/publishers/anthropic/models/claude-opus-4-5@20251101"
    route = resolve("google_anthropic_vertex", model, {})
    assert route.context == {"region": "us-east5"}
    assert route.names[1] == ("claude-opus-4-5@20251101", "resource name")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("google_genai", "tunedModels/my-model"),
        ("google_vertexai", "projects/p-1/locations/us-central1/endpoints/123"),
        ("amazon_bedrock", "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"),
        ("amazon_bedrock", "arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc"),
        ("amazon_bedrock", "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-pro-v1:0/abc"),
    ],
)
def test_a_resource_that_hides_its_model_has_a_problem_and_a_way_out(provider: str, model: str) -> None:
    route = resolve(provider, model, {})
    assert route.names == ((model, "exact name"),)
    assert route.problem is not None
    assert "hides the model" in route.problem
    assert "own rates" in route.problem


def test_an_inference_profile_carries_the_geography_that_is_billed() -> None:
    """Wherever in the geography the call began."""
    model = "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.anthropic.claude-opus-4-6-v1"
    route = resolve("bedrock_converse", model, {"region": "us-west-2", "service_tier": "priority"})
    assert route.names == ((model, "exact name"), ("us.anthropic.claude-opus-4-6-v1", "inference profile"))
    assert route.context == {"service_tier": "priority"}
    assert route.used == {"region": "us"}
    assert route.assumptions == ()


@pytest.mark.parametrize("geography", ["us", "eu", "apac", "jp", "au", "global", "us-gov"])
def test_every_geography_of_a_profile_is_known(geography: str) -> None:
    assert resolve("anthropic-bedrock", f"{geography}.anthropic.claude-opus-5", {}).used == {"region": geography}


def test_a_geography_that_the_profile_contradicts_is_an_assumption() -> None:
    assert resolve("aws", "us.anthropic.claude-opus-5", {"region": "eu"}).assumptions == ("region=us, not eu",)


def test_a_foundation_model_is_called_in_the_region_of_its_arn() -> None:
    route = resolve("bedrock", "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-pro-v1:0", {})
    assert route.context == {"region": "eu-west-1"}
    assert route.names[1] == ("amazon.nova-pro-v1:0", "foundation model")


def test_the_name_of_a_deployment_is_no_evidence_of_its_model() -> None:
    served = resolve("azure", "gpt-4o-2024-08-06", {"azure_deployment": "chat"})
    assert served.used == {"azure_deployment": "chat"}
    assert served.assumptions == ()
    unknown = resolve("azure", "gpt-4o", {"azure_deployment": "gpt-4o"})
    assert unknown.assumptions == ("model=gpt-4o, by the name of its deployment",)


@pytest.mark.parametrize("variant", ["free", "nitro", "online", "floor", "batch"])
def test_a_variant_at_openrouter_is_never_taken_for_its_base(variant: str) -> None:
    assert names("openrouter", f"openai/gpt-4o:{variant}") == [f"openai/gpt-4o:{variant}"]


TEXT = st.text(max_size=60)
PARTS = st.sampled_from(
    [
        "ft:",
        "gpt-4o",
        "-2024-08-06",
        "-20240806",
        "arn:aws:bedrock:us-east-1::",
        "us.",
        "models/",
        "foundation-model/",
        ":",
    ]
)


@given(
    provider=st.sampled_from(["openai", "azure", "aws", "google", "openrouter"]) | TEXT,
    model=st.lists(PARTS | TEXT, min_size=1, max_size=6).map("".join),
    context=st.dictionaries(st.sampled_from(["base_url", "region", "service_tier", "azure_deployment"]), TEXT),
)
def test_anything_has_a_route_that_begins_with_the_name_as_asked(
    provider: str, model: str, context: dict[str, str]
) -> None:
    route = resolve(provider, model, context)
    assert route.names[0] == (model, "exact name")
    assert len({name for name, _ in route.names}) == len(route.names)
    assert (route.asked_provider, route.asked_model) == (provider, model)
    assert "base_url" not in route.context


@given(host=st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True), known=st.sampled_from(sorted(HOSTS)))
def test_a_known_host_within_another_is_not_that_host(host: str, known: str) -> None:
    inner = endpoint(known).host
    assert endpoint(f"https://{inner}.{host}x/v1").provider is None
