"""langchain-openai, Responses API. Shapes: https://platform.openai.com/docs/api-reference/responses/object."""

from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from costtrace.usage import FLAG_TOOL_FEES
from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

USAGE = {
    "input_tokens": 9100,
    "input_tokens_details": {"cached_tokens": 4096, "cache_write_tokens": 1000},
    "output_tokens": 900,
    "output_tokens_details": {"reasoning_tokens": 640},
    "total_tokens": 10000,
}
BUCKETS = {"cache_read": 4096, "cache_write": 1000, "input": 4004, "output": 900}

SEARCH = {"type": "search", "query": "prices", "queries": ["prices"], "sources": []}
TOOLS: list[dict[str, Any]] = [
    {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": SEARCH},
    {"id": "ws_2", "type": "web_search_call", "status": "completed", "action": SEARCH},
    {
        "id": "ws_3",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "open_page", "url": "https://example.org"},
    },
    {
        "id": "ws_4",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "find_in_page", "url": "https://example.org", "pattern": "price"},
    },
    {"id": "fs_1", "type": "file_search_call", "status": "completed", "queries": ["terms"], "results": None},
    {
        "id": "ci_1",
        "type": "code_interpreter_call",
        "status": "completed",
        "code": "1+1",
        "container_id": "cntr_1",
        "outputs": [],
    },
]
COUNTS = {"web_search": 2, "file_search": 1, "code_execution": 1}
IMAGE = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "aGVsbG8="}
ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}],
}


def response(*items: dict[str, Any], tier: str = "default", status: str = "completed") -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1795300000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "gpt-5.4-2026-03-05",
        "output": [*items, ANSWER],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "service_tier": tier,
        "usage": USAGE,
    }


def events(*items: dict[str, Any], tier: str = "default") -> list[dict[str, Any]]:
    last = len(items)
    said = {"item_id": "msg_1", "output_index": last, "content_index": 0, "logprobs": []}
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response(tier="auto", status="in_progress"), "usage": None}}
    ]
    for index, item in enumerate(items):
        started = {**item, "status": "in_progress"}
        found.append({"type": "response.output_item.added", "output_index": index, "item": started})
        found.append({"type": "response.output_item.done", "output_index": index, "item": item})
    found.append({"type": "response.output_item.added", "output_index": last, "item": {**ANSWER, "content": []}})
    found.append({"type": "response.output_text.delta", "delta": "Hello.", **said})
    found.append({"type": "response.output_item.done", "output_index": last, "item": ANSWER})
    found.append({"type": "response.completed", "response": response(*items, tier=tier)})
    return [{**event, "sequence_number": number} for number, event in enumerate(found)]


def model(stand_in: StandIn, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-5.4",
        api_key=SecretStr("sk-test"),
        base_url=f"{stand_in.url}/v1",
        use_responses_api=True,
        stream_usage=True,
        max_retries=0,
        **options,
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("tier", ["default", "flex", "priority"])
def test_tokens_are_split_by_what_was_cached_and_written(
    stand_in: StandIn,
    recorded: Recorded,
    tier: str,
    stream: bool,  # noqa: FBT001 - pytest passes by name
) -> None:
    if stream:
        stand_in.streams(events(tier=tier), done=False)
    else:
        stand_in.answers(response(tier=tier))
    entry = recorded(model(stand_in), stream=stream)
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert (usage.reasoning_tokens, usage.flags) == (640, ())
    assert (entry.model, entry.details["service_tier"]) == ("gpt-5.4-2026-03-05", tier)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("version", ["responses/v1", "v1", "v0"])
def test_a_search_is_counted_and_a_page_that_was_opened_is_not(
    stand_in: StandIn,
    recorded: Recorded,
    version: str,
    stream: bool,  # noqa: FBT001 - pytest passes by name
) -> None:
    if stream:
        stand_in.streams(events(*TOOLS), done=False)
    else:
        stand_in.answers(response(*TOOLS))
    usage = usage_of(recorded(model(stand_in, output_version=version), stream=stream))
    assert usage.buckets == {**BUCKETS, **COUNTS}
    assert usage.flags == ()
    assert usage.raw["tool_calls"] == COUNTS


def test_the_tokens_of_a_generated_image_are_known_to_be_missing(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(response(IMAGE))
    usage = usage_of(recorded(model(stand_in)))
    assert usage.buckets == {**BUCKETS, "image_generation": 1}
    assert usage.flags == (FLAG_TOOL_FEES,)
