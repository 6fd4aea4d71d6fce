"""Providers' own records, field by field: what each number becomes, and the whole sentence about one that is odd."""

from __future__ import annotations

from typing import Any, Final

import pytest

from costtrace.errors import InvalidValue
from costtrace.usage import (
    FLAG_INCOMPLETE,
    FLAG_INCONSISTENT,
    FLAG_OVERLAP,
    FLAG_TOTAL_MISMATCH,
    Usage,
    check_count,
    flagged,
)
from costtrace.usage_metadata import tier_of, usage_from_metadata, usage_from_token_usage

MOST: Final = 2**53
COUNT: Final = "expected a whole number of zero or more"
MAPPING: Final = "expected a mapping of counts"

RECORDS: Final[dict[str, tuple[dict[str, Any], Usage]]] = {
    "OpenAI's chat": (
        {
            "prompt_tokens": 1000,
            "completion_tokens": 500,
            "total_tokens": 1500,
            "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 300, "audio_tokens": 50},
        },
        Usage(
            buckets={"cache_read": 400, "cache_write": 100, "input": 500, "output": 450, "output_audio": 50},
            reasoning_tokens=300,
        ),
    ),
    "OpenAI's spoken input": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"audio_tokens": 8}},
        Usage(buckets={"input_audio": 8, "input": 2, "output": 5}),
    ),
    "OpenAI's cached and spoken input": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_tokens_details": {"audio_tokens": 5, "cached_tokens": 4},
        },
        Usage(buckets={"input_audio": 5, "cache_read": 4, "input": 1, "output": 5}, flags=(FLAG_OVERLAP,)),
    ),
    "OpenAI's responses": (
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 100},
            "output_tokens": 500,
            "output_tokens_details": {"reasoning_tokens": 300},
            "total_tokens": 1500,
        },
        Usage(buckets={"cache_read": 400, "cache_write": 100, "input": 500, "output": 500}, reasoning_tokens=300),
    ),
    "a total of OpenAI's responses that is another": (
        {"input_tokens": 10, "input_tokens_details": None, "output_tokens": 5, "total_tokens": 16},
        Usage(buckets={"input": 10, "output": 5}, flags=(FLAG_TOTAL_MISMATCH,)),
    ),
    "Anthropic's without a split of its writes": (
        {
            "input_tokens": 7,
            "output_tokens": 20,
            "cache_read_input_tokens": 40,
            "cache_creation_input_tokens": 30,
        },
        Usage(buckets={"cache_read": 40, "cache_write": 30, "input": 7, "output": 20}),
    ),
    "Anthropic's writes of both kinds": (
        {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 15},
        },
        Usage(buckets={"cache_write": 5, "cache_write_5m": 10, "cache_write_1h": 15}),
    ),
    "an embedding": (
        {"prompt_tokens": 10, "total_tokens": 10},
        Usage(buckets={"input": 10}),
    ),
    "an output that only the total tells": (
        {"prompt_tokens": 10, "completion_tokens": None, "total_tokens": 14},
        Usage(buckets={"input": 10, "output": 4}),
    ),
}


def same(usage: Usage | None, expected: Usage) -> None:
    """Equal in everything but the raw numbers, and without a bucket out of its place."""
    assert usage is not None
    assert (usage.buckets, usage.reasoning_tokens, usage.flags, usage.problem) == (
        expected.buckets,
        expected.reasoning_tokens,
        expected.flags,
        expected.problem,
    )


@pytest.mark.parametrize(("record", "expected"), RECORDS.values(), ids=RECORDS)
def test_each_field_of_a_raw_record_has_its_bucket(record: dict[str, Any], expected: Usage) -> None:
    usage = usage_from_token_usage(record)
    same(usage, expected)
    assert usage is not None
    assert usage.raw == {"token_usage": record}


ODD_RECORDS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "prompt": ({"prompt_tokens": -1, "completion_tokens": 1}, f"usage_metadata.input_tokens: {COUNT}, got -1"),
    "details": (
        {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": [1]},
        f"token_usage.prompt_tokens_details: {MAPPING}, got [1]",
    ),
    "output details": (
        {"prompt_tokens": 1, "completion_tokens": 1, "completion_tokens_details": 7},
        f"token_usage.completion_tokens_details: {MAPPING}, got 7",
    ),
    "responses details": (
        {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": 7},
        f"token_usage.input_tokens_details: {MAPPING}, got 7",
    ),
    "responses output details": (
        {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {}, "output_tokens_details": 7},
        f"token_usage.output_tokens_details: {MAPPING}, got 7",
    ),
    "reads": (
        {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": "9"},
        f"token_usage.cache_read_input_tokens: {COUNT}, got '9'",
    ),
    "writes": (
        {"input_tokens": 1, "output_tokens": 1, "cache_creation_input_tokens": 0.5},
        f"token_usage.cache_creation_input_tokens: {COUNT}, got 0.5",
    ),
    "split of writes": (
        {"input_tokens": 1, "output_tokens": 1, "cache_creation": "5m"},
        f"token_usage.cache_creation: {MAPPING}, got '5m'",
    ),
    "anthropic's input": ({"input_tokens": "9", "output_tokens": 1}, f"usage_metadata.input_tokens: {COUNT}, got '9'"),
    "no total": ({"prompt_tokens": 1}, f"token_usage.total_tokens: {COUNT}, got None"),
    "total below the input": (
        {"prompt_tokens": 10, "total_tokens": 9},
        f"token_usage.total_tokens less prompt_tokens: {COUNT}, got -1",
    ),
    "prompt of an embedding": (
        {"prompt_tokens": "10", "total_tokens": 10},
        f"usage_metadata.prompt_tokens: {COUNT}, got '10'",
    ),
}


@pytest.mark.parametrize(("record", "problem"), ODD_RECORDS.values(), ids=ODD_RECORDS)
def test_an_odd_raw_record_is_a_problem_that_names_field_and_value(record: dict[str, Any], problem: str) -> None:
    usage = usage_from_token_usage(record)
    same(usage, Usage(buckets={}, problem=problem))
    assert usage is not None
    assert usage.raw == {"token_usage": record}


@pytest.mark.parametrize("record", [{"input_tokens": None, "output_tokens": 1}, {"output_tokens": 1}])
def test_a_raw_record_without_an_input_is_no_usage(record: dict[str, Any]) -> None:
    assert usage_from_token_usage(record) is None


def test_what_a_raw_record_goes_with_reaches_its_usage() -> None:
    usage = usage_from_token_usage(
        {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 20},
        provider="google_vertexai",
        tools={"web_search": 2},
        flags=[FLAG_INCOMPLETE],
    )
    same(
        usage,
        Usage(buckets={"input": 10, "output": 5, "web_search": 2}, flags=(FLAG_INCOMPLETE, FLAG_TOTAL_MISMATCH)),
    )
    thought = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 20,
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    same(
        usage_from_token_usage(thought, provider="google_vertexai"),
        Usage(buckets={"input": 10, "output": 10}, reasoning_tokens=5),
    )


def reported(total_input: Any, total_output: Any, **more: Any) -> dict[str, Any]:
    return {"input_tokens": total_input, "output_tokens": total_output, **more}


DROPPED: Final[dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, int], tuple[str, ...]]]] = {
    # what LangChain says, what the provider says, the buckets and flags of both
    "Mistral's cached tokens": (
        reported(100, 5),
        {"prompt_tokens_details": {"cached_tokens": 40}},
        {"cache_read": 40, "input": 60, "output": 5},
        (),
    ),
    "the same in its other spelling": (
        reported(100, 5),
        {"prompt_token_details": {"cached_tokens": 40}},
        {"cache_read": 40, "input": 60, "output": 5},
        (),
    ),
    "the same as one number": (
        reported(100, 5, input_token_details={}),
        {"num_cached_tokens": 40, "prompt_tokens_details": 7},
        {"cache_read": 40, "input": 60, "output": 5},
        (),
    ),
    "details that LangChain has": (
        reported(100, 5, input_token_details={"cache_read": 30}),
        {"prompt_tokens_details": {"cached_tokens": 40}, "num_cached_tokens": 50},
        {"cache_read": 30, "input": 70, "output": 5},
        (),
    ),
    "Mistral's spoken input": (
        reported(100, 5),
        {"prompt_audio_seconds": 3},
        {"input": 100, "output": 5},
        (FLAG_INCOMPLETE,),
    ),
    "no spoken input": (reported(100, 5), {"prompt_audio_seconds": 0}, {"input": 100, "output": 5}, ()),
}


@pytest.mark.parametrize(("metadata", "raw", "buckets", "flags"), DROPPED.values(), ids=DROPPED)
def test_what_langchain_drops_is_read_from_the_providers_record(
    metadata: dict[str, Any], raw: dict[str, Any], buckets: dict[str, int], flags: tuple[str, ...]
) -> None:
    usage = usage_from_metadata(metadata, raw)
    same(usage, Usage(buckets=buckets, flags=flags))
    assert usage.raw == {"usage_metadata": metadata, "token_usage": raw}


WRITES: Final = {"cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 15}}


@pytest.mark.parametrize(
    ("details", "raw", "buckets", "flags"),
    [
        ({"cache_creation": 30}, WRITES, {"cache_write": 5, "cache_write_5m": 10, "cache_write_1h": 15}, ()),
        (
            {"cache_creation": 20},
            WRITES,
            {"cache_write_5m": 10, "cache_write_1h": 15},
            (FLAG_INCONSISTENT,),
        ),
        ({"cache_creation": 30}, {"cache_creation": {"ephemeral_5m_input_tokens": 0}}, {"cache_write": 30}, ()),
        ({"cache_creation": 30}, {"cache_creation": "split"}, {"cache_write": 30}, ()),
        ({"cache_creation": 0}, WRITES, {}, ()),
        (
            {"cache_creation": 30, "ephemeral_1h_input_tokens": 30},
            WRITES,
            {"cache_write_1h": 30},
            (),
        ),
    ],
)
def test_a_total_of_writes_is_split_where_the_provider_says_how(
    details: dict[str, int], raw: dict[str, Any], buckets: dict[str, int], flags: tuple[str, ...]
) -> None:
    usage = usage_from_metadata(reported(100, 5, input_token_details=details), raw)
    rest = 100 - sum(buckets.values())
    same(usage, Usage(buckets={**buckets, "input": rest, "output": 5}, flags=flags))


@pytest.mark.parametrize(
    ("total", "output", "flags"),
    [(15, 5, ()), (19, 9, ()), (18, 5, (FLAG_TOTAL_MISMATCH,)), (None, 5, ())],
)
def test_reasoning_that_only_the_total_holds_is_added_to_the_output(
    total: int | None, output: int, flags: tuple[str, ...]
) -> None:
    usage = usage_from_metadata(reported(10, 5, total_tokens=total, output_token_details={"reasoning": 4}))
    same(usage, Usage(buckets={"input": 10, "output": output}, reasoning_tokens=4, flags=flags))


@pytest.mark.parametrize(
    ("metadata", "tier"),
    [
        (reported(1, 1, input_token_details={"cache_read": 1, "flex_cache_read": 1}), "flex"),
        (reported(1, 1, output_token_details={"priority": 1}), "priority"),
        (reported(1, 1, input_token_details={"flexible": 1}, output_token_details=["flex"]), None),
        (reported(1, 1, input_token_details={7: 1}), None),
        (None, None),
        ("flex", None),
    ],
)
def test_the_names_of_the_details_tell_the_served_tier(metadata: object, tier: str | None) -> None:
    assert tier_of(metadata) == tier


def test_no_tokens_at_all_are_an_incomplete_usage() -> None:
    same(usage_from_metadata(reported(0, 0)), Usage(buckets={}, flags=(FLAG_INCOMPLETE,)))
    assert usage_from_token_usage({"prompt_tokens": 0, "completion_tokens": 0}) is not None
    same(
        usage_from_token_usage({"prompt_tokens": 0, "completion_tokens": 0}),
        Usage(buckets={}, flags=(FLAG_INCOMPLETE,)),
    )


def test_google_bills_thinking_and_each_kind_of_input() -> None:
    raw = {
        "thoughts_token_count": 30,
        "prompt_tokens_details": [
            {"modality": "TEXT", "token_count": 40},
            {"modality": "AUDIO", "token_count": 30},
            {"modality": "IMAGE", "token_count": 20},
            {"modality": "VIDEO", "token_count": 9},
            "AUDIO",
        ],
        "candidates_tokens_details": [{"modality": "IMAGE", "token_count": 5}, {"modality": "TEXT", "token_count": 5}],
    }
    metadata = reported(
        100, 10, total_tokens=140, input_token_details={"cache_read": 1}, output_token_details={"audio": 2}
    )
    usage = usage_from_metadata(metadata, raw, provider="google_vertexai")
    same(
        usage,
        Usage(
            buckets={
                "cache_read": 1,
                "input_audio": 30,
                "input_image": 20,
                "input_video": 9,
                "input": 40,
                "output": 33,
                "output_audio": 2,
                "output_image": 5,
            },
            reasoning_tokens=30,
            flags=(FLAG_OVERLAP,),
        ),
    )
    bare = usage_from_metadata(reported(100, 10, total_tokens=110), None, provider="google_vertexai")
    same(bare, Usage(buckets={"input": 100, "output": 10}))


@pytest.mark.parametrize("kinds", ["AUDIO", {"modality": "AUDIO"}, None, [{"modality": ["AUDIO"]}]])
def test_kinds_that_google_does_not_list_as_such_count_nothing(kinds: object) -> None:
    raw = {"prompt_tokens_details": kinds}
    same(
        usage_from_metadata(reported(10, 5, total_tokens=15), raw, provider="google_vertexai"),
        Usage(buckets={"input": 10, "output": 5}),
    )


ODD_METADATA: Final[dict[str, tuple[dict[str, Any], dict[str, Any], str]]] = {
    "thoughts": (
        reported(10, 5, total_tokens=20),
        {"thoughts_token_count": "many"},
        f"usage_metadata details.reasoning: {COUNT}, got 'many'",
    ),
    "input details": (
        reported(10, 5, input_token_details=[1]),
        {"x": 1},
        f"usage_metadata details: {MAPPING}, got [1]",
    ),
    "output details": (
        {**reported(10, 5), "output_token_details": "none"},
        {"x": 1},
        f"usage_metadata details: {MAPPING}, got 'none'",
    ),
    "a detail": (
        reported(10, 5, output_token_details={"audio": 2.0}),
        {"x": 1},
        f"usage_metadata details.audio: {COUNT}, got 2.0",
    ),
    "iterations": (
        reported(10, 5),
        {"iterations": 7},
        "token_usage.iterations: expected a list of usage records, got 7",
    ),
    "an iteration": (
        reported(10, 5),
        {"iterations": [{"input_tokens": 1, "output_tokens": 1}, 7]},
        "token_usage.iterations[1]: expected a record with input and output tokens, got 7",
    ),
    "a count of an iteration": (
        reported(10, 5),
        {"iterations": [{"input_tokens": 1, "output_tokens": "1"}]},
        f"usage_metadata.output_tokens: {COUNT}, got '1'",
    ),
    "a detail of an iteration": (
        reported(10, 5),
        {"iterations": [{"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": "1"}}]},
        f"iterations.ephemeral_1h_input_tokens: {COUNT}, got '1'",
    ),
}


@pytest.mark.parametrize(("metadata", "raw", "problem"), ODD_METADATA.values(), ids=ODD_METADATA)
def test_odd_metadata_is_a_problem_that_names_field_and_value(
    metadata: dict[str, Any], raw: dict[str, Any], problem: str
) -> None:
    same(
        usage_from_metadata(metadata, raw, provider="google_vertexai", tools={"web_search": 1}),
        Usage(buckets={}, problem=problem),
    )


def iteration(kind: str, total_input: int, total_output: int, model: str | None = None, **more: Any) -> dict[str, Any]:
    return {"type": kind, "model": model, "input_tokens": total_input, "output_tokens": total_output, **more}


def test_iterations_are_billed_with_all_their_cached_tokens() -> None:
    metadata = reported(1, 1, total_tokens=2, output_token_details={"reasoning": 9})
    raw = {
        "iterations": [
            iteration("compaction", 100, 20, cache_read_input_tokens=3, cache_creation_input_tokens=4),
            iteration(
                "message",
                200,
                30,
                cache_read_input_tokens=5,
                cache_creation_input_tokens=13,
                cache_creation={"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 7},
            ),
        ]
    }
    same(
        usage_from_metadata(metadata, raw),
        Usage(
            buckets={
                "cache_read": 8,
                "cache_write": 4,
                "cache_write_5m": 6,
                "cache_write_1h": 7,
                "input": 300,
                "output": 50,
            },
            reasoning_tokens=9,
        ),
    )


@pytest.mark.parametrize(
    ("iterations", "billed", "flags"),
    [
        ([iteration("message", 10, 1, "a"), iteration("message", 20, 2, "a")], (30, 3), ()),
        ([iteration("message", 10, 1, "a"), iteration("message", 20, 2, "b")], (20, 2), (FLAG_INCOMPLETE,)),
        ([iteration("advisor_message", 10, 1, "b"), iteration("message", 20, 2, "b")], (20, 2), (FLAG_INCOMPLETE,)),
        ([iteration("message", 20, 2, "a"), iteration("advisor_message", 10, 1, "b")], (20, 2), (FLAG_INCOMPLETE,)),
        ([iteration("message", 20, 2, "a"), iteration("compaction", 10, 1, "b")], (30, 3), ()),
        ([iteration("compaction", 10, 1)], (10, 1), ()),
    ],
)
def test_iterations_of_the_model_that_answered_are_summed(
    iterations: list[dict[str, Any]], billed: tuple[int, int], flags: tuple[str, ...]
) -> None:
    usage = usage_from_metadata(reported(1, 1), {"iterations": iterations})
    same(usage, Usage(buckets={"input": billed[0], "output": billed[1]}, flags=flags))


@pytest.mark.parametrize("count", [0, 1, MOST])
def test_a_count_goes_from_nothing_to_what_every_store_can_hold(count: int) -> None:
    """JSON readers that use floats hold whole numbers exactly up to 2**53."""
    assert check_count(count, "n") == count
    usage = usage_from_metadata(reported(count, 1, input_token_details={"cache_read": count}))
    same(usage, Usage(buckets={"cache_read": count, "output": 1}))


@pytest.mark.parametrize("count", [MOST + 1, -1, True, 1.0, None])
def test_what_is_no_count_is_refused_in_one_sentence(count: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        check_count(count, "n")
    assert str(refused.value) == f"n: {COUNT}, got {count!r}"
    with pytest.raises(InvalidValue) as refused:
        Usage(buckets={"web_search": count})
    assert str(refused.value) == f"usage.web_search: {COUNT}, got {count!r}"
    with pytest.raises(InvalidValue) as refused:
        Usage(buckets={}, reasoning_tokens=count)
    assert str(refused.value) == f"usage.reasoning_tokens: {COUNT}, got {count!r}"


def test_what_is_no_bucket_or_no_json_is_refused_in_one_sentence() -> None:
    with pytest.raises(InvalidValue) as refused:
        Usage(buckets={"in put": 1})
    assert str(refused.value) == ("usage.buckets: expected names made of letters, digits and underscores, got 'in put'")
    for odd in ("[]", "{", 7, None):
        with pytest.raises(InvalidValue) as refused:
            Usage(buckets={}, raw_json=odd)  # type: ignore[arg-type]  # odd on purpose
        assert str(refused.value) == f"usage.raw_json: expected the JSON text of an object, got {odd!r}"


def test_tools_that_pass_for_tokens_are_a_problem() -> None:
    usage = usage_from_metadata(reported(10, 5), tools={"web_search": 1, "input": 2})
    same(
        usage,
        Usage(
            buckets={},
            problem="usage.tools: expected buckets that count calls, not tokens, got ['input', 'web_search']",
        ),
    )


def test_raw_numbers_that_no_json_can_hold_are_named_and_left() -> None:
    for raw in ({"x": {(1,): 2}}, {"x": "\ud800"}):
        [(key, why)] = usage_from_metadata({**reported(10, 5), **raw}).raw.items()
        assert key == "unreadable"
        assert why
        assert why != "None"
    long = usage_from_metadata({**reported(10, 5), "x": "y" * 70_000})
    assert list(long.raw) == ["unreadable"]
    assert long.raw["unreadable"].endswith(" characters")
    assert int(long.raw["unreadable"].split()[0]) > 70_000
    assert long.buckets == {"input": 10, "output": 5}
    whole = '{"x":"' + "y" * (65_536 - 8) + '"}'
    assert Usage(buckets={}, raw_json=whole).raw_json == whole
    assert Usage(buckets={}, raw_json=whole.replace('"x"', '"xx"')).raw == {"unreadable": "65537 characters"}


def test_a_flag_is_added_once_and_changes_nothing_else() -> None:
    usage = Usage(
        buckets={"output": 5},
        reasoning_tokens=3,
        raw_json='{"a":1}',
        flags=(FLAG_OVERLAP,),
        problem=None,
    )
    once = flagged(usage, FLAG_INCOMPLETE)
    assert once == Usage(
        buckets={"output": 5}, reasoning_tokens=3, raw_json='{"a":1}', flags=(FLAG_OVERLAP, FLAG_INCOMPLETE)
    )
    assert flagged(once, FLAG_OVERLAP) == once
    assert flagged(Usage(buckets={}, problem="odd"), FLAG_OVERLAP).problem == "odd"


def test_every_flag_is_kept_once_in_the_order_it_was_found() -> None:
    usage = usage_from_metadata(
        reported(
            10,
            5,
            total_tokens=99,
            input_token_details={"cache_read": 8, "audio": 8},
            output_token_details={"reasoning": 6, "audio": 7},
        ),
        incomplete=True,
        flags=["first", FLAG_INCOMPLETE],
    )
    assert usage.flags == (FLAG_INCOMPLETE, "first", FLAG_TOTAL_MISMATCH, FLAG_OVERLAP, FLAG_INCONSISTENT)
    assert usage.buckets == {"cache_read": 8, "input_audio": 2, "output_audio": 5}
    assert usage.reasoning_tokens == 5


def test_a_usage_is_written_as_json_objects_under_these_keys() -> None:
    usage = Usage(buckets={"input": 1}, reasoning_tokens=0, raw_json='{"a":1}', flags=("f",), problem=None)
    assert usage.to_dict() == {
        "buckets": {"input": 1},
        "reasoning_tokens": 0,
        "flags": ["f"],
        "problem": None,
        "raw": {"a": 1},
    }
