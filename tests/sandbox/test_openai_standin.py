"""What the OpenAI stand-in answers, counts and remembers, seen through the real langchain-openai."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, BaseMessageChunk, HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from costtrace.sandbox.openai import Call, OpenAIServer, Reply, ToolCall
from tests.langchain.calls import chat_model

Mode = Literal["invoke", "ainvoke", "stream", "astream"]

QUESTION = "Where is my parcel?"
# Four tokens for the message, then 19 bytes in tokens of four.
QUESTION_TOKENS = 4 + 5


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def use_responses_api(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def joined(chunks: list[BaseMessageChunk]) -> BaseMessage:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


def asked(model: ChatOpenAI, mode: Mode, prompt: Any) -> AIMessage:
    """The answer, by whichever of LangChain's four ways to ask."""

    async def astreamed() -> list[BaseMessageChunk]:
        return [chunk async for chunk in model.astream(prompt)]

    match mode:
        case "invoke":
            answer: BaseMessage = model.invoke(prompt)
        case "ainvoke":
            answer = asyncio.run(model.ainvoke(prompt))
        case "stream":
            answer = joined(list(model.stream(prompt)))
        case "astream":
            answer = joined(list(asyncio.run(astreamed())))
    assert isinstance(answer, AIMessage)
    return answer


def usage_of(answer: BaseMessage) -> dict[str, Any]:
    assert isinstance(answer, AIMessage)
    assert answer.usage_metadata is not None
    return dict(answer.usage_metadata)


def wire_totals(call: Call) -> tuple[int, int, int]:
    assert call.usage is not None
    names = (
        ("input_tokens", "output_tokens") if call.path == "/v1/responses" else ("prompt_tokens", "completion_tokens")
    )
    return call.usage[names[0]], call.usage[names[1]], call.usage["total_tokens"]


def weather_in(city: str) -> str:
    """Look up the weather of a city."""
    return f"It is sunny in {city}."


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_an_answer_carries_the_usage_that_was_on_the_wire(
    server: OpenAIServer, mode: Mode, *, use_responses_api: bool
) -> None:
    answer = asked(chat_model(server, use_responses_api=use_responses_api), mode, QUESTION)

    (call,) = server.calls
    usage = usage_of(answer)
    assert QUESTION in answer.text
    assert usage["input_tokens"] == QUESTION_TOKENS
    assert usage["output_tokens"] == -(-len(answer.text.encode()) // 4)
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == wire_totals(call)
    assert call.path == ("/v1/responses" if use_responses_api else "/v1/chat/completions")
    assert call.streamed == (mode in {"stream", "astream"})
    assert (call.status, call.model, call.service_tier, call.complete) == (200, "gpt-4o-2024-08-06", "default", True)
    assert answer.response_metadata["model_name"] == "gpt-4o-2024-08-06"
    assert answer.response_metadata["service_tier"] == "default"


def test_a_chat_stream_reports_no_usage_unless_it_was_asked_for(server: OpenAIServer) -> None:
    answer = asked(chat_model(server, stream_usage=False), "stream", QUESTION)

    assert answer.usage_metadata is None
    assert server.calls[0].usage is None
    assert server.calls[0].complete


def test_the_same_request_gets_the_same_answer_and_the_same_count(server: OpenAIServer) -> None:
    first, second = (chat_model(server).invoke(QUESTION) for _ in range(2))

    assert first.text == second.text
    assert usage_of(first) == usage_of(second)


def test_a_token_is_four_bytes_of_utf_8(server: OpenAIServer) -> None:
    chat_model(server).invoke("ü" * 3)

    assert wire_totals(server.calls[0])[0] == 4 + 2


def test_a_repeated_beginning_is_reported_as_cached(server: OpenAIServer, *, use_responses_api: bool) -> None:
    model = chat_model(server, use_responses_api=use_responses_api)
    policy = SystemMessage("x" * 6000)

    first = model.invoke([policy, HumanMessage("alpha")])
    second = model.invoke([policy, HumanMessage("beta")])

    # Both begin with 4 + 1500 tokens of policy and the 4 of the next message's role: 1024 and three steps of 128 fit.
    assert usage_of(first)["input_token_details"]["cache_read"] == 0
    assert usage_of(second)["input_token_details"]["cache_read"] == 1408
    assert usage_of(second)["input_tokens"] == 4 + 1500 + 4 + 1


def test_nothing_is_cached_below_1024_tokens_or_across_models(server: OpenAIServer) -> None:
    short, long = "x" * 4 * 1019, "x" * 4 * 1020
    for prompt in (short, short, long):
        assert usage_of(chat_model(server).invoke(prompt))["input_token_details"]["cache_read"] == 0

    assert usage_of(chat_model(server, "gpt-4o-mini").invoke(long))["input_token_details"]["cache_read"] == 0
    assert usage_of(chat_model(server).invoke(long))["input_token_details"]["cache_read"] == 1024


def test_newer_families_report_what_they_write_to_the_cache(server: OpenAIServer, *, use_responses_api: bool) -> None:
    model = chat_model(server, "gpt-5.6-luna", use_responses_api=use_responses_api)
    first, second = (model.invoke("x" * 4 * 1200) for _ in range(2))

    assert usage_of(first)["input_token_details"] | {"audio": 0} == {
        "audio": 0,
        "cache_read": 0,
        "cache_creation": 1152,
    }
    assert usage_of(second)["input_token_details"] | {"audio": 0} == {
        "audio": 0,
        "cache_read": 1152,
        "cache_creation": 0,
    }


@pytest.mark.parametrize("mode", ["invoke", "stream"])
@pytest.mark.parametrize(("effort", "thinking"), [(None, 128), ("low", 64), ("high", 256)])
def test_a_reasoning_model_counts_its_thinking_as_output(
    server: OpenAIServer, mode: Mode, effort: str | None, thinking: int, *, use_responses_api: bool
) -> None:
    model = chat_model(server, "gpt-5-mini", reasoning_effort=effort, use_responses_api=use_responses_api)
    answer = asked(model, mode, QUESTION)

    usage = usage_of(answer)
    assert usage["output_token_details"]["reasoning"] == thinking
    assert usage["output_tokens"] == thinking + -(-len(answer.text.encode()) // 4)


def test_two_choices_are_two_answers_in_one_usage(server: OpenAIServer) -> None:
    model = chat_model(server, n=2)
    (choices,) = model.generate([[HumanMessage(QUESTION)]]).generations

    first, second = (choice.text for choice in choices)
    assert first != second
    assert wire_totals(server.calls[0])[1] == -(-len(first.encode()) // 4) + -(-len(second.encode()) // 4)


@pytest.mark.parametrize("mode", ["invoke", "stream"])
@pytest.mark.parametrize(
    ("asked_for", "served"),
    [(None, "default"), ("auto", "default"), ("flex", "flex"), ("priority", "priority"), ("default", "default")],
)
def test_the_served_tier_follows_the_requested_one(
    server: OpenAIServer, mode: Mode, asked_for: str | None, served: str, *, use_responses_api: bool
) -> None:
    model = chat_model(server, service_tier=asked_for, use_responses_api=use_responses_api)
    answer = asked(model, mode, QUESTION)

    assert server.calls[0].service_tier == served
    assert answer.response_metadata["service_tier"] == served
    details = usage_of(answer)["input_token_details"]
    assert details.get(served) == (QUESTION_TOKENS if served in {"flex", "priority"} else None)


def test_a_script_can_serve_another_tier_and_another_model(server: OpenAIServer, *, use_responses_api: bool) -> None:
    server.script(Reply(service_tier="default", model="gpt-4o-2024-11-20"))
    model = chat_model(server, service_tier="priority", use_responses_api=use_responses_api)
    answer = model.invoke(QUESTION)

    assert QUESTION in answer.text
    assert answer.response_metadata["service_tier"] == server.calls[0].service_tier == "default"
    assert answer.response_metadata["model_name"] == server.calls[0].model == "gpt-4o-2024-11-20"


def test_scripted_replies_are_used_in_order_and_then_the_model_answers_again(server: OpenAIServer) -> None:
    server.script(Reply(text="one"), Reply(text="two"))
    model = chat_model(server)

    assert [model.invoke(QUESTION).text for _ in range(2)] == ["one", "two"]
    assert QUESTION in model.invoke(QUESTION).text


def test_a_scripted_usage_is_laid_over_the_counted_one(server: OpenAIServer) -> None:
    changes = {"prompt_tokens": 1000, "completion_tokens": 500, "prompt_tokens_details": {"cached_tokens": 400}}
    server.script(Reply(usage=changes), Reply(usage={"total_tokens": 7}))
    model = chat_model(server)

    usage = usage_of(model.invoke(QUESTION))
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (1000, 500, 1500)
    assert usage["input_token_details"] == {"audio": 0, "cache_read": 400}
    assert usage_of(model.invoke(QUESTION))["total_tokens"] == 7


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_scripted_tool_calls_arrive_as_given_also_broken_ones(
    server: OpenAIServer, mode: Mode, *, use_responses_api: bool
) -> None:
    calls = (ToolCall(name="first", arguments={"a": "ü b", "c": [1]}), ToolCall(name="second", arguments="not json"))
    server.script(Reply(text="Let me look.", tool_calls=calls))
    answer = asked(chat_model(server, use_responses_api=use_responses_api), mode, QUESTION)

    assert answer.text == "Let me look."
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [("first", {"a": "ü b", "c": [1]})]
    assert [(call["name"], call["args"]) for call in answer.invalid_tool_calls] == [("second", "not json")]
    assert answer.tool_calls[0]["id"] != answer.invalid_tool_calls[0]["id"]


@pytest.mark.parametrize("streaming", [False, True], ids=["plain", "streamed"])
def test_an_agent_calls_a_fitting_tool_and_answers_with_its_result(
    server: OpenAIServer, *, streaming: bool, use_responses_api: bool
) -> None:
    model = chat_model(server, streaming=streaming, use_responses_api=use_responses_api)
    agent: Any = create_agent(model, [weather_in])
    human, call, result, answer = agent.invoke({"messages": ["How is the weather in San Francisco, CA today?"]})[
        "messages"
    ]

    assert human.type == "human"
    assert [(made["name"], made["args"]) for made in call.tool_calls] == [("weather_in", {"city": "San Francisco, CA"})]
    assert result.tool_call_id == call.tool_calls[0]["id"]
    assert "It is sunny in San Francisco, CA." in answer.text
    assert [wire_totals(recorded) for recorded in server.calls] == [
        (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
        for usage in (usage_of(call), usage_of(answer))
    ]
    assert all(recorded.streamed == streaming for recorded in server.calls)


def test_a_tool_that_shares_no_word_with_the_question_is_not_called(server: OpenAIServer) -> None:
    answer = chat_model(server).bind_tools([weather_in]).invoke("What do you cost?")

    assert answer.tool_calls == []


def test_a_forced_tool_is_called_whatever_the_question(server: OpenAIServer, *, use_responses_api: bool) -> None:
    model = chat_model(server, use_responses_api=use_responses_api)

    for choice in ("any", "weather_in"):
        answer = model.bind_tools([weather_in], tool_choice=choice).invoke("Hello")
        assert [made["name"] for made in answer.tool_calls] == ["weather_in"]
    assert model.bind_tools([weather_in], tool_choice="none").invoke("weather?").tool_calls == []


class Item(BaseModel):
    sku: str
    quantity: int
    gift: bool


class Order(BaseModel):
    order_id: str
    email: str | None
    priority: Literal["low", "urgent"]
    items: list[Item]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_satisfies_the_schema(
    server: OpenAIServer, method: Literal["json_schema", "function_calling"], *, use_responses_api: bool
) -> None:
    model = chat_model(server, use_responses_api=use_responses_api).with_structured_output(Order, method=method)

    assert model.invoke("Order A-17 is urgent, write to ann@example.com") == Order(
        order_id="A-17",
        email="ann@example.com",
        priority="urgent",
        items=[Item(sku="A-17", quantity=-17, gift=True)],
    )


def test_a_schema_that_contains_itself_ends(server: OpenAIServer) -> None:
    node = {
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["children"],
    }
    answer_format = {"type": "json_schema", "json_schema": {"name": "node", "schema": node}}
    text = chat_model(server).invoke(QUESTION, response_format=answer_format).text

    assert set(json.loads(text)) == {"children"}


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_a_token_limit_cuts_the_answer_and_says_so(
    server: OpenAIServer, mode: Mode, *, use_responses_api: bool
) -> None:
    answer = asked(chat_model(server, max_tokens=5, use_responses_api=use_responses_api), mode, QUESTION)

    assert len(answer.text) == 20
    assert usage_of(answer)["output_tokens"] == 5
    if use_responses_api:
        assert answer.response_metadata["status"] == "incomplete"
    else:
        assert answer.response_metadata["finish_reason"] == "length"
