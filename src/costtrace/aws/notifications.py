"""Messages that no model writes: welcome, notification, subscription, cancellation, or another word of the texts file.

An event names one text and fills it in:

    {"type": "welcome", "idempotency_key": "signup/u1", "user_id": "u1", "to": "+14155550100", "data": {"name": "Ada"}}

The message's uuid follows from the idempotency key, so that an event which comes twice is one message.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any, Final
from uuid import UUID, uuid5

from costtrace.aws.failures import WorkFailed
from costtrace.aws.invocation import Invocation
from costtrace.aws.sending import Sending, send_once
from costtrace.aws.turns import ASSISTANT
from costtrace.chat import ChatMessage, ChatMessages
from costtrace.context import check_text, message_scope
from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.ledger import Ledger
from costtrace.times import moment_text
from costtrace.twilio.envelope import OUTBOUND, Hasher
from costtrace.twilio.sender import SmsSender

_MESSAGES: Final = UUID("0b6b5f7e-5f0f-5f3e-8a51-91d2a8d2f0c7")
_MAX_VALUE: Final = 300
_CHANNEL: Final = "sms"


class Texts:
    """The texts by their type, each with the names it wants filled in, such as ``Welcome, {name}!``.

    Raises ConfigurationError for a file that cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path.name} cannot be read: {error}") from None
        self._texts = {kind: _template(path.name, kind, table) for kind, table in tables.items()}

    def text(self, kind: object, data: object) -> str:
        """That text with that data in it. Raises InvalidValue naming what is unknown, missing or too much."""
        if not isinstance(kind, str) or kind not in self._texts:
            raise InvalidValue("type", kind, f"one of {', '.join(sorted(self._texts))}")
        template, wanted = self._texts[kind]
        if not isinstance(data, Mapping) or data.keys() != wanted:
            raise InvalidValue("data", data, f"an object of {', '.join(sorted(wanted)) or 'nothing'}")
        return template.format_map({name: _value(name, data[name]) for name in wanted})


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRequest:
    """One such event, checked."""

    type: str
    idempotency_key: str
    user_id: str
    to: str = field(repr=False)
    thread_id: str
    text: str = field(repr=False)

    @property
    def message_uuid(self) -> str:
        """The uuid of its message."""
        return str(uuid5(_MESSAGES, self.idempotency_key))

    @classmethod
    def of(cls, event: Mapping[str, Any], texts: Texts, hasher: Hasher, ours: str | None) -> NotificationRequest:
        """The request of that event; its thread is that of the two numbers unless it names one. Raises InvalidValue."""
        to = event.get("to")
        if not isinstance(to, str) or not to:
            raise InvalidValue("to", to, "a number such as +14155550100")
        user = hasher(to)
        between = user if ours is None else f"{user}-{hasher(ours)}"
        return cls(
            type=str(event.get("type")),
            idempotency_key=check_text(event.get("idempotency_key"), "idempotency_key"),
            user_id=check_text(event.get("user_id"), "user_id"),
            to=to,
            thread_id=check_text(event["thread_id"] if event.get("thread_id") is not None else between, "thread_id"),
            text=texts.text(event.get("type"), event.get("data", {})),
        )


class Notifications:
    """Sends the message of an event once, and saves it in the conversation. `sends_from` is for `SmsSender.send`."""

    def __init__(
        self,
        ledger: Ledger,
        chat: ChatMessages,
        sender: SmsSender,
        texts: Texts,
        *,
        hasher: Hasher,
        sends_from: Mapping[str, str],
        environment: str | None = None,
    ) -> None:
        self._ledger = ledger
        self._chat = chat
        self._sender = sender
        self._texts = texts
        self._hasher = hasher
        self._sends_from = sends_from
        self._environment = environment

    def __call__(self, event: Mapping[str, Any], _: Invocation) -> Mapping[str, Any]:
        """``{message_uuid, outcome}``. Raises InvalidValue for a bad event, and what another try may cure.

        Raises WorkFailed where nobody knows whether it was sent: Lambda tries again, when a status callback may have
        told, and then puts the event where a person hears of it. It is not sent again.
        """
        request = NotificationRequest.of(event, self._texts, self._hasher, self._sends_from.get("from_"))
        outcome = self._sent(request)
        if outcome is not Sending.REFUSED:
            self._chat.save(self._row(request))
        if outcome is Sending.UNKNOWN:
            raise WorkFailed(f"whether Twilio sent message {request.message_uuid} is not known")
        return {"message_uuid": request.message_uuid, "outcome": outcome.value}

    def _sent(self, request: NotificationRequest) -> Sending:
        with message_scope(
            request.message_uuid,
            user_id=request.user_id,
            thread_id=request.thread_id,
            channel=_CHANNEL,
            direction=OUTBOUND,
            role=ASSISTANT,
            environment=self._environment,
            message_type=request.type,
        ):
            return send_once(
                self._sender,
                self._ledger,
                request.message_uuid,
                body=request.text,
                numbers=lambda: {"to": request.to, **self._sends_from},
            )

    def _row(self, request: NotificationRequest) -> ChatMessage:
        """The message as the chat table has it, at the moment when it was first to be sent: the same for every try.

        Raises InvalidValue for an event that is not the one by which it was sent.
        """
        known = self._ledger.message(request.message_uuid)
        said = (request.type, request.user_id, request.thread_id)
        if (known.context.message_type, known.context.user_id, known.context.thread_id) != said:
            raise InvalidValue("idempotency_key", request.idempotency_key, "a key by which no other message was sent")
        return ChatMessage(
            thread_id=request.thread_id,
            timestamp=moment_text(known.started_at),
            message_uuid=request.message_uuid,
            role=ASSISTANT,
            content=request.text,
            channel=_CHANNEL,
        )


def _template(file: str, kind: str, table: object) -> tuple[str, frozenset[str]]:
    text = table.get("text") if isinstance(table, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        raise ConfigurationError(f"{file}: [{kind}] needs a text")
    try:
        parts = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ConfigurationError(f"{file}: [{kind}] text: {error}") from None
    for name, spec, conversion in parts:
        if not name.isidentifier() or spec or conversion:
            raise ConfigurationError(f"{file}: [{kind}] text: expected a plain name in braces, got {name!r}")
    return text, frozenset(name for name, _, _ in parts)


def _value(name: str, value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_VALUE or not value.isprintable():
        raise InvalidValue(
            f"data.{name}", value, f"a text of 1 to {_MAX_VALUE} printable characters, or a whole number"
        )
    return value
