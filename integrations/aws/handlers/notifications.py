"""Messages that no model writes, sent by SMS; the texts are in ``notifications.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from costtrace.aws.invocation import LambdaContext
from costtrace.aws.notifications import Notifications, Texts
from costtrace.aws.runtime import Runtime

_runtime = Runtime.from_environment(secrets=("hash_key", "twilio_auth_token"))
_notifications = Notifications(
    _runtime.ledger,
    _runtime.chat,
    _runtime.sender(_runtime.twilio()),
    Texts(Path(__file__).with_name("notifications.toml")),
    hasher=_runtime.hasher(),
    sends_from=_runtime.sends_from(),
    environment=_runtime.settings.environment,
)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Send the message of one event; the answer is its uuid and what became of it."""
    return _runtime.call("notification", _notifications, event, context)
