"""The ledger's stream: new entries go to the exporters of COSTTRACE_EXPORTERS, and their sums into the chat table."""

from __future__ import annotations

from typing import Any

from costtrace.aws.invocation import LambdaContext
from costtrace.aws.redelivery import Redelivery, are_letters
from costtrace.aws.runtime import Runtime
from costtrace.aws.stream import StreamDelivery
from costtrace.ledger.dynamodb.items import entry_of

_runtime = Runtime.from_environment(secrets=("hash_key", "posthog_api_key"))
_exporters = _runtime.settings.make_exporters(_runtime.ledger)
_delivery = StreamDelivery(
    _runtime.ledger,
    _exporters,
    decode=entry_of,
    dead_letters=_runtime.queue("dead_letter"),
    chat=_runtime.chat,
)
_redelivery = Redelivery(_runtime.ledger, _exporters, chat=_runtime.chat)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take one batch of the stream, or of its dead letters; the answer names what is to come again."""
    return _runtime.call("ledger stream", _redelivery if are_letters(event) else _delivery, event, context)
