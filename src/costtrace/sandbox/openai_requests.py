"""The two OpenAI request shapes, chat completions and responses, read into one Prompt."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ATTACHMENT_TOKENS = 85
"""What an image, a file or a sound counts: OpenAI's own figure for one low-detail image on gpt-4o."""

JSON_OBJECT: Mapping[str, Any] = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
}
"""What JSON mode answers: it asks for an object without saying which."""


Inputs = list[str | list[int]]
"""What embeddings are asked for: texts, or texts given as token numbers."""


class InvalidRequestError(ValueError):
    """A body the API would refuse with status 400."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a prompt. `calls` names the tools an assistant message called."""

    role: str
    text: str
    calls: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()

    def rendered(self) -> bytes:
        """Four tokens for the role, then the text and the attachments, in whole tokens of four bytes."""
        text = self.text.encode()
        marks = "".join(mark.ljust(4 * ATTACHMENT_TOKENS) for mark in self.attachments).encode()
        return self.role.encode()[:16].ljust(16) + _padded(text) + marks


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function the model may call."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a request asks for, whichever of the two APIs it came through.

    `tool_choice` is "auto", "none", "required" or a tool's name. `schema` is the JSON schema the answer must follow.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    tool_choice: str
    schema: Mapping[str, Any] | None
    preamble: str
    service_tier: str | None
    stream: bool
    include_usage: bool
    include_obfuscation: bool
    choices: int
    max_tokens: int | None
    effort: str | None

    def rendered(self) -> bytes:
        """The prompt as one run of four-byte tokens: first the tool and answer schemas, as at OpenAI, then messages."""
        return _padded(self.preamble.encode()) + b"".join(message.rendered() for message in self.messages)


def chat_prompt(body: Mapping[str, Any]) -> Prompt:
    """Reads the body of POST /v1/chat/completions. Raises InvalidRequestError."""
    options = _field(body, "stream_options", dict) or {}
    response_format = _field(body, "response_format", dict) or {}
    return Prompt(
        messages=tuple(_chat_message(item) for item in _required(body, "messages", list)),
        choices=_field(body, "n", int) or 1,
        max_tokens=_field(body, "max_completion_tokens", int) or _field(body, "max_tokens", int),
        effort=_field(body, "reasoning_effort", str),
        schema=_schema(response_format, _field(response_format, "json_schema", dict) or {}),
        include_usage=bool(options.get("include_usage")),
        include_obfuscation=bool(options.get("include_obfuscation", True)),
        **_common(body, response_format),
    )


def responses_prompt(body: Mapping[str, Any]) -> Prompt:
    """Reads the body of POST /v1/responses. Raises InvalidRequestError."""
    if previous := body.get("previous_response_id"):
        raise InvalidRequestError(
            f"Previous response with id '{previous}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    options = _field(body, "stream_options", dict) or {}
    answer_format = (_field(body, "text", dict) or {}).get("format") or {}
    asked = body.get("input")
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else _required(body, "input", list)
    instructions = body.get("instructions")
    before = (Message(role="system", text=instructions),) if isinstance(instructions, str) else ()
    return Prompt(
        messages=before + tuple(_response_messages(items)),
        choices=1,
        max_tokens=_field(body, "max_output_tokens", int),
        effort=(_field(body, "reasoning", dict) or {}).get("effort"),
        schema=_schema(answer_format, answer_format),
        include_usage=True,
        include_obfuscation=bool(options.get("include_obfuscation", True)),
        **_common(body, answer_format),
    )


def embedding_inputs(body: Mapping[str, Any]) -> Inputs:
    """The texts, or runs of token numbers, of POST /v1/embeddings. Raises InvalidRequestError."""
    asked = body.get("input")
    if isinstance(asked, str):
        return [asked]
    inputs: list[Any] = _required(body, "input", list)
    if inputs and all(isinstance(item, int) for item in inputs):
        return [inputs]
    if not inputs or not all(isinstance(item, str | list) for item in inputs):
        raise InvalidRequestError("'$.input' is invalid. Please check the API reference.", param="input")
    return inputs


def model_name(body: Any) -> str:
    """The model a request names. Raises InvalidRequestError, also when the body is no JSON object."""
    model = body.get("model") if isinstance(body, dict) else None
    if not isinstance(model, str) or not model:
        raise InvalidRequestError("you must provide a model parameter")
    return model


def _common(body: Mapping[str, Any], answer_format: Mapping[str, Any]) -> dict[str, Any]:
    tools = _field(body, "tools", list) or []
    shaping = [*tools, *([answer_format] if answer_format.get("type") == "json_schema" else [])]
    return {
        "model": model_name(body),
        "tools": tuple(_tools(tools)),
        "tool_choice": _tool_choice(body.get("tool_choice")),
        "preamble": json.dumps(shaping, separators=(",", ":")) if shaping else "",
        "service_tier": _field(body, "service_tier", str),
        "stream": bool(body.get("stream")),
    }


def _tools(items: Sequence[Any]) -> Iterator[Tool]:
    for item in items:
        if not isinstance(item, dict) or item.get("type") != "function":
            continue  # Tools that OpenAI runs itself (web search, code) are accepted and never used here.
        function = item.get("function") or item  # Chat completions nest the function, responses do not.
        yield Tool(
            name=_required(function, "name", str),
            description=function.get("description") or "",
            parameters=function.get("parameters") or {},
        )


def _tool_choice(choice: Any) -> str:
    if isinstance(choice, dict):
        return str((choice.get("function") or choice).get("name", "auto"))
    return choice if isinstance(choice, str) else "auto"


def _schema(answer_format: Mapping[str, Any], holder: Mapping[str, Any]) -> Mapping[str, Any] | None:
    match answer_format.get("type"):
        case "json_schema":
            return holder.get("schema") or {}
        case "json_object":
            return JSON_OBJECT
        case _:
            return None


def _chat_message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise InvalidRequestError("Invalid type for 'messages[0]': expected an object.", param="messages")
    functions = [call.get("function") or {} for call in item.get("tool_calls") or []]
    text, attachments = _content(item.get("content"))
    called = "".join(f"{function.get('name')}{function.get('arguments')}" for function in functions)
    return Message(
        role=_role(_required(item, "role", str)),
        text=text + called,
        calls=tuple(str(function.get("name")) for function in functions),
        attachments=attachments,
    )


def _response_messages(items: Sequence[Any]) -> Iterator[Message]:
    for item in items:
        if not isinstance(item, dict):
            raise InvalidRequestError("Invalid type for 'input[0]': expected an object.", param="input")
        match item.get("type", "message"):
            case "message":
                text, attachments = _content(item.get("content"))
                yield Message(role=_role(_required(item, "role", str)), text=text, attachments=attachments)
            case "function_call":
                name = _required(item, "name", str)
                yield Message(role="assistant", text=f"{name}{item.get('arguments', '')}", calls=(name,))
            case "function_call_output":
                text, attachments = _content(item.get("output"))
                yield Message(role="tool", text=text, attachments=attachments)
            case "reasoning":
                continue  # Earlier reasoning is not part of the context the model reads again.
            case _:
                yield Message(role="other", text=json.dumps(item, separators=(",", ":")))


def _content(content: Any) -> tuple[str, tuple[str, ...]]:
    if isinstance(content, str):
        return content, ()
    parts = [part for part in content or [] if isinstance(part, dict)]
    texts = [part.get("text") or part.get("refusal") for part in parts]
    attached = [part for part, text in zip(parts, texts, strict=True) if text is None]
    marks = tuple(hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest() for part in attached)
    return "\n".join(text for text in texts if text), marks


def _role(role: str) -> str:
    return {"developer": "system", "function": "tool"}.get(role, role)


def _required(body: Mapping[str, Any], name: str, kind: type) -> Any:
    if body.get(name) is None:
        raise InvalidRequestError(
            f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter"
        )
    return _field(body, name, kind)


def _field(body: Mapping[str, Any], name: str, kind: type) -> Any:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise InvalidRequestError(
            f"Invalid type for '{name}': expected {kind.__name__}, got {type(value).__name__} instead.",
            param=name,
            code="invalid_type",
        )
    return value


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")
