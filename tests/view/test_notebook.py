"""What a notebook shows of a message, and that it never fails for want of a package."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

from costtrace.view.page import stylesheet
from tests.view.turns import whole_turn

WITHOUT_JINJA = """
import sys
sys.modules["jinja2"] = None  # as if it were not installed
from tests.factories import make_entry
from costtrace.messages import fold
print(fold([make_entry()])._repr_html_())
try:
    from costtrace.view.page import page
    from costtrace.view.story import story_of
    from costtrace.reports import Turn
    message = fold([make_entry()])
    page(story_of(Turn(message=message, reply_to=None, total=message.total)))
except ImportError as error:
    print(error)
"""


def test_a_message_and_a_turn_show_themselves() -> None:
    turn = whole_turn()
    message, both = turn.message._repr_html_(), turn._repr_html_()

    assert message is not None
    assert both is not None
    assert message.startswith(f'<style>{stylesheet()}</style><section class="costtrace-trace"')
    assert "0.0203162 USD" in message
    assert "0.0281054 USD" in both


def test_a_message_alone_says_nothing_of_what_it_answers() -> None:
    turn = whole_turn()

    assert "nothing was recorded" not in str(turn.message._repr_html_())
    assert "nothing was recorded" in str(replace(turn, reply_to=None)._repr_html_())


def test_shown_twice_it_has_other_ids() -> None:
    message = whole_turn().message

    assert message._repr_html_() != message._repr_html_()


def test_without_jinja2_a_notebook_falls_back_to_text_and_the_page_names_the_extra() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_JINJA], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines() == [
        "None",
        "a trace page needs the package 'jinja2': pip install 'langchain-costtrace[cli]'",
    ]
