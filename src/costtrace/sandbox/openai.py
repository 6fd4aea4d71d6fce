"""A loopback stand-in for the OpenAI API: chat completions, responses, embeddings and models, streamed and not.

It answers the real client libraries as OpenAI would, with a deterministic model behind it, so that a test or a demo can
compare what was recorded with what was sent on the wire:

    with OpenAIServer() as server:
        model = ChatOpenAI(model="gpt-4o", base_url=server.base_url, api_key="sk-local", stream_usage=True)
        model.invoke("Where is my order 1234?")
        server.calls[-1].usage

`server.script(...)` says what the next calls get: another text, usage, tier or model, an error, a delay, a broken
connection.
"""

import asyncio
import collections
import dataclasses
import itertools
import json
import re
import threading
import uuid
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from costtrace.sandbox import openai_model, openai_requests, openai_wire
from costtrace.sandbox.loopback import LoopbackServer, Request, Response, Stream
from costtrace.sandbox.openai_model import Answer, PromptCache, ToolCall
from costtrace.sandbox.openai_requests import InvalidRequestError, Prompt

__all__ = ["Call", "OpenAIServer", "Reply", "ToolCall"]

_Json = dict[str, Any]
_Asked = TypeVar("_Asked")

_PATHS = frozenset({"/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/models"})
_OK = 200
_FIRST_ERROR = 400
_RETRY_SOON: Mapping[str, str] = {"retry-after": "1", "retry-after-ms": "20"}
_MESSAGES: Mapping[int, str] = {
    429: "Rate limit reached. Please try again in 20ms.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
}
_FAILING_MODEL = re.compile(r"-error-([45]\d\d)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request and what was sent back.

    `model` and `service_tier` are the served ones (the requested model when the call failed). `usage` is the object as
    it stood on the wire, None when none was sent. `complete` is false when the connection ended before the answer did.
    """

    path: str
    status: int
    model: str | None = None
    service_tier: str | None = None
    usage: dict[str, Any] | None = None
    streamed: bool = False
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one call gets. Everything that is not given is as it would be without a script.

    `usage` is laid over the usage the call would report, in the names of the API that is called; the total follows
    unless it is given. With a `status` of 400 or more the call fails: `text` is then the message of the error and
    `error_code` its code, `headers` come with it (a 429 asks to retry after 20 ms unless they say otherwise).
    `error_after_chunks` breaks the connection after so many events of a stream, or before the answer of a plain call.
    `delay_s` are seconds before anything is sent.
    """

    text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    service_tier: str | None = None
    status: int = _OK
    headers: Mapping[str, str] = field(default_factory=dict)
    error_code: str | None = None
    error_after_chunks: int | None = None
    delay_s: float = 0.0


class OpenAIServer:
    """The stand-in as a context manager: listening on a free loopback port inside, gone after.

    Any key is accepted, none is refused with 401. A model named `...-error-429` (or another status) fails with it.
    Prompts are remembered per model, as digests, and reported as cached tokens; nothing else of a request is kept.
    """

    def __init__(self) -> None:
        self._http = LoopbackServer(self._answer, name="openai stand-in")
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._replies: collections.deque[Reply] = collections.deque()
        self._cache = PromptCache()

    @property
    def base_url(self) -> str:
        """What a client takes as its base URL; RuntimeError before the first start."""
        return f"{self._http.address}/v1"

    @property
    def calls(self) -> list[Call]:
        """Every request so far in order of completion; whoever has read an answer to its end finds it here."""
        with self._lock:
            return list(self._calls)

    def script(self, *replies: Reply) -> None:
        """The next completions, responses or embeddings get these, one each, in order of arrival."""
        with self._lock:
            self._replies.extend(replies)

    def start(self) -> None:
        """Listens when this returns. RuntimeError when it is started already."""
        self._http.start()

    def stop(self) -> None:
        """Port closed, connections ended, thread gone when this returns. Does nothing when not started."""
        self._http.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _answer(self, request: Request) -> Response | Stream | None:
        match request.method, request.path:
            case "POST", "/v1/chat/completions":
                return await self._generate(request, openai_requests.chat_prompt, self._chat)
            case "POST", "/v1/responses":
                return await self._generate(request, openai_requests.responses_prompt, self._responses)
            case "POST", "/v1/embeddings":
                return await self._generate(request, openai_requests.embedding_inputs, self._embeddings)
            case "GET", "/v1/models":
                call = Call(path=request.path, status=_OK)
                return self._unauthorized(request) or self._sent(call, openai_wire.models())
            case method, path if path in _PATHS:
                return self._failed(request, 405, f"Not allowed to {method} on {path}.", code="method_not_supported")
            case method, path:
                return self._failed(request, 404, f"Invalid URL ({method} {path})")

    async def _generate(
        self,
        request: Request,
        read: Callable[[_Json], _Asked],
        answer: Callable[[Request, _Json, _Asked, Reply], Response | Stream | None],
    ) -> Response | Stream | None:
        if refusal := self._unauthorized(request):
            return refusal
        try:
            body = json.loads(request.body)
        except ValueError:
            return self._failed(request, 400, "We could not parse the JSON body of your request.")
        try:
            model = openai_requests.model_name(body)
            asked = read(body)
            reply = self._next_reply(model)
            await asyncio.sleep(reply.delay_s)
            if reply.status >= _FIRST_ERROR:
                return self._scripted_failure(request, model, reply)
            return answer(request, body, asked, reply)
        except InvalidRequestError as refused:
            return self._failed(request, 400, refused.message, param=refused.param, code=refused.code)

    def _chat(self, request: Request, body: _Json, prompt: Prompt, reply: Reply) -> Response | Stream | None:
        whole = openai_wire.chat_completion(self._complete(prompt, body, reply))
        if not prompt.stream:
            return self._whole(request, whole, reply)
        events = openai_wire.chat_events(
            whole, include_usage=prompt.include_usage, obfuscate=prompt.include_obfuscation
        )
        return self._streamed(request, whole, events, reply)

    def _responses(self, request: Request, body: _Json, prompt: Prompt, reply: Reply) -> Response | Stream | None:
        whole = openai_wire.response(self._complete(prompt, body, reply))
        if not prompt.stream:
            return self._whole(request, whole, reply)
        events = openai_wire.response_events(
            whole, requested_tier=prompt.service_tier, obfuscate=prompt.include_obfuscation
        )
        return self._streamed(request, whole, events, reply)

    def _embeddings(
        self, request: Request, body: _Json, inputs: openai_requests.Inputs, reply: Reply
    ) -> Response | None:
        counted = sum(openai_model.token_count(item) if isinstance(item, str) else len(item) for item in inputs)
        usage = openai_wire.usage({"prompt_tokens": counted}, reply.usage)
        model = reply.model or openai_requests.model_name(body)
        return self._whole(request, openai_wire.embeddings(inputs, body, model=model, usage=usage), reply)

    def _complete(self, prompt: Prompt, body: _Json, reply: Reply) -> openai_wire.Completion:
        model = reply.model or openai_model.SNAPSHOTS.get(prompt.model, prompt.model)
        answers = tuple(_said(prompt, reply, model, choice) for choice in range(prompt.choices))
        asked_tier = prompt.service_tier or "auto"
        return openai_wire.Completion(
            body=body,
            model=model,
            service_tier=reply.service_tier or ("default" if asked_tier == "auto" else asked_tier),
            answers=answers,
            counts=openai_model.count(prompt, answers, self._cache, model=model),
            usage_changes=reply.usage,
        )

    def _whole(self, request: Request, whole: _Json, reply: Reply) -> Response | None:
        call = _served(request, whole, streamed=False)
        if reply.error_after_chunks is not None:
            self._record(dataclasses.replace(call, usage=None, complete=False))
            return None
        return self._sent(call, whole)

    def _streamed(self, request: Request, whole: _Json, events: Iterable[openai_wire.Event], reply: Reply) -> Stream:
        dropped = reply.error_after_chunks is not None
        kept = itertools.islice(events, reply.error_after_chunks)
        return Stream(
            pieces=self._pieces(kept, _served(request, whole, streamed=True), dropped=dropped),
            headers={**_headers(), "content-type": "text/event-stream; charset=utf-8"},
            dropped=dropped,
        )

    def _pieces(
        self, events: Iterable[openai_wire.Event], call: Call, *, dropped: bool
    ) -> Generator[bytes, None, None]:
        """The events on their way out; the call is recorded before the last one leaves, or when the client is gone."""
        call = dataclasses.replace(call, usage=None, complete=False)
        held: bytes | None = None
        try:
            for event in events:
                if held is not None:
                    yield held
                held = event.data
                call = call if event.usage is None else dataclasses.replace(call, usage=event.usage)
            call = dataclasses.replace(call, complete=not dropped)
        finally:
            self._record(call)
        if held is not None:
            yield held

    def _scripted_failure(self, request: Request, model: str, reply: Reply) -> Response:
        limited = reply.status == 429  # noqa: PLR2004 - HTTP status code: too many requests
        return self._failed(
            request,
            reply.status,
            reply.text or _MESSAGES.get(reply.status, "The request failed."),
            code=reply.error_code or ("rate_limit_exceeded" if limited else None),
            model=model,
            headers={**(_RETRY_SOON if limited else {}), **reply.headers},
        )

    def _unauthorized(self, request: Request) -> Response | None:
        if request.headers.get("authorization", "").startswith("Bearer "):
            return None
        return self._failed(request, 401, "You didn't provide an API key in an Authorization header using Bearer auth.")

    def _failed(
        self,
        request: Request,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        model: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        call = Call(path=request.path, status=status, model=model)
        return self._sent(call, openai_wire.error(status, message, param=param, code=code), headers)

    def _sent(self, call: Call, body: _Json, headers: Mapping[str, str] | None = None) -> Response:
        self._record(call)
        return Response(
            status=call.status,
            body=openai_wire.dump(body),
            headers={**_headers(), "content-type": "application/json", **(headers or {})},
        )

    def _record(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)

    def _next_reply(self, model: str) -> Reply:
        if failing := _FAILING_MODEL.search(model):
            return Reply(status=int(failing.group(1)))
        with self._lock:
            return self._replies.popleft() if self._replies else Reply()


def _said(prompt: Prompt, reply: Reply, model: str, choice: int) -> Answer:
    if reply.text is None and not reply.tool_calls:
        said = openai_model.answer(prompt, model=model, choice=choice)
    else:
        reason = "tool_calls" if reply.tool_calls else "stop"
        said = Answer(text=reply.text or "", tool_calls=reply.tool_calls, finish_reason=reason)
    return said if reply.finish_reason is None else dataclasses.replace(said, finish_reason=reply.finish_reason)


def _served(request: Request, whole: Mapping[str, Any], *, streamed: bool) -> Call:
    return Call(
        path=request.path,
        status=_OK,
        model=whole["model"],
        service_tier=whole.get("service_tier"),
        usage=whole["usage"],
        streamed=streamed,
    )


def _headers() -> dict[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}", "openai-version": "2020-10-01"}
