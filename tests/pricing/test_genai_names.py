"""A model of the price list is found by every name the list gives it, and by nothing that only looks like one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider

from costtrace.pricing.genai_names import ALSO_CALLED, find, listed_names
from costtrace.pricing.resolution import resolve
from costtrace.pricing.route import assumption

SNAPSHOT = get_snapshot()
BY_ID = {provider.id: provider for provider in SNAPSHOT.providers}

FOUND = [
    # provider, name as served, model of the list, id of the list, rule
    ("openai", "gpt-4o", "gpt-4o", "openai", "exact name"),
    ("openai", "GPT-4O", "gpt-4o", "openai", "exact name"),
    ("openai", "gpt-4o-2024-08-06", "gpt-4o", "openai", "listed name"),
    ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13", "openai", "exact name"),
    ("openai", "gpt-4o-20240513", "gpt-4o-2024-05-13", "openai", "compact date"),
    ("openai", "gpt-4o-2031-01-01", "gpt-4o", "openai", "snapshot not listed"),
    ("openai", "gpt-5.4-20260305", "gpt-5.4", "openai", "compact date"),
    ("openai", "gpt-5.6-sol-2026-07-09", "gpt-5.6-sol", "openai", "listed form"),
    ("openai", "gpt-4o-realtime-preview-2024-12-17", "gpt-4o-realtime-preview", "openai", "listed form"),
    ("openai", "computer-use-preview", "computer-use", "openai", "listed name"),
    ("openai", "ft:gpt-4o-mini-2024-07-18:org::id", "ft:gpt-4o-mini", "openai", "fine-tune of gpt-4o-mini-2024-07-18"),
    ("openai", "ft:gpt-3.5-turbo-0125:org::id", "ft:gpt-3.5-turbo-", "openai", "fine-tune of gpt-3.5-turbo-0125"),
    ("azure_openai", "gpt-4o-2024-08-06-2024-08-06", "gpt-4o", "openai", "doubled date"),
    ("azure", "gpt-35-turbo-1106", "gpt-3.5-turbo-1106", "openai", "Azure's spelling"),
    ("azure", "o4-mini-2025-04-16", "o4-mini", "azure", "listed form"),
    ("azure", "claude-opus-4-5-20251101", "claude-opus-4-5", "anthropic", "listed form"),
    ("anthropic", "claude-opus-4-5-20251101", "claude-opus-4-5", "anthropic", "listed form"),
    ("anthropic", "claude-opus-4-1-20250805", "claude-opus-4-1", "anthropic", "listed form"),
    ("anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet", "anthropic", "listed form"),
    ("anthropic", "claude-opus-4-20250514", "claude-opus-4-0", "anthropic", "listed name"),
    ("anthropic", "claude-2.1", "claude-2", "anthropic", "listed name"),
    ("google_genai", "models/gemini-2.5-flash", "gemini-2.5-flash", "google", "resource name"),
    ("google_genai", "gemini-2.0-flash-001", "gemini-2.0-flash", "google", "listed form"),
    ("google_genai", "gemini-2.5-pro-preview-06-05", "gemini-2.5-pro", "google", "listed form"),
    ("google_genai", "gemini-2.5-pro-preview-tts", "gemini-2.5-pro-tts", "google", "listed name"),
    ("google_genai", "gemma-3-27b-it", "gemma-3", "google", "listed form"),
    ("google_anthropic_vertex", "claude-opus-4-5@20251101", "claude-opus-4-5", "google", "listed form"),
    ("google_anthropic_vertex", "claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet", "google", "listed form"),
    ("google_anthropic_vertex", "claude-sonnet-4@20250514", "claude-4-sonnet", "google", "listed form"),
    ("mistralai", "magistral-medium-2509", "magistral-medium", "mistral", "listed form"),
    ("xai", "grok-4.5-20260101", "grok-4.5", "x-ai", "listed form"),
    ("openrouter", "openai/gpt-4o", "openai/gpt-4o", "openrouter", "exact name"),
    ("openrouter", "deepseek/deepseek-chat:free", "deepseek/deepseek-chat:free", "openrouter", "exact name"),
]

BEDROCK = [
    # id as called, model of the list, rule
    ("global.anthropic.claude-sonnet-4-6", "global.anthropic.claude-sonnet-4-6-v1:0", "listed form"),
    ("us.anthropic.claude-sonnet-4-6", "regional.anthropic.claude-sonnet-4-6-v1:0", "listed form"),
    (
        "jp.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "regional.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "listed form",
    ),
    ("anthropic.claude-sonnet-4-6", "regional.anthropic.claude-sonnet-4-6-v1:0", "bare Bedrock id"),
    ("anthropic.claude-opus-5", "regional.anthropic.claude-opus-5", "bare Bedrock id"),
    ("anthropic.claude-3-haiku-20240307-v1:0", "regional.anthropic.claude-3-haiku-20240307-v1:0", "listed form"),
    ("us.anthropic.claude-opus-4-6-v1", "regional.anthropic.claude-opus-4-6-v1:0", "listed form"),
    ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0", "exact name"),
    ("us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0", "listed form"),
    ("eu.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0", "geography not listed"),
    (
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6",
        "regional.anthropic.claude-sonnet-4-6-v1:0",
        "inference profile",
    ),
    (
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-pro-v1:0",
        "amazon.nova-pro-v1:0",
        "geography not listed",
    ),
    ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0", "foundation model"),
]

NOT_FOUND = [
    ("openai", "gpt-5.4-foo"),
    ("openai", "gpt-9"),
    ("openai", "openai/gpt-4o"),
    ("openai", "claude-opus-5"),
    ("openai", "gpt-4-0614"),
    ("openai", "gpt-5-nano-preview"),
    ("openai", "ft:gpt-4.1-2025-04-14:org::id"),
    ("openai", "ft:gpt-4-0613:org::id"),
    ("openai", "ft:gpt-4o-turbo:org::id"),
    ("azure", "gpt-4o-2024-08-06-2024-11-20"),
    ("azure", "my-deployment"),
    ("anthropic", "claude-sonnet-99"),
    ("anthropic", "claude-opus-4-5-turbo"),
    ("anthropic", "claude-opus-4-6-fast"),
    ("anthropic", "claude-opus-4-5-20251399"),
    ("anthropic", "anthropic.claude-opus-5"),
    ("google_genai", "gemini-2.5-flash-xyz"),
    ("google_genai", "gemini-1.5-flash-8b"),
    ("google_genai", "gemini-2.5-pro-exp-03-25"),
    ("google_genai", "gemini-2.5-pro-preview-13-45"),
    ("google_genai", "my-claude-opus-4-5"),
    ("deepseek", "deepseek-v4-flash-mini"),
    ("mistral", "magistral-medium-2513"),
    ("aws", "amazon.nova-pro-v2:0"),
    ("aws", "x-amazon.nova-pro-v1:0"),
    ("aws", "us-gov.amazon.nova-pro-v1:0"),
    ("aws", "us-gov.anthropic.claude-sonnet-4-6"),
    ("aws", "global.anthropic.claude-3-haiku-20240307-v1:0"),
    ("aws", "zz.anthropic.claude-sonnet-4-6"),
    ("aws", "us.anthropic.claude-sonnet-4-5"),
    ("openrouter", "openai/gpt-4o:nitro"),
    ("openrouter", "openai/gpt-4o:online"),
    ("openrouter", "openrouter/gpt-4o"),
    ("azure_openai_of_mine", "gpt-4o"),
    ("my-openai", "gpt-4o"),
    ("ollama", "llama3"),
]


def found(provider: str, model: str) -> tuple[str, str, str] | None:
    route = resolve(provider, model, {})
    match = find(SNAPSHOT, route.provider, route.names)
    return match and (match[0].id, match[1], match[2])


@pytest.mark.parametrize(("provider", "name", "model", "owner", "rule"), FOUND)
def test_names_as_providers_serve_them(provider: str, name: str, model: str, owner: str, rule: str) -> None:
    assert found(provider, name) == (model, owner, rule)


@pytest.mark.parametrize(("name", "model", "rule"), BEDROCK)
def test_ids_and_profiles_of_bedrock(name: str, model: str, rule: str) -> None:
    assert found("amazon_bedrock", name) == (model, "aws", rule)


@pytest.mark.parametrize(("provider", "name"), NOT_FOUND)
def test_a_name_that_merely_looks_like_a_known_one_is_unknown(provider: str, name: str) -> None:
    assert found(provider, name) is None


def test_a_rule_that_assumes_something_says_what() -> None:
    assert assumption("gpt-4o", "snapshot not listed") == "model=gpt-4o, snapshot not listed"
    assert assumption("amazon.nova-pro-v1:0", "geography not listed") == "region=us, geography not listed"
    assert assumption("gpt-4o", "exact name") is None
    assert assumption("claude-opus-4-5", "listed form") is None


@pytest.mark.parametrize("provider", BY_ID.values(), ids=lambda provider: provider.id)
def test_every_model_is_found_by_its_id_and_by_all_names_the_list_gives_it(provider: Provider) -> None:
    missed = [
        (info.id, name)
        for info in provider.models
        for name in listed_names(info)
        # GovCloud has prices of its own, which the list does not have.
        if not name.startswith("us-gov.")
        and not _is(find(SNAPSHOT, provider.id, [(name, "exact name")]), info, provider)
    ]
    assert missed == []


@pytest.mark.parametrize("provider", BY_ID.values(), ids=lambda provider: provider.id)
def test_no_model_is_found_by_a_name_that_was_changed(provider: Provider) -> None:
    """Unless the list itself knows that name, or what is left of it without its date: gpt-5.4 is no changed gpt-5.1."""
    known = _known(provider)
    wrong = [
        (name, match[0].id)
        for info in provider.models
        for listed in sorted(listed_names(info))
        if "ft:" not in listed and ".ft-" not in listed
        for name in _changed(listed)
        if known.isdisjoint(names := dict(resolve(provider.id, name, {}).names))
        and (match := find(SNAPSHOT, provider.id, names.items()))
    ]
    assert wrong == []


def test_a_fine_tune_is_never_priced_as_its_base() -> None:
    for listed in sorted({name for info in BY_ID["openai"].models for name in listed_names(info)}):
        if not listed.startswith("ft:"):
            for provider in ("openai", "azure"):
                match = found(provider, f"ft:{listed}:org::id")
                assert match is None or "ft" in match[0], listed


def test_names_the_list_knows_only_in_part_belong_to_models_it_has() -> None:
    for provider, names in ALSO_CALLED.items():
        assert set(names.values()) <= {info.id for info in BY_ID[provider].models}


def test_the_letter_case_of_a_name_makes_no_difference() -> None:
    for info in BY_ID["together"].models:
        assert _is(find(SNAPSHOT, "Together", [(info.id.upper(), "exact name")]), info, BY_ID["together"])


def test_a_list_that_was_changed_is_searched_anew() -> None:
    """Another snapshot of the list has other providers; what was learnt of the first does not answer for them."""
    openai = BY_ID["openai"]
    smaller = Provider(id="openai", name="OpenAI", api_pattern="", models=openai.models[:1])
    snapshot = type(SNAPSHOT)(providers=[smaller], from_auto_update=False)
    assert find(SNAPSHOT, "openai", [("gpt-4o", "exact name")]) is not None
    assert find(snapshot, "openai", [("gpt-4o", "exact name")]) is None
    assert find(snapshot, "openai", [("ada", "exact name")]) == (openai.models[0], "openai", "exact name")


def _is(match: tuple[ModelInfo, str, str] | None, info: ModelInfo, provider: Provider) -> bool:
    return match is not None and match[0] is info and match[1] == provider.id


def _changed(name: str) -> Iterator[str]:
    yield f"x-{name}"
    for end in ("-foo", "-mini", "-9", "x", ":foo"):
        yield f"{name}{end}"
    # A changed digit of a date is another snapshot, not another model.
    undated = re.sub(r"\d{4}-\d{2}-\d{2}|\d{8}|\d{2}-\d{4}|-preview-\d{2}-\d{2}", lambda date: "_" * len(date[0]), name)
    for digit in re.finditer(r"\d", undated):
        yield f"{name[: digit.start()]}{(int(digit[0]) + 7) % 10}{name[digit.end() :]}"


def _known(provider: Provider) -> set[str]:
    """Names in full of the provider and those whose models it sells, and the beginnings that a clause spells out."""
    sources = (provider, *(BY_ID[owner] for owner in provider.fallback_model_providers or ()))
    return {name for source in sources for info in source.models for name in (*listed_names(info), *_beginnings(info))}


def _beginnings(info: ModelInfo) -> Iterator[str]:
    yield from re.findall(r"(?:starts_with|contains|ends_with)='([^']+)'", repr(info.match).lower())
