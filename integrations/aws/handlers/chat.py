"""``POST /chat``: a message from the web, answered by the agent, with what the answer cost."""

from __future__ import annotations

from typing import Any

from costtrace.aws.chat import Chat
from costtrace.aws.invocation import LambdaContext
from costtrace.aws.replies import Assistant
from costtrace.aws.runtime import Runtime
from handlers.agent import make_agent

_runtime = Runtime.from_environment(secrets=("openai_api_key",))
_assistant = Assistant(_runtime.recorder, _runtime.chat, make_agent(_runtime.settings), writes=_runtime.writes)
_chat = Chat(_runtime.recorder, _runtime.chat, _assistant, environment=_runtime.settings.environment)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request of HTTP API."""
    return _runtime.call("POST /chat", _chat, event, context)
