"""``POST /sms/callback``: what became of an SMS. It is stored, or parked until its message is known."""

from __future__ import annotations

from typing import Any

from costtrace.aws.callbacks import SmsCallback
from costtrace.aws.invocation import LambdaContext
from costtrace.aws.runtime import Runtime

_runtime = Runtime.from_environment(secrets=("hash_key", "twilio_auth_token"))
_callback = SmsCallback(
    _runtime.ledger,
    _runtime.verifier(),
    parked=_runtime.queue("parked"),
    hasher=_runtime.settings.number_hasher(),
    now=_runtime.now,
    tracing=_runtime.tracing,
)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of HTTP API."""
    return _runtime.call("POST /sms/callback", _callback, event, context)
