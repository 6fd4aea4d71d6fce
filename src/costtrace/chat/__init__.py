"""The chat table of an existing system: its messages, what each of them cost, and the way from there to a ledger."""

from __future__ import annotations

from costtrace.chat.message import ChatMessage
from costtrace.chat.table import ChatMessages

__all__ = ["ChatMessage", "ChatMessages"]
