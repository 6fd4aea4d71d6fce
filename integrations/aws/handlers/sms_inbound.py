"""``POST /sms/inbound``: an SMS came in. It is stored, and its answer is put on the way."""

from __future__ import annotations

from typing import Any

from costtrace.aws.inbound import SmsInbound
from costtrace.aws.invocation import LambdaContext
from costtrace.aws.runtime import Runtime

_runtime = Runtime.from_environment(secrets=("hash_key", "twilio_auth_token"))
_inbound = SmsInbound(
    _runtime.ledger,
    _runtime.chat,
    _runtime.verifier(),
    replies=_runtime.queue("reply"),
    hasher=_runtime.hasher(),
    now=_runtime.now,
    environment=_runtime.settings.environment,
    tracing=_runtime.tracing,
)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of HTTP API."""
    return _runtime.call("POST /sms/inbound", _inbound, event, context)
