"""Context: whose message this is, and the scope that says so to everything that runs inside it.

The scope is a ContextVar, so it reaches asyncio tasks, ``asyncio.to_thread``, ``batch`` and LangGraph nodes by itself.
It does not reach a thread that the application starts; `carry` takes it there. Each scope also writes itself as
LangChain ``metadata``, which survives where callbacks are replaced.
"""

from __future__ import annotations

import contextvars
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

from costtrace.errors import InvalidValue

P = ParamSpec("P")
R = TypeVar("R")

MESSAGE_UUID: Final = "message_uuid"
"""The LangChain ``metadata`` key that names the message a call belongs to."""
_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})
_MAX_TEXT: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Whose message this is. Every field is free text of at most 512 characters, or None where it is not known."""

    user_id: str | None = None
    """The application's own id of the person who pays or is served; not a phone number."""
    thread_id: str | None = None
    """The conversation."""
    channel: str | None = None
    """How the message travels: ``sms``, ``web`` or the application's own word."""
    direction: str | None = None
    """``inbound`` or ``outbound``."""
    role: str | None = None
    """``user`` or ``assistant``."""
    environment: str | None = None
    """``production``, ``staging`` or the application's own word."""
    message_type: str | None = None
    """``chat``, ``welcome``, ``notification``, ``subscription``, ``cancellation`` or the application's own word."""
    reply_to: str | None = None
    """The message_uuid that this message answers; both together are a turn."""
    tags: Mapping[str, str] = field(default_factory=lambda: _NO_TAGS)
    """The application's own labels."""

    def __post_init__(self) -> None:
        for name in TEXT_FIELDS:
            value = getattr(self, name)
            if value is not None:
                check_text(value, f"context.{name}")
        if self.tags is not _NO_TAGS:
            if not isinstance(self.tags, Mapping):
                raise InvalidValue("context.tags", self.tags, "a mapping of texts to texts")
            for key, value in self.tags.items():
                check_text(key, "context.tags")
                check_text(value, f"context.tags[{key!r}]")
            object.__setattr__(self, "tags", MappingProxyType(dict(self.tags)))

    def over(self, other: Context) -> Context:
        """The same context, with the other's values where it says nothing itself."""
        if self is other or self is NOTHING:
            return other
        missing = {
            name: value
            for name in TEXT_FIELDS
            if getattr(self, name) is None and (value := getattr(other, name)) is not None
        }
        if not missing and not other.tags:
            return self
        return replace(self, **missing, tags={**other.tags, **self.tags} if other.tags else self.tags)

    def to_dict(self) -> dict[str, Any]:
        """What is known, as JSON objects."""
        known: dict[str, Any] = {name: value for name in TEXT_FIELDS if (value := getattr(self, name)) is not None}
        return {**known, "tags": dict(self.tags)} if self.tags else known


TEXT_FIELDS: Final = tuple(f.name for f in fields(Context) if f.name != "tags")
"""The fields of a Context that hold one text each."""
NOTHING: Final = Context()
"""The context of which nothing is known."""


def check_text(value: object, field: str) -> str:
    """The value itself when it is a text of 1 to 512 characters; otherwise InvalidValue naming the field."""
    if type(value) is str and 0 < len(value) <= _MAX_TEXT and value.isascii():
        return value
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT:
        raise InvalidValue(field, value, f"a text of 1 to {_MAX_TEXT} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(field, value, "a text without lone surrogates, which no store can hold") from None
    return value


@dataclass(frozen=True, slots=True)
class MessageScope:
    """One open message: what `message` gives to its ``with`` block."""

    uuid: str
    context: Context
    outer: MessageScope | None = field(default=None, repr=False, compare=False)
    """The message that was open when this one was opened, and is again when it closes."""

    def inside(self, message_uuid: str) -> bool:
        """Whether this message was opened while that one was open."""
        scope = self.outer
        while scope is not None and scope.uuid != message_uuid:
            scope = scope.outer
        return scope is not None

    @property
    def metadata(self) -> dict[str, str]:
        """For ``config={"metadata": msg.metadata}``: carries the message where callbacks and contexts do not."""
        return {MESSAGE_UUID: self.uuid, **{k: v for k, v in self.context.to_dict().items() if k != "tags"}}


_scope: ContextVar[MessageScope | None] = ContextVar("costtrace_message", default=None)


def current_message() -> MessageScope | None:
    """The innermost open message of this thread or task, if any."""
    return _scope.get()


def _said(value: object) -> object:
    """Ids come as numbers and UUIDs as well, and an empty text says as much as none."""
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    return None if value == "" else value


@contextmanager
def message_scope(message_uuid: str | None = None, **context: Any) -> Iterator[MessageScope]:
    """Open a message: everything recorded inside belongs to it. See `costtrace.message`."""
    unknown = context.keys() - {*TEXT_FIELDS, "tags"}
    if unknown:
        raise InvalidValue("message", sorted(unknown), f"only {', '.join(TEXT_FIELDS)} and tags")
    context = {name: value if name == "tags" else _said(value) for name, value in context.items()}
    uuid = new_message_uuid() if message_uuid is None else check_text(message_uuid, MESSAGE_UUID)
    scope = MessageScope(uuid, Context(**context), _scope.get())
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        try:
            _scope.reset(token)
        except ValueError:  # a web framework may close a generator in another context than it opened it in,
            if _scope.get() is scope:  # perhaps in one where another message is open by now
                _scope.set(None)


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """The function, bound to the message that is open now.

    For threads and executors, which start with an empty context: ``executor.submit(costtrace.carry(work), x)``. May be
    called many times and from several threads at once.
    """
    captured = contextvars.copy_context()

    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return captured.copy().run(function, *args, **kwargs)

    return carried


def new_message_uuid() -> str:
    """A fresh UUID version 7: the first 48 bits are the time in milliseconds, so keys made later sort later."""
    millis = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (
        (millis & (1 << 48) - 1) << 80 | 7 << 76 | (random >> 62 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    )
    return str(UUID(int=value))
