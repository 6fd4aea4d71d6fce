"""A turn: what a user said, and the assistant's answer to it."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

USER: Final = "user"
ASSISTANT: Final = "assistant"
_REPLIES: Final = UUID("6f0e9f57-6a25-5b43-9d1f-6c2f0b8f5c21")


def reply_uuid_of(message_uuid: str) -> str:
    """The uuid of the answer to that message: the same for whoever asks for it again."""
    return str(uuid5(_REPLIES, message_uuid))
