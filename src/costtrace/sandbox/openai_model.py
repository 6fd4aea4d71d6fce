"""The model behind the OpenAI stand-in: what it answers, what that counts, and what it remembers of earlier prompts.

Everything here is deterministic. A token is four bytes of UTF-8, rounded up:

- a prompt counts its tool and answer schemas as compact JSON, and every message with 4 tokens on top;
- an answer counts its text, and each tool call its name and arguments;
- a reasoning model thinks 64, 128 or 256 tokens per choice for low, medium (the default) or high effort.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from costtrace.sandbox.openai_requests import Prompt, Tool
from costtrace.sandbox.openai_schema import instance

SNAPSHOTS: Mapping[str, str] = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
}
"""The dated model that serves an alias. A name that is not listed serves itself."""

REASONING_TOKENS: Mapping[str | None, int] = {"none": 0, "minimal": 0, "low": 64, "high": 256, "xhigh": 512}
USUAL_REASONING_TOKENS = 128

CACHE_MINIMUM_TOKENS = 1024
CACHE_STEP_TOKENS = 128
BYTES_PER_TOKEN = 4

_REASONING_MODEL = re.compile(r"o[134]|gpt-[56]")
# From this family on, OpenAI bills what it writes to the prompt cache and reports it.
_CACHE_WRITES_REPORTED = re.compile(r"gpt-5\.[6-9]|gpt-6")
_WORD = re.compile(r"[a-z0-9]+")
_COMMON_WORDS = """
a about all an and any are as at be by can could do does for from get give had has have hello help her hi his how i if
in is it its just let like me my need no not now of on or our out please she should so some tell than thank thanks that
the their them then there these they this to up us use user want was we were what when where which who why will with
would yes you your
"""
_MEANINGLESS = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of one tool. Arguments given as text are sent as they are, valid JSON or not."""

    name: str
    arguments: Mapping[str, Any] | str

    @property
    def arguments_json(self) -> str:
        """The arguments as they stand on the wire."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One choice. `finish_reason` is one of the chat API's: stop, tool_calls, length, content_filter."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The tokens of one call. Cached and written tokens are part of the prompt, reasoning tokens of the completion.

    `written` is None for models that do not report cache writes.
    """

    prompt: int
    cached: int
    written: int | None
    completion: int
    reasoning: int


class PromptCache:
    """Remembers which prompts each model has read, the way OpenAI documents it.

    A prompt of at least 1024 tokens is remembered, and a later one finds its longest remembered beginning, in steps of
    128 tokens. Only digests are kept. Not thread-safe.
    """

    def __init__(self) -> None:
        self._seen: dict[str, set[bytes]] = {}

    def read(self, model: str, prompt: bytes) -> tuple[int, int]:
        """Remembers the prompt; tells how many of its tokens were known already and how many were stored now."""
        seen = self._seen.setdefault(model, set())
        digest = hashlib.blake2b(digest_size=16)
        start = known = stored = 0
        for end in range(CACHE_MINIMUM_TOKENS * BYTES_PER_TOKEN, len(prompt) + 1, CACHE_STEP_TOKENS * BYTES_PER_TOKEN):
            digest.update(prompt[start:end])
            start = end
            beginning = digest.copy().digest()
            if beginning in seen:
                known = end // BYTES_PER_TOKEN
            else:
                seen.add(beginning)
                stored = end // BYTES_PER_TOKEN - known
        return known, stored


def token_count(text: str) -> int:
    """Four bytes of UTF-8 make a token; a rest counts as one."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def reasoning_tokens(model: str, effort: str | None) -> int:
    """What one choice of this model thinks before it answers; 0 for a model that does not reason."""
    return REASONING_TOKENS.get(effort, USUAL_REASONING_TOKENS) if _REASONING_MODEL.match(model) else 0


def count(prompt: Prompt, answers: Sequence[Answer], cache: PromptCache, *, model: str) -> Counts:
    """Counts one call served by `model`, and remembers its prompt."""
    rendered = prompt.rendered()
    cached, stored = cache.read(model, rendered)
    thinking = reasoning_tokens(model, prompt.effort)
    if prompt.max_tokens is not None:
        thinking = min(thinking, prompt.max_tokens)
    said = sum(
        token_count(answer.text) + sum(token_count(call.name + call.arguments_json) for call in answer.tool_calls)
        for answer in answers
    )
    return Counts(
        prompt=len(rendered) // BYTES_PER_TOKEN,
        cached=cached,
        written=stored if _CACHE_WRITES_REPORTED.match(model) else None,
        completion=said + thinking * len(answers),
        reasoning=thinking * len(answers),
    )


def answer(prompt: Prompt, *, model: str, choice: int = 0) -> Answer:
    """What the model says unscripted: a tool call when one fits and none was answered yet, else a text."""
    question, results, called = _state(prompt)
    tool = _chosen_tool(prompt, question, answered=bool(results), called=called)
    if tool is not None:
        call = ToolCall(name=tool.name, arguments=instance(tool.parameters, question))
        # Recorded from the real API: a call of a tool that the request forced by name ends with "stop".
        forced = prompt.tool_choice == tool.name
        return Answer(text="", tool_calls=(call,), finish_reason="stop" if forced else "tool_calls")
    if prompt.schema is not None:
        text = json.dumps(instance(prompt.schema, results[-1] if results else question), ensure_ascii=False)
        return shortened(Answer(text=text), prompt, model)
    if results:
        text = f"Here is what I found: {'; '.join(_flat(result) for result in results)}"
    else:
        text = f'You asked: "{_clipped(question)}" This answer comes from the local stand-in for the model.'
    return shortened(Answer(text=f"{text} (choice {choice + 1})" if choice else text), prompt, model)


def shortened(said: Answer, prompt: Prompt, model: str) -> Answer:
    """The answer cut to what the request's token limit leaves after thinking."""
    if prompt.max_tokens is None:
        return said
    room = max(prompt.max_tokens - reasoning_tokens(model, prompt.effort), 0)
    if token_count(said.text) <= room:
        return said
    text = said.text.encode()[: room * BYTES_PER_TOKEN].decode(errors="ignore")
    return Answer(text=text, tool_calls=said.tool_calls, finish_reason="length")


def _state(prompt: Prompt) -> tuple[str, list[str], set[str]]:
    """The last user message, the tool results that follow it, and the tools called since."""
    last = max((i for i, message in enumerate(prompt.messages) if message.role == "user"), default=None)
    if last is None:
        return "", [], set()
    since = prompt.messages[last + 1 :]
    results = [message.text for message in since if message.role == "tool"]
    return prompt.messages[last].text, results, {name for message in since for name in message.calls}


def _chosen_tool(prompt: Prompt, question: str, *, answered: bool, called: set[str]) -> Tool | None:
    if not prompt.tools or prompt.tool_choice == "none":
        return None
    for tool in prompt.tools:
        if tool.name == prompt.tool_choice:
            return tool
    if answered and prompt.tool_choice != "required":
        return None
    fresh = [tool for tool in prompt.tools if tool.name not in called] or list(prompt.tools)
    asked = _words(question)
    for tool in fresh:
        if asked & _words(f"{tool.name} {tool.description}"):
            return tool
    return fresh[0] if prompt.tool_choice == "required" else None


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())) - _MEANINGLESS


def _flat(result: str) -> str:
    """A tool result as a person would read it: the fields of a JSON object in a row."""
    try:
        value = json.loads(result)
    except ValueError:
        return result
    if not isinstance(value, dict):
        return result
    return ", ".join(f"{name.replace('_', ' ')} {field}" for name, field in value.items())


def _clipped(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
