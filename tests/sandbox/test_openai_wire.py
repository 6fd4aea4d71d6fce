"""How the OpenAI stand-in fails, refuses, holds connections and ends, and the shape of what it sends."""

import asyncio
import http.client
import json
import resource
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_openai import OpenAIEmbeddings
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import SecretStr, TypeAdapter

from costtrace.sandbox.openai import OpenAIServer, Reply, ToolCall
from tests.langchain.calls import chat_model

QUESTION = "Where is my parcel?"


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def use_responses_api(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of every connection live in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 6000
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def sdk(server: OpenAIServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.base_url, api_key="sk-local", max_retries=0, timeout=30)


def post(server: OpenAIServer, path: str, body: bytes, *, method: str = "POST", **headers: str) -> tuple[int, Any]:
    address = urllib.parse.urlsplit(server.base_url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    try:
        connection.request(method, address.path + path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def events(server: OpenAIServer, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The data of every server-sent event of a streamed answer, as parsed JSON."""
    address = urllib.parse.urlsplit(server.base_url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    try:
        headers = {"Authorization": "Bearer sk-local"}
        connection.request("POST", address.path + path, body=json.dumps({**body, "stream": True}), headers=headers)
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(item) for item in data if item != "[DONE]"]


def test_a_rate_limit_is_retried_by_the_client_and_both_calls_are_recorded(
    server: OpenAIServer, *, use_responses_api: bool
) -> None:
    server.script(Reply(status=429), Reply(text="at last"))
    model = chat_model(server, max_retries=1, use_responses_api=use_responses_api)

    assert model.invoke(QUESTION).text == "at last"
    assert [(call.status, call.model) for call in server.calls] == [(429, "gpt-4o"), (200, "gpt-4o-2024-08-06")]
    assert server.calls[0].usage is None


def test_a_server_error_is_raised_in_the_shape_of_openai(server: OpenAIServer, *, use_responses_api: bool) -> None:
    server.script(Reply(status=500, text="out of order", error_code="broken", headers={"x-should-retry": "false"}))

    with pytest.raises(openai.InternalServerError) as raised:
        chat_model(server, max_retries=3, use_responses_api=use_responses_api).invoke(QUESTION)

    assert raised.value.body == {"message": "out of order", "type": "server_error", "param": None, "code": "broken"}
    assert raised.value.response.headers["x-request-id"].startswith("req_")
    assert [call.status for call in server.calls] == [500]


def test_a_model_name_can_ask_for_an_error(server: OpenAIServer) -> None:
    with pytest.raises(openai.RateLimitError) as raised:
        chat_model(server, "gpt-4o-error-429").invoke(QUESTION)

    assert raised.value.code == "rate_limit_exceeded"
    assert raised.value.response.headers["retry-after-ms"] == "20"


def test_a_stream_can_break_off(server: OpenAIServer, *, use_responses_api: bool) -> None:
    whole = "one two three four five six seven eight"
    server.script(Reply(text=whole, error_after_chunks=6))
    received: list[str] = []

    with pytest.raises(openai.APIConnectionError):
        received.extend(
            chunk.text for chunk in chat_model(server, use_responses_api=use_responses_api).stream(QUESTION)
        )

    text = "".join(received)
    assert text
    assert whole.startswith(text)
    assert text != whole
    (call,) = server.calls
    assert (call.status, call.usage, call.streamed, call.complete) == (200, None, True, False)


def test_a_plain_call_can_lose_its_connection(server: OpenAIServer) -> None:
    server.script(Reply(error_after_chunks=0))

    with pytest.raises(openai.APIConnectionError):
        chat_model(server).invoke(QUESTION)

    assert (server.calls[0].usage, server.calls[0].complete) == (None, False)
    assert QUESTION in chat_model(server).invoke(QUESTION).text


def test_a_client_that_leaves_a_stream_is_recorded_as_incomplete(server: OpenAIServer) -> None:
    server.script(Reply(text="long " * 400_000))  # More than the buffers between two sockets hold.
    stream = chat_model(server).stream(QUESTION)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # Typed as an iterator, is a generator.
    server.stop()

    (call,) = server.calls
    assert (call.usage, call.complete) == (None, False)


def test_a_delayed_answer_lets_a_client_time_out(server: OpenAIServer) -> None:
    server.script(Reply(delay_s=60))

    with pytest.raises(openai.APITimeoutError):
        chat_model(server, timeout=0.05).invoke(QUESTION)


@pytest.mark.usefixtures("many_files")
async def test_five_hundred_concurrent_calls_are_all_answered_and_recorded(server: OpenAIServer) -> None:
    model = chat_model(server, timeout=120)
    answers = await asyncio.gather(*(model.ainvoke(f"Message number {n}") for n in range(500)))

    assert [f"Message number {n}" in answer.text for n, answer in enumerate(answers)] == [True] * 500
    assert sorted(call.usage["total_tokens"] for call in server.calls if call.usage) == sorted(
        answer.usage_metadata["total_tokens"] for answer in answers if answer.usage_metadata
    )


@pytest.mark.usefixtures("many_files")
async def test_two_thousand_connections_are_open_at_once(server: OpenAIServer) -> None:
    port = int(server.base_url.rsplit(":", 1)[1].removesuffix("/v1"))
    request = b"GET /v1/models HTTP/1.1\r\nHost: local\r\nAuthorization: Bearer sk-local\r\n\r\n"
    everyone_connected = asyncio.Barrier(2000)

    async def visit() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await everyone_connected.wait()
        writer.write(request)
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return status

    assert set(await asyncio.gather(*(visit() for _ in range(2000)))) == {b"HTTP/1.1 200 OK\r\n"}
    assert len(server.calls) == 2000


def test_embeddings_are_unit_vectors_with_usage_in_both_encodings(server: OpenAIServer) -> None:
    client = sdk(server)
    texts = ["a parcel", "another parcel"]
    packed = client.embeddings.create(model="text-embedding-3-small", input=texts)
    plain = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")

    for small, large in zip(packed.data, plain.data, strict=True):
        assert small.embedding == pytest.approx(large.embedding, abs=1e-6)
        assert sum(value * value for value in large.embedding) == pytest.approx(1)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert server.calls[0].usage == {"prompt_tokens": 2 + 4, "total_tokens": 2 + 4}
    client.close()


def test_langchain_embeddings_work_with_texts_and_dimensions(server: OpenAIServer) -> None:
    model = OpenAIEmbeddings(
        base_url=server.base_url,
        api_key=SecretStr("sk-local"),
        model="text-embedding-3-large",
        dimensions=8,
        check_embedding_ctx_length=False,
    )

    assert [len(vector) for vector in model.embed_documents(["one", "two"])] == [8, 8]
    assert server.calls[0].path == "/v1/embeddings"


def test_models_are_listed(server: OpenAIServer) -> None:
    client = sdk(server)

    assert "gpt-4o-2024-08-06" in {model.id for model in client.models.list()}
    client.close()


@pytest.mark.parametrize(
    ("request_line", "body", "status", "error_code"),
    [
        ("POST /elsewhere", "{}", 404, None),
        ("GET /chat/completions", "", 405, "method_not_supported"),
        ("POST /chat/completions", "{not json", 400, None),
        ("POST /responses", "[]", 400, None),
        ("POST /chat/completions", '{"model": "m"}', 400, "missing_required_parameter"),
        ("POST /chat/completions", '{"model": "m", "messages": "hi"}', 400, "invalid_type"),
        ("POST /responses", '{"model": "m", "input": [7]}', 400, None),
        ("POST /responses", '{"model": "m", "previous_response_id": "r"}', 400, "previous_response_not_found"),
        ("POST /embeddings", '{"model": "m", "input": []}', 400, None),
    ],
)
def test_a_wrong_request_is_refused_in_the_shape_of_openai(
    server: OpenAIServer, request_line: str, body: str, status: int, error_code: str | None
) -> None:
    server.script(Reply(text="kept for a valid request"))
    method, path = request_line.split()
    got, answer = post(server, path, body.encode(), method=method, Authorization="Bearer sk-local")

    assert got == status == server.calls[0].status
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert (answer["error"]["type"], answer["error"]["code"]) == ("invalid_request_error", error_code)
    assert chat_model(server).invoke(QUESTION).text == "kept for a valid request"


def test_a_call_without_a_key_is_refused(server: OpenAIServer) -> None:
    for path in ("/chat/completions", "/responses", "/embeddings"):
        assert post(server, path, b"{}")[0] == 401
    assert [call.status for call in server.calls] == [401, 401, 401]


def test_every_payload_satisfies_the_types_of_the_sdk(server: OpenAIServer) -> None:
    chat = {"model": "gpt-5", "messages": [{"role": "user", "content": QUESTION}], "n": 2}
    options = {"stream_options": {"include_usage": True}}
    answer = {"model": "gpt-5", "input": QUESTION}
    tool_call = Reply(text="Wait.", tool_calls=(ToolCall(name="look", arguments={"at": "this"}),))
    any_event: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
    server.script(*[tool_call] * 4)

    for _ in ("scripted", "unscripted"):
        ChatCompletion.model_validate(
            post(server, "/chat/completions", json.dumps(chat).encode(), Authorization="Bearer x")[1]
        )
        Response.model_validate(post(server, "/responses", json.dumps(answer).encode(), Authorization="Bearer x")[1])
        for event in events(server, "/chat/completions", chat | options):
            ChatCompletionChunk.model_validate(event)
        stream = events(server, "/responses", answer)
        assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
        for event in stream:
            any_event.validate_python(event)


def test_responses_stream_the_documented_events(server: OpenAIServer) -> None:
    server.script(Reply(text="hi", tool_calls=(ToolCall(name="look", arguments={}),)))

    assert [
        event["type"].removeprefix("response.") for event in events(server, "/responses", {"model": "o3", "input": ""})
    ] == [
        "created",
        "in_progress",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_stopping_ends_the_thread_and_closes_the_port() -> None:
    server = OpenAIServer()
    before = set(threading.enumerate())
    server.start()
    address = urllib.parse.urlsplit(server.base_url)
    (thread,) = set(threading.enumerate()) - before
    chat_model(server).invoke(QUESTION)  # Leaves a connection open.

    server.stop()
    server.stop()

    assert not thread.is_alive()
    connection = http.client.HTTPConnection(address.netloc, timeout=5)
    with pytest.raises(ConnectionRefusedError):
        connection.connect()
    assert len(server.calls) == 1


def test_a_stopped_server_starts_again_and_a_running_one_does_not() -> None:
    server = OpenAIServer()
    with pytest.raises(RuntimeError, match="no address before"):
        _ = server.base_url
    for _ in range(2):
        with server:
            assert QUESTION in chat_model(server).invoke(QUESTION).text
            with pytest.raises(RuntimeError, match="already running"):
                server.start()
