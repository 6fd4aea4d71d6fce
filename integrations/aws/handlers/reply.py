"""The queue of answers: the agent writes one, and it is sent as an SMS, once."""

from __future__ import annotations

from typing import Any

from costtrace.aws.invocation import LambdaContext
from costtrace.aws.replies import Assistant
from costtrace.aws.runtime import Runtime
from costtrace.aws.sms_replies import SmsReplies
from handlers.agent import make_agent

_runtime = Runtime.from_environment(secrets=("hash_key", "openai_api_key", "twilio_auth_token"))
_client = _runtime.twilio()
_assistant = Assistant(_runtime.recorder, _runtime.chat, make_agent(_runtime.settings), writes=_runtime.writes)
_replies = SmsReplies(_runtime.ledger, _assistant, _runtime.sender(_client), _client)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take one batch of the queue; the answer names the messages that are to come again."""
    return _runtime.call("SMS replies", _replies, event, context)
