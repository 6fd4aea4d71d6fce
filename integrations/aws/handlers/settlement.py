"""Every few minutes: ask Twilio for the prices that are due."""

from __future__ import annotations

from typing import Any

from costtrace.aws.invocation import LambdaContext
from costtrace.aws.runtime import Runtime
from costtrace.aws.schedules import SettlePrices

_runtime = Runtime.from_environment(secrets=("twilio_auth_token",))
_settle = SettlePrices(_runtime.ledger, _runtime.twilio(), now=_runtime.now, tracing=_runtime.tracing)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Ask while there is time; the answer says what was learned."""
    return _runtime.call("settlement", _settle, event, context)
