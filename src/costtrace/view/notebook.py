"""What a notebook shows of a message or a turn: the fragment, with its stylesheet beside it."""

from __future__ import annotations

import secrets

from costtrace.errors import MissingExtra
from costtrace.messages import Message
from costtrace.reports import Turn
from costtrace.view.page import fragment, stylesheet
from costtrace.view.story import story_of


def message_html(message: Message) -> str | None:
    """The message alone; None without jinja2, whereupon a notebook falls back to text."""
    return turn_html(Turn(message=message, reply_to=None, total=message.total))


def turn_html(turn: Turn) -> str | None:
    """The turn; None without jinja2. Shown twice in one notebook, it has different ids."""
    try:
        return f"<style>{stylesheet()}</style>{fragment(story_of(turn), prefix=f'ct{secrets.token_hex(4)}-')}"
    except MissingExtra:
        return None
