"""What an answer says beyond its tokens, read from the plain mappings that each integration makes of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.responses import read_response, text
from costtrace.usage import DIRECTIONS, FLAG_CACHE_HIT, FLAG_DETAILS_LOST, FLAG_INCOMPLETE, FLAG_TOOL_FEES
from tests.strategies import JSON_SCALARS, SMALL_COUNTS

TOTALS = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}


def buckets(content: object = None, raw: dict[str, Any] | None = None, **metadata: Any) -> dict[str, int]:
    """The buckets that count no tokens."""
    if raw is not None:
        metadata["token_usage"] = raw
    usage = read_response(TOTALS, metadata, content=content).usage
    assert usage is not None
    return {bucket: count for bucket, count in usage.buckets.items() if bucket not in DIRECTIONS}


def flags(content: object = None, provider: str | None = None, **metadata: Any) -> tuple[str, ...]:
    usage = read_response(TOTALS, metadata, content=content, provider=provider).usage
    assert usage is not None
    return usage.flags


def test_a_plain_answer() -> None:
    response = read_response(TOTALS, {"model_name": "gpt-4o", "model_provider": "openai", "service_tier": "flex"})
    assert response.usage is not None
    assert response.usage.buckets == {"input": 100, "output": 20}
    assert (response.provider, response.model, response.service_tier) == ("openai", "gpt-4o", "flex")
    assert (dict(response.context), dict(response.reported)) == ({}, {})


def test_an_answer_that_reports_nothing() -> None:
    response = read_response(None, {})
    assert (response.usage, response.provider, response.model, response.service_tier) == (None, None, None, None)


@pytest.mark.parametrize(
    ("metadata", "output", "tier"),
    [
        ({"service_tier": "priority"}, {}, "priority"),
        ({"serviceTier": {"type": "flex"}}, {}, "flex"),
        ({}, {"service_tier": "scale"}, "scale"),
        ({"usage": {"service_tier": "batch"}}, {}, "batch"),
        ({"service_tier": 7.5}, {}, None),
        ({"usage_metadata": {"traffic_type": "ON_DEMAND"}}, {}, "on_demand"),
        ({"usage_metadata": {"traffic_type": "ON_DEMAND_FLEX"}}, {}, "flex"),
        ({"usage_metadata": {"traffic_type": "ON_DEMAND_PRIORITY"}}, {}, "priority"),
        ({"usage_metadata": {"traffic_type": "TRAFFIC_TYPE_UNSPECIFIED"}}, {}, None),
        ({"usage_metadata": {"traffic_type": "PROVISIONED_THROUGHPUT"}}, {}, "provisioned_throughput"),
        ({"usage_metadata": {"traffic_type": 7}}, {}, None),
        ({"service_tier": "flex", "usage_metadata": {"traffic_type": "ON_DEMAND"}}, {}, "flex"),
    ],
)
def test_each_place_of_the_served_tier(metadata: dict[str, Any], output: dict[str, Any], tier: str | None) -> None:
    assert read_response(TOTALS, metadata, llm_output=output).service_tier == tier


def test_an_inference_profile_of_amazons_names_the_model_and_its_geography() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-6"
    metadata = {"model_name": "anthropic.claude-sonnet-4-6", "inference_profile_id": arn}
    assert read_response(TOTALS, metadata).model == "eu.anthropic.claude-sonnet-4-6"
    own = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    assert read_response(TOTALS, {**metadata, "inference_profile_id": own}).model == "anthropic.claude-sonnet-4-6"


@pytest.mark.parametrize(
    ("metadata", "reported"),
    [
        ({"token_usage": {"cost_in_usd_ticks": 12}}, {"cost_in_usd_ticks": 12}),
        ({"token_usage": {"cost": "0.1", "is_byok": True}}, {"cost": "0.1", "is_byok": True}),
        (
            {"cost": 0, "cost_details": {"upstream_inference_cost": 1}},
            {"cost": 0, "cost_details": {"upstream_inference_cost": 1}},
        ),
        ({"_hidden_params": {"response_cost": "0.002"}}, {"response_cost": "0.002"}),
        ({"headers": {"x-litellm-response-cost": "0.003"}}, {"response_cost": "0.003"}),
    ],
)
def test_what_the_provider_says_it_charged(metadata: dict[str, Any], reported: dict[str, Any]) -> None:
    assert read_response(TOTALS, metadata).reported == reported


def test_an_answer_from_langchains_cache_repeats_what_was_charged_once() -> None:
    response = read_response({**TOTALS, "total_cost": 0}, {"cost": "0.1"}, content=[{"type": "web_search_call"}])
    assert response.usage is not None
    assert (dict(response.usage.buckets), response.usage.flags) == ({}, (FLAG_CACHE_HIT,))
    assert response.reported == {}


def test_speed_and_place_as_anthropic_served_them() -> None:
    response = read_response(TOTALS, {"usage": {"speed": "fast", "inference_geo": "us"}})
    assert response.context == {"speed": "fast", "inference_geo": "us"}


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "server_tool_use", "name": name, **more}


@pytest.mark.parametrize(
    ("content", "counted"),
    [
        ([{"type": "web_search_call"}, {"type": "web_search_call", "action": {"type": "search"}}], {"web_search": 2}),
        ([{"type": "web_search_call", "action": {"type": "open_page"}}], {}),
        ([{"type": "file_search_call"}, {"type": "code_interpreter_call"}], {"file_search": 1, "code_execution": 1}),
        ([named("web_search"), named("web_fetch"), named("tool_search_tool_regex")], {"web_search": 1}),
        ([named("bash_code_execution"), named("code_execution")], {"code_execution": 2}),
        ([{"type": "server_tool_call", "name": "code_interpreter"}], {"code_execution": 1}),
        ([{"type": "server_tool_call", "name": "web_search", "args": {"type": "find_in_page"}}], {}),
        ([{"type": "custom_tool_call", "name": "x_keyword_search"}], {"x_search": 1}),
        ([{"type": "custom_tool_call", "name": "my_own"}, {"type": "tool_use", "name": "web_search"}], {}),
        ("web_search_call", {}),
        ([None, 7, "web_search_call", {"type": ["web_search_call"]}, named(["web_search"])], {}),  # type: ignore[arg-type]  # odd on purpose
    ],
)
def test_the_calls_that_the_blocks_show(content: object, counted: dict[str, int]) -> None:
    assert buckets(content) == counted


def test_a_search_that_failed_is_not_billed() -> None:
    error = {"type": "web_search_tool_result", "tool_use_id": "a", "content": {"error_code": "unavailable"}}
    assert buckets([named("web_search", id="a"), named("web_search", id="b"), error]) == {"web_search": 1}


@pytest.mark.parametrize(
    ("raw", "counted"),
    [
        ({"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 9}}, {"web_search": 3}),
        ({"server_tool_use": {"tool_calls_requested": 4, "web_search_requests": 2}}, {"web_search": 2}),
        ({"num_search_queries": 5}, {"web_search": 5}),
        ({"num_sources_used": 7}, {"search_sources": 7}),
        (
            {"server_side_tool_usage": {"x_search_calls": 2, "document_search_calls": 1}},
            {"x_search": 2, "file_search": 1},
        ),
        ({"server_tool_use": {"web_search_requests": -1}, "num_sources_used": True, "num_search_queries": "3"}, {}),
    ],
)
def test_the_calls_that_the_provider_counts_itself(raw: dict[str, Any], counted: dict[str, int]) -> None:
    assert buckets(raw={"prompt_tokens": 100, **raw}) == counted


def test_the_providers_count_wins_over_the_blocks() -> None:
    raw = {"server_tool_use": {"web_search_requests": 1}}
    assert buckets([named("web_search"), named("web_search")], raw=raw) == {"web_search": 1}


@pytest.mark.parametrize(
    ("model", "counted"),
    [("gemini-2.5-flash", 1), ("models/gemini-2.0-flash", 1), ("gemini-3.1-pro-preview", 2), (None, 2)],
)
def test_google_bills_queries_and_before_gemini_3_the_prompt(model: str | None, counted: int) -> None:
    grounding = {"web_search_queries": ["a", "", "b"]}
    assert buckets(model_name=model, grounding_metadata=grounding) == {"web_search": counted}


@pytest.mark.parametrize(
    ("said", "flag"),
    [
        ({"content": [{"type": "image_generation_call"}]}, FLAG_TOOL_FEES),
        ({"content": [named("a_tool_of_next_year")]}, FLAG_TOOL_FEES),
        ({"content": [named("advisor")]}, FLAG_INCOMPLETE),
        ({"content": [{"type": "compaction"}]}, FLAG_INCOMPLETE),
        ({"grounding_metadata": {"retrieval_queries": ["a"]}}, FLAG_TOOL_FEES),
        ({"grounding_metadata": {"grounding_chunks": [{"maps": {"uri": "x"}}]}}, FLAG_TOOL_FEES),
        ({"provider": "mistral"}, FLAG_DETAILS_LOST),
    ],
)
def test_what_cannot_be_counted_is_flagged(said: dict[str, Any], flag: str) -> None:
    assert flags(**said) == (flag,)


def test_no_tokens_at_all_is_no_answer_for_free() -> None:
    usage = read_response({"input_tokens": 0, "output_tokens": 0}, {}, content=[{"type": "web_search_call"}]).usage
    assert usage is not None
    assert (dict(usage.buckets), usage.flags) == ({"web_search": 1}, (FLAG_INCOMPLETE,))


def test_an_answer_that_broke_off_is_incomplete() -> None:
    usage = read_response(TOTALS, {}, incomplete=True).usage
    assert usage is not None
    assert usage.flags == (FLAG_INCOMPLETE,)


@pytest.mark.parametrize(
    ("metadata", "output", "model"),
    [
        ({"model_name": "a", "model": "b"}, {"model_name": "c", "model": "d"}, "a"),
        ({"model": "b"}, {"model_name": "c", "model": "d"}, "b"),
        ({}, {"model_name": "c", "model": "d"}, "c"),
        ({}, {"model": "d"}, "d"),
        ({"model_name": ""}, {}, None),
        ({"model_name": "a", "inference_profile_id": "eu.b"}, {}, "eu.b"),
        ({"inference_profile_id": "arn:aws:bedrock:us-east-1:1:inference-profile/x/eu.b"}, {}, "eu.b"),
    ],
)
def test_each_place_of_the_served_model(metadata: dict[str, Any], output: dict[str, Any], model: str | None) -> None:
    assert read_response(TOTALS, metadata, llm_output=output).model == model


@pytest.mark.parametrize(
    ("metadata", "output", "provider"),
    [
        ({"model_provider": "a"}, {"model_provider": "b"}, "a"),
        ({}, {"model_provider": "b"}, "b"),
        ({"model_provider": ["a"]}, {}, None),
    ],
)
def test_each_place_of_the_provider(metadata: dict[str, Any], output: dict[str, Any], provider: str | None) -> None:
    assert read_response(None, metadata, llm_output=output).provider == provider


RAW_USAGE: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}


@pytest.mark.parametrize(
    ("metadata", "output"),
    [
        ({"token_usage": RAW_USAGE}, {}),
        ({"token_usage": {}, "usage": RAW_USAGE}, {}),
        ({"usage": "none", "usage_metadata": RAW_USAGE}, {}),
        ({}, {"token_usage": RAW_USAGE}),
        ({"usage": RAW_USAGE}, {"token_usage": {"prompt_tokens": 99, "completion_tokens": 9}}),
    ],
)
def test_each_place_of_the_raw_usage(metadata: dict[str, Any], output: dict[str, Any]) -> None:
    usage = read_response(None, metadata, llm_output=output).usage
    assert usage is not None
    assert (dict(usage.buckets), usage.flags) == ({"input": 7, "output": 2}, ())
    assert usage.raw == {"token_usage": RAW_USAGE}


def test_a_raw_usage_that_counts_no_tokens_is_none() -> None:
    assert read_response(None, {"token_usage": {"seconds": 3}}).usage is None
    empty = read_response(None, {"token_usage": {"prompt_tokens": 0, "completion_tokens": 0}}, incomplete=True).usage
    assert empty is not None
    assert (dict(empty.buckets), empty.flags) == ({}, (FLAG_INCOMPLETE,))


def test_the_provider_decides_how_its_numbers_are_read() -> None:
    """LangChain's word for it, or where that is missing the answer's; Vertex leaves the thinking out of the output."""
    thought = {**TOTALS, "total_tokens": 149, "output_token_details": {"reasoning": 30}}
    raw = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 149}
    raw_thought = {**raw, "completion_tokens_details": {"reasoning_tokens": 30}}
    for metadata, provider in (({}, "google_vertexai"), ({"model_provider": "google_vertexai"}, None)):
        usage = read_response(thought, metadata, provider=provider).usage
        assert usage is not None
        assert (usage.output_tokens, usage.reasoning_tokens) == (50, 30)
        usage = read_response(None, {**metadata, "token_usage": raw_thought}, provider=provider).usage
        assert usage is not None
        assert (usage.output_tokens, usage.reasoning_tokens) == (50, 30)
    usage = read_response(thought, {"model_provider": "google_vertexai"}, provider="openai").usage
    assert usage is not None
    assert usage.output_tokens == 20


@pytest.mark.parametrize("provider", ["mistral", "mistralai"])
def test_a_stream_of_mistrals_has_lost_how_much_was_cached(provider: str) -> None:
    assert flags(provider=provider) == (FLAG_DETAILS_LOST,)
    assert flags(provider=provider, token_usage={"prompt_tokens": 100}) == ()
    assert flags(provider="openai") == ()


def test_tools_of_a_raw_usage_are_counted_with_it() -> None:
    raw = {**RAW_USAGE, "server_tool_use": {"web_search_requests": 2}}
    usage = read_response(None, {"token_usage": raw}, content=[{"type": "image_generation_call"}]).usage
    assert usage is not None
    assert dict(usage.buckets) == {"input": 7, "output": 2, "web_search": 2, "image_generation": 1}
    assert usage.flags == (FLAG_TOOL_FEES,)


def test_a_compaction_that_the_raw_usage_tells_is_complete() -> None:
    block = [{"type": "text"}, {"type": "compaction"}]
    assert flags(block) == (FLAG_INCOMPLETE,)
    assert flags(block, token_usage={"prompt_tokens": 100}) == ()
    assert flags([{"type": "text"}, "compaction"]) == ()


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a", "a"),
        ("x" * 512, "x" * 512),
        ("x" * 513, "x" * 512),
        ("é" * 600, "é" * 512),
        ("a\ud800", "a?"),
        (7, "7"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("", None),
        (True, None),
        (7.5, None),
        (None, None),
        (["a"], None),
    ],
)
def test_what_an_entry_can_hold_of_a_text(value: object, kept: str | None) -> None:
    assert text(value) == kept


def test_of_several_reported_charges_the_answers_own_field_stands() -> None:
    raw, metadata = {"cost": "0.1", "cost_details": {"a": 1}}, {"cost": "0.2"}
    response = read_response(TOTALS, {"token_usage": raw, **metadata}, llm_output={"cost": "0.3", "is_byok": False})
    assert response.reported == {"cost": "0.2", "cost_details": {"a": 1}, "is_byok": False}
    hidden = {"_hidden_params": {"response_cost": "0.4"}, "headers": {"x-litellm-response-cost": "0.5"}}
    assert read_response(TOTALS, hidden).reported == {"response_cost": "0.4"}
    assert read_response(TOTALS, {**hidden, "response_cost": "0.6"}).reported == {"response_cost": "0.6"}
    assert read_response(TOTALS, {"_hidden_params": {"response_cost": None}, "headers": "x"}).reported == {}
    assert read_response(None, {"cost": 0}).reported == {"cost": 0}


def test_speed_alone_and_place_alone() -> None:
    assert read_response(TOTALS, {"usage": {"speed": "fast"}}).context == {"speed": "fast"}
    assert read_response(TOTALS, {"usage": {"inference_geo": "us"}}).context == {"inference_geo": "us"}
    assert read_response(TOTALS, {"speed": "fast"}).context == {}


@pytest.mark.parametrize(
    ("content", "counted", "flagged"),
    [
        ([{"type": 7}, {"type": "web_search_call"}, {}, {"type": "file_search_call"}],
         {"web_search": 1, "file_search": 1}, ()),
        ([{"type": "web_search_call", "action": {}}, {"type": "web_search_call", "action": "x"}],
         {"web_search": 2}, ()),
        ([{"type": "image_generation_call"}] * 2, {"image_generation": 2}, (FLAG_TOOL_FEES,)),
        ([{"type": "custom_tool_call", "name": "x_thread_fetch"}, {"type": "custom_tool_call"}], {"x_search": 1}, ()),
        ([named("image_generation"), named("file_search"), named("x_user_search")],
         {"image_generation": 1, "file_search": 1, "x_search": 1}, (FLAG_TOOL_FEES,)),
        ([{"type": "server_tool_call_chunk", "name": "web_search"}], {"web_search": 1}, ()),
        ([named("advisor"), named("unknown"), named("mcp_list_tools"), named("web_search")],
         {"web_search": 1}, (FLAG_INCOMPLETE, FLAG_TOOL_FEES)),
        ([named("web_search", id="a"), {"type": "web_search_tool_result", "tool_use_id": "a", "content": []}],
         {"web_search": 1}, ()),
        ([named("code_execution", id="a"),
          {"type": "web_search_tool_result", "tool_use_id": "a", "content": {"error_code": "x"}}],
         {"code_execution": 1}, ()),
        (({"type": "web_search_call"},), {"web_search": 1}, ()),
    ],
)  # fmt: skip
def test_blocks_are_counted_one_by_one(content: object, counted: dict[str, int], flagged: tuple[str, ...]) -> None:
    assert (buckets(content), flags(content)) == (counted, flagged)


@pytest.mark.parametrize(
    ("raw", "counted"),
    [
        ({"num_search_queries": 1, "num_sources_used": 1}, {"web_search": 1, "search_sources": 1}),
        ({"num_search_queries": 0, "num_sources_used": True}, {}),
        ({"server_tool_use": {"web_search_requests": 1, "web_search_calls": 2, "code_interpreter_calls": 1}},
         {"web_search": 3, "code_execution": 1}),
        ({"server_side_tool_usage_details": {"file_search_calls": 1, "document_search_calls": 1, "x_search_calls": 0}},
         {"file_search": 2}),
        ({"server_tool_use": {"web_search_requests": 5}, "server_side_tool_usage": {"web_search_calls": 2}},
         {"web_search": 2}),
        ({"server_tool_use": {"web_search_requests": True, "unknown": 3}, "server_side_tool_usage": [1]}, {}),
    ],
)  # fmt: skip
def test_counts_of_a_raw_usage_are_read_table_by_table(raw: dict[str, Any], counted: dict[str, int]) -> None:
    assert buckets(raw={"prompt_tokens": 100, **raw}) == counted


def test_a_raw_count_of_nothing_leaves_what_the_blocks_show() -> None:
    raw = {"prompt_tokens": 100, "server_tool_use": {"web_search_requests": 0}}
    assert buckets([named("web_search")], raw=raw) == {"web_search": 1}


@pytest.mark.parametrize(
    ("grounding", "counted", "flagged"),
    [
        ({"web_search_queries": ("a", "b")}, {"web_search": 2}, ()),
        ({"web_search_queries": ["", None]}, {}, ()),
        ({"web_search_queries": "abc"}, {}, ()),
        ({"image_search_queries": ["a"]}, {}, (FLAG_TOOL_FEES,)),
        ({"retrieval_queries": ["a"], "web_search_queries": ["a"]}, {"web_search": 1}, (FLAG_TOOL_FEES,)),
        ({"grounding_chunks": ({"web": {}}, {"maps": {"uri": "x"}})}, {}, (FLAG_TOOL_FEES,)),
        ({"grounding_chunks": [{"web": {"uri": "x"}}, "maps", {"maps": {}}]}, {}, ()),
        ({"grounding_chunks": {"maps": 1}}, {}, ()),
    ],
)
def test_what_google_says_of_its_searches(
    grounding: dict[str, Any], counted: dict[str, int], flagged: tuple[str, ...]
) -> None:
    assert buckets(grounding_metadata=grounding, model_name="gemini-3-pro") == counted
    assert flags(grounding_metadata=grounding, model_name="gemini-3-pro") == flagged


@pytest.mark.parametrize("model", ["gemini-1.5-pro", "gemini-2.5-pro", "models/gemini-1.0", "a/b/gemini-2"])
def test_google_billed_the_prompt_before_gemini_3(model: str) -> None:
    assert buckets(model_name=model, grounding_metadata={"web_search_queries": ["a", "b"]}) == {"web_search": 1}


ODD: st.SearchStrategy[Any] = st.recursive(
    JSON_SCALARS | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "name", "action", "id", "content", "web_search_requests", "web_search_queries", "maps", "cost"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "_hidden_params",
        "cost",
        "grounding_metadata",
        "headers",
        "inference_profile_id",
        "model_name",
        "model_provider",
        "num_sources_used",
        "serviceTier",
        "server_tool_use",
        "service_tier",
        "speed",
        "token_usage",
        "usage",
        "usage_metadata",
    ]
)
MAPPINGS = st.dictionaries(KEYS, ODD, max_size=5)
BLOCKS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["web_search_call", "server_tool_use", "server_tool_call", "web_search_tool_result"])
        | ODD
    },
    optional={"name": st.sampled_from(["web_search", "advisor"]) | ODD, "id": ODD, "args": ODD, "content": ODD},
)


@given(
    st.none() | st.fixed_dictionaries({"input_tokens": SMALL_COUNTS, "output_tokens": SMALL_COUNTS}) | MAPPINGS,
    MAPPINGS,
    MAPPINGS,
    ODD | st.lists(BLOCKS, max_size=4),
    st.none() | st.sampled_from(["google_vertexai", "mistral", "openai"]),
)
def test_odd_answers_never_raise(
    reported: dict[str, Any] | None,
    metadata: dict[str, Any],
    output: dict[str, Any],
    content: object,
    provider: str | None,
) -> None:
    response = read_response(reported, metadata, llm_output=output, content=content, provider=provider)
    if response.usage is not None:
        assert all(count > 0 for count in response.usage.buckets.values())
        assert response.usage.problem is None or response.usage.buckets == {}
    assert all(isinstance(value, str) for value in response.context.values())


@pytest.mark.parametrize("cost", ["abc", float("nan"), -1, [3], {"total_cost": "much"}])
def test_a_cost_that_cannot_be_read_is_no_cost_of_the_providers(cost: object) -> None:
    assert read_response(None, {"token_usage": {"cost": cost}}).reported == {}
