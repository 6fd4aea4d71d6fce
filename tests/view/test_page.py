"""The page as text: whole, self-contained, and with nothing in it that a name could have smuggled in."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.messages import fold
from costtrace.money import Money
from costtrace.reports import Turn
from costtrace.view.page import fragment, page, stylesheet
from costtrace.view.story import story_of
from tests.bars import within
from tests.view.turns import ENTRIES, REPLY, call, said, sent, tool_run, troubled_turn, turn_of, whole_turn

HOSTILE = (
    "</details></section><script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe\x1b[31m\x00\u2028{{7*7}}"
)
SHOWN = (
    r"</details></section><script>alert(1)</script><img src=x onerror=alert(2)>\u202egnp.exe\x1b[31m\x00\u2028{{7*7}}"
)
VOID = {"meta", "link", "br", "img", "input", "hr"}


class _Elements(HTMLParser):
    """Every element with its attributes; fails where one is closed that is not open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def visible(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)))


def test_the_page_is_one_file_that_may_load_nothing() -> None:
    html = page(story_of(whole_turn()))
    elements = _Elements(html).found
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)

    assert style is not None
    allowed = b64encode(sha256(style[1].encode()).digest()).decode()
    policies = [attributes["content"] for _, attributes in elements if "http-equiv" in attributes]
    assert policies == [f"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"]
    assert not {tag for tag, _ in elements} & {"script", "link", "img", "iframe", "object", "font", "base", "form"}
    assert all(str(given["href"]).startswith("#") for _, given in elements if "href" in given)
    assert not re.search(r"@import|url\(|javascript:", html)


def test_the_fragment_needs_neither_inline_style_nor_script() -> None:
    elements = _Elements(str(fragment(story_of(troubled_turn())))).found

    assert not [tag for tag, _ in elements if tag in {"style", "script"}]
    assert not [name for _, given in elements for name in given if name == "style" or name.startswith("on")]


def test_every_rule_of_the_stylesheet_stays_inside_the_fragment() -> None:
    rules = re.sub(r"/\*.*?\*/", "", stylesheet(), flags=re.DOTALL)
    selectors = [part.strip() for part in re.findall(r"(?:^|[{}])\s*([^{}@]+)\{", rules)]

    assert len(selectors) > 50
    assert [selector for selector in selectors if ".costtrace-trace" not in selector] == []


def test_hostile_names_are_shown_and_not_obeyed() -> None:
    context = Context(user_id=HOSTILE, tags={HOSTILE: HOSTILE}, thread_id="t", reply_to=HOSTILE)
    entries = [
        call(
            HOSTILE, 0, 1, HOSTILE, (1, 1), ("1", "1"), provider=HOSTILE, error=HOSTILE, context=context, status=HOSTILE
        ),
        tool_run("run", 1, 1, HOSTILE, context=context),
        call("other", 2, 1, "m", (1, 1), ("1", "1"), kind=HOSTILE, context=context),
    ]
    entries += [replace(entry, context=context) for entry in sent(3)]
    entries += [said(HOSTILE, 9, context=context, raw_dlr_done_date=HOSTILE)]
    message = fold(replace(entry, message_uuid=HOSTILE) for entry in entries)
    html = page(story_of(Turn(message=message, reply_to=None, total=message.total)))

    elements = _Elements(html).found
    assert "script" not in {tag for tag, _ in elements}
    assert "img" not in {tag for tag, _ in elements}
    assert not any(name.startswith("on") for _, given in elements for name in given)
    assert not re.search("[\u202e\x1b\x00]", html)
    assert SHOWN in visible(html)
    assert "{{7*7}}" in visible(html)


def test_a_name_of_ten_thousand_characters_is_cut() -> None:
    html = page(story_of(turn_of(tool_run("run", 1, 1, "x" * 10_240))))

    assert "x" * 400 + "… (10240 characters)" in html
    assert "x" * 401 not in html


def test_no_number_and_no_text_of_an_sms_is_in_it() -> None:
    html = page(story_of(whole_turn()))

    assert not re.search(r"\+\d{8,}", html)
    assert "Where is my parcel" not in html


def test_the_working_shows_every_line_of_the_quote() -> None:
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", page(story_of(whole_turn())))).split())

    assert "2318 input x 2.5 / 1000000 = 0.005795" in text
    assert "21 output x 10.0 / 1000000 = 0.000210" in text
    assert "0.006005 USD, exact" in text
    assert "rates as for 4" in text  # the second call of that model has the same price list
    assert "0.0083 USD; it cost 0.0004 USD less" in text


def test_costs_are_lined_up_and_whole() -> None:
    html = page(story_of(whole_turn()))
    costs = re.findall(r'class="ct-cost"><span class="ct-num">([\d.]+)<span class="ct-zeros">(\d*)</span>', html)

    assert costs == [
        ("0.0075", "000"),
        ("0.0002892", ""),
        ("0.006005", "0"),
        ("0.0000537", ""),
        ("0.0063575", ""),
        ("0.0079", "000"),
    ]


def test_ids_differ_where_a_page_holds_the_same_story_twice() -> None:
    story = story_of(whole_turn())
    ids = [
        given["id"]
        for prefix in ("a-", "b-")
        for _, given in _Elements(str(fragment(story, prefix=prefix))).found
        if "id" in given
    ]

    assert len(ids) == len(set(ids)) == 24


def drawn_shares(*calls: Entry) -> list[tuple[str | None, str | None]]:
    return [
        (given["x"], given["width"])
        for _, given in _Elements(str(fragment(story_of(turn_of(*calls))))).found
        if str(given.get("class")).startswith("ct-share-")
    ]


def test_shares_are_drawn_of_one_currency_and_never_of_several() -> None:
    model = call("run", 0, 1, "m", (1, 1), ("1", "1"), quote=None, cost=Money("0.03", "EUR"))
    tool = replace(model, entry_id="tool/1", kind="tool", cost=Money("0.01", "EUR"))

    assert drawn_shares(model, tool) == [("0.0%", "75.0%"), ("75.0%", "25.0%")]
    assert drawn_shares(model, replace(tool, cost=Money("0.01"))) == []
    assert drawn_shares(replace(model, cost=Money("0.00", "EUR"))) == []


def test_the_same_story_makes_the_same_page() -> None:
    assert page(story_of(whole_turn())) == page(story_of(whole_turn()))


@given(st.lists(ENTRIES, min_size=1, max_size=5))
def test_whatever_was_recorded_makes_a_page(entries: list[Entry]) -> None:
    message = fold(replace(entry, message_uuid=REPLY) for entry in entries)
    html = page(story_of(Turn(message=message, reply_to=None, total=message.total)))

    _Elements(html)
    html.encode()


def five_hundred() -> Turn:
    calls = [call(f"run-{n}", n * 7, 1.5, "gpt-4o", (450, 200), ("2.5", "10")) for n in range(400)]
    return turn_of(*calls, *sent(3_000, links=["run-0"]), *[said(f"word_{n}", 3_001 + n) for n in range(100)])


def test_500_steps_make_a_page() -> None:
    html = page(story_of(five_hundred()))

    assert html.count("<details>") == 501
    assert len(html) < 3_000_000


def test_500_steps_make_a_page_within_a_second() -> None:
    turn = five_hundred()
    page(story_of(whole_turn()))  # the templates are compiled once
    began = time.perf_counter()
    page(story_of(turn))

    assert time.perf_counter() - began < within(1)
