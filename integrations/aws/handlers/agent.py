"""Your part: what answers a message. Whatever takes a conversation and gives a text may stand here: an agent, a graph.

Its model calls are recorded by whoever calls it; it needs no callback of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain.chat_models import init_chat_model

from costtrace.aws.replies import Agent
from costtrace.chat import ChatMessage
from costtrace.settings import Settings

SYSTEM = "You are the assistant of a small company. Answer in at most three sentences."
TIMEOUT_S = 12
"""For one try of a model call; with one repetition it must end before the function does."""


def make_agent(settings: Settings) -> Agent:
    """The agent, on the model that COSTTRACE_MODEL names."""
    key: dict[str, Any] = {"api_key": settings.openai_api_key} if settings.openai_api_key else {}
    model = init_chat_model(settings.model, timeout=TIMEOUT_S, max_retries=1, **key)

    def answer(conversation: Sequence[ChatMessage]) -> str:
        """The answer to the last message of the conversation."""
        said = [(message.role or "user", message.content or "") for message in conversation]
        return str(model.invoke([("system", SYSTEM), *said]).text)

    return answer
