"""Every night: compare the ledger with Twilio's own list of messages, and with its bill."""

from __future__ import annotations

from typing import Any

from costtrace.aws.invocation import LambdaContext
from costtrace.aws.runtime import Runtime
from costtrace.aws.schedules import ReconcileList

_runtime = Runtime.from_environment(secrets=("hash_key", "twilio_auth_token"))
_reconcile = ReconcileList(
    _runtime.ledger,
    _runtime.twilio(),
    hasher=_runtime.settings.number_hasher(),
    now=_runtime.now,
    tracing=_runtime.tracing,
)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Go through the list; the answer says what was found."""
    return _runtime.call("reconciliation", _reconcile, event, context)
