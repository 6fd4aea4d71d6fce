"""What the OpenAI API sends: the JSON of both APIs, their event streams, embeddings, models and errors."""

import base64
import hashlib
import itertools
import json
import math
import re
import struct
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from costtrace.sandbox.openai_model import SNAPSHOTS, Answer, Counts
from costtrace.sandbox.openai_requests import Inputs

Json = dict[str, Any]

DONE = b"data: [DONE]\n\n"

_PIECE = re.compile(r"\s*\S{1,8}|\s+")
_OBFUSCATED_LENGTH = 16
_INCOMPLETE: Mapping[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Event(NamedTuple):
    """One server-sent event, and the usage it carries."""

    data: bytes
    usage: Json | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answered call: who served it, what it said and what it counted, beside the request's own body."""

    body: Mapping[str, Any]
    model: str
    service_tier: str
    answers: tuple[Answer, ...]
    counts: Counts
    usage_changes: Mapping[str, Any]


def error(status: int, message: str, *, param: str | None = None, code: str | None = None) -> Json:
    """The body of an error answer; the type follows from the status as it does at OpenAI."""
    kind = "server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error"  # noqa: PLR2004 - HTTP status codes
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def models() -> Json:
    """The answer to GET /v1/models."""
    names = sorted({*SNAPSHOTS, *SNAPSHOTS.values(), "text-embedding-3-small"})
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": 1715367049, "owned_by": "system"} for name in names],
    }


def embeddings(inputs: Inputs, body: Mapping[str, Any], *, model: str, usage: Json) -> Json:
    """The answer to POST /v1/embeddings: unit vectors that depend on the input alone."""
    size = body.get("dimensions") or (3072 if model.startswith("text-embedding-3-large") else 1536)
    packed = body.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
        for index, vector in enumerate(_vector(item, size) for item in inputs)
    ]
    return {"object": "list", "data": data, "model": model, "usage": usage}


def chat_completion(completion: Completion) -> Json:
    """The answer to POST /v1/chat/completions."""
    return {
        "id": f"chatcmpl-{_token(29)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": completion.model,
        "choices": [_choice(index, answer) for index, answer in enumerate(completion.answers)],
        "usage": _chat_usage(completion),
        "service_tier": completion.service_tier,
        "system_fingerprint": f"fp_{hashlib.sha256(completion.model.encode()).hexdigest()[:10]}",
    }


def chat_events(whole: Json, *, include_usage: bool, obfuscate: bool) -> Iterator[Event]:
    """The same answer as a stream of chunks; the choices of one answer arrive in turn."""
    kept = ("id", "created", "model", "service_tier", "system_fingerprint")
    frame = {"object": "chat.completion.chunk", **{name: whole[name] for name in kept}}

    def chunk(choices: list[Json], usage: Json | None = None) -> Event:
        event = {**frame, "choices": choices, **({"usage": usage} if include_usage else {})}
        if obfuscate:
            event["obfuscation"] = _token(_OBFUSCATED_LENGTH)
        return Event(b"data: %b\n\n" % dump(event), usage)

    streams = [[{"index": c["index"], "delta": d} for d in _deltas(c["message"])] for c in whole["choices"]]
    for round_of_choices in itertools.zip_longest(*streams):
        for choice in filter(None, round_of_choices):
            yield chunk([{**choice, "logprobs": None, "finish_reason": None}])
    for choice in whole["choices"]:
        end = {"index": choice["index"], "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}
        yield chunk([end])
    if include_usage:
        yield chunk([], whole["usage"])
    yield Event(DONE)


def response(completion: Completion) -> Json:
    """The answer to POST /v1/responses."""
    said, body = completion.answers[0], completion.body
    incomplete = _INCOMPLETE.get(said.finish_reason)
    status = "incomplete" if incomplete else "completed"
    now = int(time.time())
    effort = (body.get("reasoning") or {}).get("effort")
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": now,
        "status": status,
        "background": False,
        "billing": {"payer": "developer"},
        "completed_at": None if incomplete else now,
        "error": None,
        "frequency_penalty": 0.0,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": completion.model,
        "output": list(_output(said, status, reasoned=completion.counts.reasoning > 0)),
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "presence_penalty": 0.0,
        "previous_response_id": None,
        "prompt_cache_key": body.get("prompt_cache_key"),
        "prompt_cache_retention": body.get("prompt_cache_retention"),
        "reasoning": {"effort": effort, "summary": None},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": completion.service_tier,
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, "verbosity": "medium", **(body.get("text") or {})},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_logprobs": body.get("top_logprobs", 0),
        "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation", "disabled"),
        "usage": _responses_usage(completion),
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def response_events(whole: Json, *, requested_tier: str | None, obfuscate: bool) -> Iterator[Event]:
    """The same answer as typed events: created, each item growing, completed (or incomplete) with the usage."""
    begun = {**whole, "status": "in_progress", "completed_at": None, "incomplete_details": None, "output": []}
    begun |= {"usage": None, "service_tier": requested_tier or "auto"}  # The served tier is known only at the end.
    events: Iterable[Json] = itertools.chain(
        ({"type": f"response.{step}", "response": begun} for step in ("created", "in_progress")),
        *(_item_events(index, item, obfuscate=obfuscate) for index, item in enumerate(whole["output"])),
        [{"type": f"response.{whole['status']}", "response": whole}],
    )
    for number, event in enumerate(events):
        usage = whole["usage"] if event.get("response") is whole else None
        data = dump({**event, "sequence_number": number})
        yield Event(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), data), usage)


def dump(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def usage(measured: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    """The measured usage with the changes laid over it; the total is their sum unless the changes name it."""
    changed = _merged(measured, changes)
    changed.setdefault("total_tokens", sum(changed[name] for name in measured if isinstance(changed[name], int)))
    return changed


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> Json:
    result = dict(base)
    for name, value in changes.items():
        inner = result.get(name)
        result[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return result


def _choice(index: int, answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": answer.text, "refusal": None, "annotations": []}
    if answer.tool_calls:
        message["content"] = answer.text or None
        message["tool_calls"] = [
            {
                "id": f"call_{_token(24)}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_json},
            }
            for call in answer.tool_calls
        ]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}


def _deltas(message: Json) -> Iterator[Json]:
    text = message["content"]
    yield {"role": "assistant", "content": None if text is None else "", "refusal": None}
    for piece in _PIECE.findall(text or ""):
        yield {"content": piece}
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        yield {"tool_calls": [{"index": index, **call, "function": {"name": function["name"], "arguments": ""}}]}
        for piece in _PIECE.findall(function["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _output(said: Answer, status: str, *, reasoned: bool) -> Iterator[Json]:
    if reasoned:
        yield {"id": _id("rs"), "type": "reasoning", "summary": []}
    if said.text or not said.tool_calls:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": said.text}
        yield {"id": _id("msg"), "type": "message", "status": status, "content": [part], "role": "assistant"}
    for call in said.tool_calls:
        yield {
            "id": _id("fc"),
            "type": "function_call",
            "status": "completed",
            "arguments": call.arguments_json,
            "call_id": f"call_{_token(24)}",
            "name": call.name,
        }


def _item_events(index: int, item: Json, *, obfuscate: bool) -> Iterator[Json]:
    place = {"item_id": item["id"], "output_index": index}
    hidden = {"obfuscation": _token(_OBFUSCATED_LENGTH)} if obfuscate else {}
    match item["type"]:
        case "message":
            part = item["content"][0]
            in_part = {**place, "content_index": 0}
            yield _item_event("added", index, {**item, "status": "in_progress", "content": []})
            yield {"type": "response.content_part.added", **in_part, "part": {**part, "text": ""}}
            for piece in _PIECE.findall(part["text"]):
                yield {"type": "response.output_text.delta", **in_part, "delta": piece, "logprobs": [], **hidden}
            yield {"type": "response.output_text.done", **in_part, "text": part["text"], "logprobs": []}
            yield {"type": "response.content_part.done", **in_part, "part": part}
        case "function_call":
            called = "response.function_call_arguments"
            yield _item_event("added", index, {**item, "status": "in_progress", "arguments": ""})
            for piece in _PIECE.findall(item["arguments"]):
                yield {"type": f"{called}.delta", **place, "delta": piece, **hidden}
            yield {"type": f"{called}.done", **place, "arguments": item["arguments"]}
        case _:
            yield _item_event("added", index, item)
    yield _item_event("done", index, item)


def _item_event(step: str, index: int, item: Json) -> Json:
    return {"type": f"response.output_item.{step}", "output_index": index, "item": item}


def _chat_usage(completion: Completion) -> Json:
    counts = completion.counts
    # The API's own types: cache writes are optional here and mandatory in responses. Recordings of models that do not
    # bill them leave them out.
    written = {} if counts.written is None else {"cache_write_tokens": counts.written}
    measured = {
        "prompt_tokens": counts.prompt,
        "completion_tokens": counts.completion,
        "prompt_tokens_details": {"cached_tokens": counts.cached, "audio_tokens": 0, **written},
        "completion_tokens_details": {
            "reasoning_tokens": counts.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    return usage(measured, completion.usage_changes)


def _responses_usage(completion: Completion) -> Json:
    counts = completion.counts
    measured = {
        "input_tokens": counts.prompt,
        "input_tokens_details": {"cache_write_tokens": counts.written or 0, "cached_tokens": counts.cached},
        "output_tokens": counts.completion,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
    }
    return usage(measured, completion.usage_changes)


def _vector(item: str | list[int], size: int) -> list[float]:
    seed = hashlib.shake_256(repr(item).encode()).digest(2 * size)
    values = [value + 0.5 for value in struct.unpack(f"<{size}h", seed)]  # Never all zero, so there is a length.
    length = math.hypot(*values)
    return [value / length for value in values]


def _packed(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _id(kind: str) -> str:
    return f"{kind}_{_token(48)}"


def _token(length: int) -> str:
    return (uuid.uuid4().hex + uuid.uuid4().hex)[:length]
