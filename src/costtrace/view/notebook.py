"""What a notebook shows of a message or a turn: the fragment, with its stylesheet beside it."""

from __future__ import annotations

import secrets
from dataclasses import replace

from costtrace.errors import MissingExtra
from costtrace.messages import Message
from costtrace.reports import Turn
from costtrace.view.page import fragment, stylesheet
from costtrace.view.story import Story, story_of


def message_html(message: Message) -> str | None:
    """The message alone; None without jinja2, whereupon a notebook falls back to text."""
    alone = story_of(Turn(message=message, reply_to=None, total=message.total))
    return _html(replace(alone, missing=None))  # nobody looked for what it answers


def turn_html(turn: Turn) -> str | None:
    """The turn; None without jinja2."""
    return _html(story_of(turn))


def _html(story: Story) -> str | None:
    """Shown twice in one notebook, it has different ids."""
    try:
        return f"<style>{stylesheet()}</style>{fragment(story, prefix=f'ct{secrets.token_hex(4)}-')}"
    except MissingExtra:
        return None
