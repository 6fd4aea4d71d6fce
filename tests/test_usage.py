"""From what LangChain and the providers report to disjoint buckets that add up to the totals."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import InvalidValue
from costtrace.usage import (
    DIRECTIONS,
    FLAG_CACHE_HIT,
    FLAG_INCOMPLETE,
    FLAG_INCONSISTENT,
    FLAG_OVERLAP,
    FLAG_TOTAL_MISMATCH,
    Usage,
)
from costtrace.usage_metadata import usage_from_metadata, usage_from_token_usage
from tests.strategies import JSON_SCALARS, SMALL_COUNTS, USAGES

INPUT_DETAILS = (
    "cache_read",
    "cache_creation",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "audio",
    "image",
    "video",
)
OUTPUT_DETAILS = ("reasoning", "audio", "image")
TIERS = ("", "flex_", "priority_")


def details_of(keys: tuple[str, ...]) -> st.SearchStrategy[dict[str, int | None]]:
    """Details as LangChain spells them: renamed by tier, with the tier's own key beside them, or with unknown ones."""
    names = [f"{tier}{key}" for tier in TIERS for key in keys] + ["flex", "priority", "something_new"]
    return st.dictionaries(st.sampled_from(names), st.none() | SMALL_COUNTS, max_size=6)


def reported(input_tokens: Any, output_tokens: Any, **details: Any) -> dict[str, Any]:
    return {"input_tokens": input_tokens, "output_tokens": output_tokens, **details}


@given(SMALL_COUNTS, SMALL_COUNTS, details_of(INPUT_DETAILS), details_of(OUTPUT_DETAILS), st.booleans())
def test_buckets_partition_the_totals_whatever_the_details_say(
    input_tokens: int,
    output_tokens: int,
    inputs: dict[str, int | None],
    outputs: dict[str, int | None],
    incomplete: bool,  # noqa: FBT001 - hypothesis passes by position
) -> None:
    metadata = reported(input_tokens, output_tokens, input_token_details=inputs, output_token_details=outputs)
    usage = usage_from_metadata(metadata, incomplete=incomplete)
    assert usage.problem is None
    assert (usage.input_tokens, usage.output_tokens) == (input_tokens, output_tokens)
    by_direction = {"input": 0, "output": 0}
    for bucket, count in usage.buckets.items():
        assert count > 0
        by_direction[DIRECTIONS[bucket]] += count
    assert by_direction == {"input": input_tokens, "output": output_tokens}
    assert 0 <= usage.reasoning_tokens <= output_tokens
    assert (FLAG_INCOMPLETE in usage.flags) is (incomplete or not (input_tokens or output_tokens))


@given(SMALL_COUNTS, SMALL_COUNTS, details_of(INPUT_DETAILS), details_of(OUTPUT_DETAILS))
def test_details_are_cut_only_with_a_flag(
    input_tokens: int, output_tokens: int, inputs: dict[str, int | None], outputs: dict[str, int | None]
) -> None:
    metadata = reported(input_tokens, output_tokens, input_token_details=inputs, output_token_details=outputs)
    usage = usage_from_metadata(metadata)
    if FLAG_INCONSISTENT not in usage.flags:
        said = max((inputs.get(f"{tier}cache_read") or 0 for tier in TIERS), default=0)
        assert usage.buckets.get("cache_read", 0) == said
        assert usage.reasoning_tokens == max(outputs.get(f"{tier}reasoning") or 0 for tier in TIERS)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_details_renamed_by_the_service_tier_are_understood(tier: str) -> None:
    """``flex: 600`` is input less cache reads and still holds the writes; ``flex: 200`` is output less reasoning."""
    usage = usage_from_metadata(
        {
            "input_tokens": 1000,
            "output_tokens": 500,
            "total_tokens": 1500,
            "input_token_details": {f"{tier}_cache_read": 400, f"{tier}_cache_creation": 100, tier: 600},
            "output_token_details": {f"{tier}_reasoning": 300, tier: 200},
        }
    )
    assert usage.buckets == {"cache_read": 400, "cache_write": 100, "input": 500, "output": 500}
    assert usage.reasoning_tokens == 300
    assert usage.flags == ()


def test_anthropic_writes_are_counted_by_their_time_to_live() -> None:
    usage = usage_from_metadata(
        reported(
            5010, 20, input_token_details={"cache_creation": 0, "ephemeral_5m_input_tokens": 5003, "cache_read": 0}
        )
    )
    assert usage.buckets == {"cache_write_5m": 5003, "input": 7, "output": 20}
    assert usage.flags == ()


def test_a_total_of_writes_beside_its_split_is_not_counted_twice() -> None:
    details = {"cache_creation": 300, "ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 150}
    usage = usage_from_metadata(reported(1000, 0, input_token_details=details))
    assert usage.buckets == {"cache_write": 50, "cache_write_5m": 100, "cache_write_1h": 150, "input": 700}


def test_reasoning_is_inside_the_output_and_never_added() -> None:
    usage = usage_from_metadata(reported(10, 500, output_token_details={"reasoning": 300}))
    assert usage.buckets == {"input": 10, "output": 500}
    assert (usage.output_tokens, usage.reasoning_tokens) == (500, 300)


def test_details_that_exceed_their_total_are_cut_and_flagged() -> None:
    usage = usage_from_metadata(
        reported(100, 10, input_token_details={"cache_read": 80, "audio": 50}, output_token_details={"reasoning": 11})
    )
    assert usage.buckets == {"cache_read": 80, "input_audio": 20, "output": 10}
    assert usage.reasoning_tokens == 10
    assert set(usage.flags) == {FLAG_INCONSISTENT, FLAG_OVERLAP}


def test_a_total_that_is_not_input_plus_output_is_flagged() -> None:
    assert usage_from_metadata(reported(10, 5, total_tokens=15)).flags == ()
    assert usage_from_metadata(reported(10, 5, total_tokens=16)).flags == (FLAG_TOTAL_MISMATCH,)


def test_an_answer_from_langchains_cache_bought_nothing() -> None:
    metadata = reported(450, 200, total_tokens=650, total_cost=0)
    usage = usage_from_metadata(metadata)
    assert usage.buckets == {}
    assert usage.flags == (FLAG_CACHE_HIT,)
    assert usage.raw == {"usage_metadata": metadata}


@pytest.mark.parametrize("count", [-1, True, 450.0, 1.5, float("nan"), "450", None, 2**53 + 1, [1]])
@pytest.mark.parametrize("key", ["input_tokens", "output_tokens"])
def test_a_total_that_is_no_count_is_a_problem_that_names_it(key: str, count: Any) -> None:
    usage = usage_from_metadata({**reported(450, 200), key: count})
    assert usage.buckets == {}
    assert usage.problem == f"usage_metadata.{key}: expected a whole number of zero or more, got {count!r}"


def test_a_missing_total_is_a_problem() -> None:
    assert usage_from_metadata({"output_tokens": 1}).problem == (
        "usage_metadata.input_tokens: expected a whole number of zero or more, got None"
    )


@pytest.mark.parametrize("count", [-1, True, 0.5, "400", [400], float("nan"), float("inf")])
def test_a_detail_that_is_no_count_is_a_problem_that_names_it(count: Any) -> None:
    usage = usage_from_metadata(reported(450, 200, input_token_details={"cache_read": count}))
    assert usage.buckets == {}
    assert usage.problem is not None
    assert usage.problem.startswith("usage_metadata details.cache_read: expected a whole number")
    assert usage.problem.endswith(repr(count))


def test_a_detail_nobody_knows_is_kept_beside_the_usage_and_subtracted_from_nothing() -> None:
    usage = usage_from_metadata(reported(450, 200, input_token_details={"holographic": 99}))
    assert usage.buckets == {"input": 450, "output": 200}
    assert usage.raw["usage_metadata"]["input_token_details"] == {"holographic": 99}


def test_the_providers_numbers_are_copied_by_value() -> None:
    metadata = reported(450, 200, input_token_details={"cache_read": 100})
    token_usage = {"prompt_tokens": 450, "completion_tokens": 200, "cost": "0.003125"}
    before = copy.deepcopy({"usage_metadata": metadata, "token_usage": token_usage})
    usage = usage_from_metadata(metadata, token_usage)
    metadata["input_token_details"]["cache_read"] = 7
    metadata["total_cost"] = 0
    token_usage.clear()
    assert usage.raw == before
    usage.raw["usage_metadata"] = None
    assert usage.raw == before
    assert usage.buckets == {"cache_read": 100, "input": 350, "output": 200}


def test_iterations_of_anthropic_are_summed() -> None:
    """A compaction stands in ``usage.iterations`` only, and is billed."""
    raw = {
        "input_tokens": 100,
        "output_tokens": 50,
        "iterations": [
            {"type": "compaction", "input_tokens": 9000, "output_tokens": 700, "cache_read_input_tokens": 1000},
            {
                "type": "message",
                "input_tokens": 100,
                "output_tokens": 50,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 30},
            },
        ],
    }
    usage = usage_from_metadata(reported(130, 50, input_token_details={"cache_creation": 30}), raw)
    assert usage.buckets == {"cache_read": 1000, "cache_write_5m": 30, "input": 9100, "output": 750}
    assert usage.problem is None


@pytest.mark.parametrize(
    "iterations", [[{"type": "message"}], [None], 7, "two", [[1]], [{"input_tokens": "9", "output_tokens": 1}]]
)
def test_iterations_that_cannot_be_read_never_make_a_call_free(iterations: Any) -> None:
    usage = usage_from_metadata(reported(100, 50), {"iterations": iterations})
    assert usage.problem is not None or usage.buckets == {"input": 100, "output": 50}


def test_openai_numbers_are_read_where_langchain_made_none() -> None:
    usage = usage_from_token_usage(
        {
            "prompt_tokens": 1000,
            "completion_tokens": 500,
            "total_tokens": 1500,
            "prompt_tokens_details": {"cached_tokens": 400, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 300},
        }
    )
    assert usage is not None
    assert usage.buckets == {"cache_read": 400, "input": 600, "output": 500}
    assert usage.reasoning_tokens == 300
    assert usage.flags == ()


def test_openai_responses_numbers_are_read_as_inclusive() -> None:
    usage = usage_from_token_usage(
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 400},
            "output_tokens": 500,
            "output_tokens_details": {"reasoning_tokens": 300},
        }
    )
    assert usage is not None
    assert usage.buckets == {"cache_read": 400, "input": 600, "output": 500}


def test_anthropic_numbers_are_read_as_exclusive() -> None:
    usage = usage_from_token_usage(
        {
            "input_tokens": 7,
            "output_tokens": 20,
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 5003,
            "cache_creation": {"ephemeral_5m_input_tokens": 5000, "ephemeral_1h_input_tokens": 3},
        }
    )
    assert usage is not None
    assert usage.buckets == {
        "cache_read": 40,
        "cache_write_5m": 5000,
        "cache_write_1h": 3,
        "input": 7,
        "output": 20,
    }


@pytest.mark.parametrize("record", [{}, {"seconds": 3}, {"input_tokens": 3}])
def test_a_record_without_token_counts_is_no_usage(record: dict[str, Any]) -> None:
    assert usage_from_token_usage(record) is None


ODD: st.SearchStrategy[Any] = st.recursive(
    JSON_SCALARS | st.floats(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner)
)
KEYS = st.sampled_from(
    [
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "total_cost",
        "input_token_details",
        "output_token_details",
        "prompt_tokens",
        "completion_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "input_tokens_details",
        "output_tokens_details",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "iterations",
    ]
)


@given(st.dictionaries(KEYS, SMALL_COUNTS | ODD), st.none() | st.dictionaries(KEYS, SMALL_COUNTS | ODD))
def test_odd_numbers_are_answered_by_a_problem_and_never_raise(
    metadata: dict[str, Any], token_usage: dict[str, Any] | None
) -> None:
    usage = usage_from_metadata(metadata, token_usage)
    assert usage.raw
    if usage.problem is not None:
        assert usage.buckets == {}
    elif FLAG_CACHE_HIT not in usage.flags and not (token_usage or {}).get("iterations"):
        assert usage.input_tokens == metadata["input_tokens"]
        assert usage.output_tokens == metadata["output_tokens"]


@given(st.dictionaries(KEYS, SMALL_COUNTS | ODD))
def test_odd_numbers_of_a_provider_never_raise(token_usage: dict[str, Any]) -> None:
    usage = usage_from_token_usage(token_usage)
    assert usage is None or usage.problem is not None or usage.input_tokens >= 0


@pytest.mark.parametrize("count", [-1, True, 1.0, "1", None, 2**53 + 1])
def test_a_bucket_that_holds_no_count_is_refused_by_name_and_value(count: Any) -> None:
    with pytest.raises(InvalidValue, match=r"usage\.cache_read: expected a whole number of zero or more") as refusal:
        Usage(buckets={"input": 1, "cache_read": count})
    assert refusal.value.value == count
    with pytest.raises(InvalidValue, match=r"usage\.reasoning_tokens: expected a whole number"):
        Usage(buckets={}, reasoning_tokens=count)


@pytest.mark.parametrize("bucket", ["", 'in"put', "in put", "input\n", "\ud800"])
def test_a_bucket_is_named_by_a_plain_word(bucket: str) -> None:
    with pytest.raises(InvalidValue, match=r"usage\.buckets: expected names made of"):
        Usage(buckets={bucket: 1})


@pytest.mark.parametrize("raw_json", ["", "{", '{"a":}', "[]", "nothing"])
def test_raw_numbers_that_are_no_json_object_are_refused_before_they_reach_a_store(raw_json: str) -> None:
    """A body that is no JSON would make the whole page of entries around it unreadable."""
    with pytest.raises(InvalidValue, match=r"usage\.raw_json"):
        Usage(buckets={"input": 1}, raw_json=raw_json)


def test_a_usage_is_not_changed_through_what_it_was_made_from() -> None:
    buckets = {"input": 1, "output": 0}
    usage = Usage(buckets=buckets)
    buckets["input"] = 2
    assert usage.buckets == {"input": 1}
    with pytest.raises(TypeError):
        usage.buckets["input"] = 3  # type: ignore[index]  # refused by the type checker as well


@given(USAGES)
def test_a_usage_survives_its_json_objects(usage: Usage) -> None:
    assert Usage.from_dict(usage.to_dict()) == usage
    assert Usage.from_dict({**usage.to_dict(), "of_a_later_version": 1}) == usage


def test_a_raw_record_without_an_output_is_not_taken_for_an_answer_of_no_tokens() -> None:
    usage = usage_from_token_usage({"prompt_tokens": 10})
    assert usage is not None
    assert usage.problem is not None
    assert "token_usage.total_tokens" in usage.problem


def test_the_raw_record_of_an_embedding_is_all_input() -> None:
    usage = usage_from_token_usage({"prompt_tokens": 10, "total_tokens": 10})
    assert usage is not None
    assert (dict(usage.buckets), usage.flags, usage.problem) == ({"input": 10}, (), None)


@pytest.mark.parametrize("total", [None, 15])
def test_a_total_that_is_missing_or_right_is_no_contradiction(total: int | None) -> None:
    usage = usage_from_token_usage({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": total})
    assert usage is not None
    assert usage.flags == ()


def test_a_raw_total_that_is_neither_input_nor_output_is_flagged() -> None:
    usage = usage_from_token_usage({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 500})
    assert usage is not None
    assert usage.flags == ("total_mismatch",)


def test_thinking_that_vertex_leaves_out_is_added_once() -> None:
    left_out = reported(10, 120, total_tokens=510, output_token_details={"reasoning": 380})
    usage = usage_from_metadata(left_out, provider="google_vertexai")
    assert (dict(usage.buckets), usage.reasoning_tokens, usage.flags) == ({"input": 10, "output": 500}, 380, ())
    counted_in = reported(10, 500, total_tokens=510, output_token_details={"reasoning": 380})
    usage = usage_from_metadata(counted_in, provider="google_vertexai")
    assert (dict(usage.buckets), usage.reasoning_tokens, usage.flags) == ({"input": 10, "output": 500}, 380, ())


def test_thinking_is_added_for_no_other_provider() -> None:
    usage = usage_from_metadata(reported(10, 120, output_token_details={"reasoning": 100}), provider="openai")
    assert usage.buckets == {"input": 10, "output": 120}


def test_calls_of_tools_are_counted_beside_the_tokens() -> None:
    usage = usage_from_metadata(reported(10, 5), tools={"web_search": 2}, flags=[FLAG_INCOMPLETE])
    assert usage.buckets == {"input": 10, "output": 5, "web_search": 2}
    assert (usage.input_tokens, usage.output_tokens, usage.flags) == (10, 5, (FLAG_INCOMPLETE,))
    assert usage.raw["tool_calls"] == {"web_search": 2}


def test_a_tool_cannot_pass_for_tokens() -> None:
    usage = usage_from_metadata(reported(10, 5), tools={"input": 2})
    assert usage.buckets == {}
    assert usage.problem is not None
    assert usage.problem.startswith("usage.tools: expected buckets that count calls")


@pytest.mark.parametrize("kind", ["advisor_message", "message", "fallback_message"])
def test_the_tokens_of_another_model_are_not_summed_into_this_ones(kind: str) -> None:
    raw = {
        "iterations": [
            {"type": kind, "model": "claude-opus-5", "input_tokens": 823, "output_tokens": 531},
            {"type": "compaction", "input_tokens": 9000, "output_tokens": 700},
            {"type": "message", "model": "claude-sonnet-4-6", "input_tokens": 100, "output_tokens": 50},
        ]
    }
    usage = usage_from_metadata(reported(100, 50), raw)
    assert usage.buckets == {"input": 9100, "output": 750}
    assert usage.flags == (FLAG_INCOMPLETE,)


PROVIDERS = st.sampled_from([None, "openai", "anthropic", "google_vertexai", "mistral"])
TOOLS = st.dictionaries(st.sampled_from(["web_search", "file_search", "code_execution"]), SMALL_COUNTS, max_size=3)


@given(SMALL_COUNTS, SMALL_COUNTS, details_of(INPUT_DETAILS), details_of(OUTPUT_DETAILS), PROVIDERS, TOOLS)
def test_buckets_partition_what_is_billed_for_every_provider(  # noqa: PLR0917 - hypothesis passes by position
    input_tokens: int,
    output_tokens: int,
    inputs: dict[str, int | None],
    outputs: dict[str, int | None],
    provider: str | None,
    tools: dict[str, int],
) -> None:
    metadata = reported(input_tokens, output_tokens, input_token_details=inputs, output_token_details=outputs)
    usage = usage_from_metadata(metadata, provider=provider, tools=tools)
    assert usage.problem is None
    thoughts = (outputs.get("reasoning") or 0) if provider == "google_vertexai" else 0
    assert (usage.input_tokens, usage.output_tokens) == (input_tokens, output_tokens + thoughts)
    assert {bucket: count for bucket, count in usage.buckets.items() if bucket not in DIRECTIONS} == {
        tool: count for tool, count in tools.items() if count
    }
    assert all(count > 0 for count in usage.buckets.values())
