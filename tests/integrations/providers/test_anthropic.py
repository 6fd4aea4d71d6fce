"""langchain-anthropic. Shapes: https://docs.anthropic.com/en/api/messages and .../messages-streaming."""

from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import SecretStr

from costtrace.usage import FLAG_INCOMPLETE
from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

USAGE: dict[str, Any] = {
    "input_tokens": 21,
    "cache_creation_input_tokens": 5500,
    "cache_read_input_tokens": 18886,
    "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 5000},
    "output_tokens": 393,
    "service_tier": "standard",
    "inference_geo": "global",
}
BUCKETS = {"cache_read": 18886, "cache_write_5m": 500, "cache_write_1h": 5000, "input": 21, "output": 393}
SAID = {"type": "text", "text": "Hello."}


def server_tool(number: int, name: str) -> dict[str, Any]:
    return {"type": "server_tool_use", "id": f"srvtoolu_{number}", "name": name, "input": {"query": "prices"}}


FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
FAILED = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_2",
    "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
}
SEARCHED = [
    server_tool(1, "web_search"),
    FOUND,
    server_tool(2, "web_search"),
    FAILED,
    server_tool(3, "web_fetch"),
    SAID,
]


def message(content: list[dict[str, Any]], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
    }


def events(content: list[dict[str, Any]], usage: dict[str, Any]) -> list[dict[str, Any]]:
    totals = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
    found: list[dict[str, Any]] = [{"type": "message_start", "message": message([], {**usage, "output_tokens": 1})}]
    for index, block in enumerate(content):
        empty = {**block, "text": ""} if block["type"] == "text" else block
        found.append({"type": "content_block_start", "index": index, "content_block": empty})
        if block["type"] == "text":
            delta = {"type": "text_delta", "text": block["text"]}
            found.append({"type": "content_block_delta", "index": index, "delta": delta})
        found.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    found.append({"type": "message_delta", "delta": ended, "usage": {key: usage[key] for key in totals}})
    return [*found, {"type": "message_stop"}]


def model(stand_in: StandIn, **options: Any) -> ChatAnthropic:
    return ChatAnthropic(
        model_name="claude-sonnet-4-6",
        api_key=SecretStr("sk-ant-test"),
        base_url=stand_in.url,
        max_retries=0,
        max_tokens_to_sample=999,
        **options,
    )


def marked(*ttls: str | None) -> list[Any]:
    marks = [{"type": "ephemeral"} | ({"ttl": ttl} if ttl else {}) for ttl in ttls]
    blocks: list[Any] = [{"type": "text", "text": "Rules.", "cache_control": mark} for mark in marks]
    return [SystemMessage(blocks), HumanMessage("Hi")]


def test_the_cached_tokens_that_anthropic_counts_beside_the_input_are_part_of_it(
    stand_in: StandIn, recorded: Recorded
) -> None:
    stand_in.answers(message([SAID], USAGE))
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert usage.flags == ()
    assert (entry.provider, entry.model) == ("anthropic", "claude-sonnet-4-6")
    assert entry.details["service_tier"] == "standard"
    assert entry.details["price_context"] == {"inference_geo": "global"}


@pytest.mark.parametrize(
    ("ttls", "said"), [((None,), "5m"), (("5m", None), "5m"), (("1h",), "1h"), (("1h", "5m"), "mixed"), ((), None)]
)
def test_a_stream_loses_how_long_a_write_is_kept_and_the_request_still_knows(
    stand_in: StandIn, recorded: Recorded, ttls: tuple[str | None, ...], said: str | None
) -> None:
    stand_in.streams(events([SAID], USAGE), done=False)
    entry = recorded(model(stand_in), marked(*ttls), stream=True)
    assert usage_of(entry).buckets == {"cache_read": 18886, "cache_write": 5500, "input": 21, "output": 393}
    assert entry.details.get("price_context", {}).get("cache_ttl") == said


def test_marks_on_tools_and_on_the_whole_call_count_as_well(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.streams(events([SAID], USAGE), done=False)
    tool = {"name": "lookup", "description": "", "input_schema": {"type": "object"}}
    with_tool = model(stand_in).bind_tools([{**tool, "cache_control": {"type": "ephemeral", "ttl": "1h"}}])
    assert recorded(with_tool, stream=True).details["price_context"]["cache_ttl"] == "1h"
    whole = model(stand_in).bind(cache_control={"type": "ephemeral"})
    assert recorded(whole, stream=True).details["price_context"]["cache_ttl"] == "5m"


def test_an_answer_that_splits_its_writes_needs_no_word_from_the_request(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(message([SAID], USAGE))
    assert "cache_ttl" not in recorded(model(stand_in), marked("1h")).details["price_context"]


def test_speed_and_place_are_those_served(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(message([SAID], {**USAGE, "speed": "fast", "inference_geo": "us"}))
    served = recorded(model(stand_in, inference_geo="global"))
    assert served.details["price_context"] == {"speed": "fast", "inference_geo": "us"}
    stand_in.streams(events([SAID], USAGE), done=False)
    asked = recorded(model(stand_in, inference_geo="us", model_kwargs={"service_tier": "standard_only"}), stream=True)
    assert asked.details["price_context"] == {"inference_geo": "us", "requested_service_tier": "standard_only"}


def test_searches_are_counted_as_anthropic_counts_them(stand_in: StandIn, recorded: Recorded) -> None:
    tools = {"server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 1}}
    stand_in.answers(message(SEARCHED, {**USAGE, **tools}))
    assert usage_of(recorded(model(stand_in))).buckets == {**BUCKETS, "web_search": 1}


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_a_streamed_search_that_failed_is_not_counted(stand_in: StandIn, recorded: Recorded, version: str) -> None:
    """Without the raw count, the blocks are counted; LangChain's own form of them does not tell failures apart."""
    stand_in.streams(events(SEARCHED if version == "v0" else SEARCHED[:2], USAGE), done=False)
    client = model(stand_in, output_version=version).bind_tools([{"type": "web_search_20250305", "name": "web_search"}])
    usage = usage_of(recorded(client, stream=True))
    assert usage.buckets["web_search"] == 1
    assert usage.flags == ()


def test_code_that_anthropic_ran_is_counted(stand_in: StandIn, recorded: Recorded) -> None:
    ran = [server_tool(1, "bash_code_execution"), server_tool(2, "text_editor_code_execution"), SAID]
    stand_in.answers(message(ran, USAGE))
    usage = usage_of(recorded(model(stand_in)))
    assert usage.buckets == {**BUCKETS, "code_execution": 2}


def iteration(kind: str, **counts: Any) -> dict[str, Any]:
    nothing = {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    return {**nothing, "type": kind, **counts}


def test_an_advisor_is_another_model_whose_tokens_are_known_to_be_missing(
    stand_in: StandIn, recorded: Recorded
) -> None:
    plain = {"input_tokens": 100, "output_tokens": 50}
    iterations = [
        iteration("compaction", input_tokens=9000, output_tokens=700),
        iteration("message", model="claude-sonnet-4-6", **plain),
        iteration("advisor_message", model="claude-opus-5", input_tokens=823, output_tokens=531),
    ]
    stand_in.answers(message([SAID], {**plain, "iterations": iterations}))
    entry = recorded(model(stand_in, betas=["advisor-tool-2026-03-01"]))
    assert entry.usage is not None
    assert entry.usage.buckets == {"input": 9100, "output": 750}
    assert entry.usage.flags == (FLAG_INCOMPLETE,)
