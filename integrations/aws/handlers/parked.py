"""The queue of parked statuses: those whose message has become known are stored, the others come again."""

from __future__ import annotations

from typing import Any

from costtrace.aws.callbacks import ParkedStatuses
from costtrace.aws.invocation import LambdaContext
from costtrace.aws.runtime import Runtime

_runtime = Runtime.from_environment()
_parked = ParkedStatuses(_runtime.ledger, now=_runtime.now, tracing=_runtime.tracing)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take one batch of the queue; the answer names the messages that are to come again."""
    return _runtime.call("parked statuses", _parked, event, context)
