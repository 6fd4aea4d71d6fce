"""The page in a real browser: what it shows, what it asks for, and whether everybody can use it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costtrace.ledger import Ledger, open_ledger
from costtrace.reports import Turn, turn
from costtrace.view.notebook import message_html, turn_html
from costtrace.view.page import fragment, page, stylesheet
from costtrace.view.story import story_of
from tests.browser import DESKTOP, PHONE, SMALL_PHONE, Scheme, Visit, Visiting
from tests.view.turns import REPLY, call, said, sent, tool_run, troubled_turn, turn_of, whole_turn

TURNS = {"whole": whole_turn, "troubled": troubled_turn}
LONG = "x" * 400


def stored(made: Turn, directory: Path) -> Ledger:
    ledger = open_ledger(f"sqlite:///{directory}/costs.db")
    ledger.append([*(made.reply_to.entries if made.reply_to else ()), *made.message.entries])
    return ledger


def written(made: Turn, directory: Path) -> str:
    """The address of the page as a file, which is how people open it."""
    target = directory / "page.html"
    target.write_text(page(story_of(made)), encoding="utf-8")
    return target.as_uri()


def cut_off(seen: Visit) -> list[str]:
    """Texts that reach out of the panel, where nobody can read them; a table may scroll by itself."""
    found: list[str] = seen.page.evaluate("""() => {
        const panel = document.querySelector('.costtrace-trace').getBoundingClientRect();
        const reachesOut = e => e.getBoundingClientRect().right > panel.right + 1;
        const isWider = e => e.clientWidth && e.scrollWidth > e.clientWidth + 1;
        const overflows = e => getComputedStyle(e).overflowX === 'visible' && isWider(e);
        return [...document.querySelectorAll('.costtrace-trace *')]
            .filter(e => e.textContent.trim() && !e.closest('svg, .ct-table') && !e.querySelector('svg'))
            .filter(e => reachesOut(e) || overflows(e))
            .map(e => `${e.className}: ${e.textContent.trim().slice(0, 60)}`);
    }""")
    return found


def box(seen: Visit, selector: str) -> dict[str, float]:
    found: Any = seen.page.locator(selector).first.bounding_box()
    assert found is not None
    return dict(found)


@pytest.mark.parametrize("width", [DESKTOP, PHONE, SMALL_PHONE])
@pytest.mark.parametrize("name", TURNS)
def test_the_page_fits_its_window_and_asks_for_nothing(name: str, width: int, visit: Visiting, tmp_path: Path) -> None:
    address = written(TURNS[name](), tmp_path)
    seen = visit(address, width=width)
    for summary in seen.page.locator("summary").all():
        summary.click()

    assert seen.complaints == []
    assert seen.requests == [address]
    assert seen.overflow == 0
    assert cut_off(seen) == []


def test_names_without_end_do_not_widen_a_phone(visit: Visiting, tmp_path: Path) -> None:
    entries = [
        call("run", 0, 1, LONG, (10**12, 10**12), ("2.5", "10"), provider=LONG, status=LONG, error=LONG),
        tool_run("tool", 2, 1, LONG),
        *sent(4),
        said(LONG, 9),
    ]
    seen = visit(written(turn_of(*entries), tmp_path), width=SMALL_PHONE)
    for summary in seen.page.locator("summary").all():
        summary.click()

    assert seen.overflow == 0
    assert cut_off(seen) == []


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [
        ("whole", DESKTOP, "light"),
        ("whole", PHONE, "dark"),
        ("troubled", DESKTOP, "dark"),
        ("troubled", PHONE, "light"),
    ],
)
def test_axe_finds_nothing(name: str, width: int, scheme: Scheme, visit: Visiting) -> None:
    seen = visit(html=_without_policy(page(story_of(TURNS[name]()))), width=width, scheme=scheme)
    for summary in seen.page.locator("summary").all():
        summary.click()

    assert seen.violations() == []


def _without_policy(html: str) -> str:
    """Axe puts a script and a stylesheet of its own into the page, which the page's policy rightly refuses."""
    return html.replace('http-equiv="Content-Security-Policy"', 'name="policy"')


def test_light_and_dark_follow_the_reader(visit: Visiting) -> None:
    html = page(story_of(whole_turn()))
    colours = [
        visit(html=html, scheme=scheme).page.evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]

    assert colours == ["rgb(246, 247, 248)", "rgb(15, 17, 19)"]


@pytest.mark.parametrize("name", TURNS)
def test_the_totals_on_the_page_are_the_ledgers(name: str, visit: Visiting, tmp_path: Path) -> None:
    ledger = stored(TURNS[name](), tmp_path)
    found = turn(ledger, REPLY)
    seen = visit(html=page(story_of(found)))

    assert seen.page.locator("[data-figure=actual]").inner_text() == str(found.total.actual)
    parts = seen.page.locator(".ct-part-total").all_inner_texts()
    for text, message in zip(parts, (found.reply_to, ledger.message(REPLY)), strict=True):
        assert message is not None
        assert text.split(",")[0] == str(message.total.known)
    shown = [Decimal(text) for text in seen.page.locator(".ct-cost .ct-num").all_inner_texts() if text[:1].isdigit()
             and "USD" not in text]  # fmt: skip
    assert sum(shown) == found.total.actual.usd
    if found.total.pending:
        assert seen.page.locator("[data-figure=pending]").inner_text() == str(found.total.pending)
    counted = seen.page.locator("[data-figure=coverage]").inner_text()
    assert counted == ", ".join(f"{count} {word}" for word, count in found.total.coverage.items() if count)


def test_the_keyboard_walks_the_steps_and_opens_their_working(visit: Visiting) -> None:
    seen = visit(html=page(story_of(whole_turn())), scripts=False)
    keyboard = seen.page.keyboard
    for _ in range(4):
        keyboard.press("Tab")
    opened = seen.page.locator("li#step-4 > details")
    assert opened.get_attribute("open") is None
    keyboard.press("Enter")

    assert opened.get_attribute("open") is not None
    working = seen.page.locator("li#step-4 .ct-working")
    assert working.is_visible()
    assert "0.006005 USD, exact" in working.inner_text()
    assert "= 0.005795" in working.inner_text()  # 2318 x 2.5 per million
    assert not seen.page.locator("li#step-5 .ct-working").is_visible()
    outline = seen.page.locator("li#step-4 summary").evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline == "solid"


def test_the_order_of_the_keyboard_is_that_of_the_page(visit: Visiting) -> None:
    seen = visit(html=page(story_of(whole_turn())))
    reached = []
    for _ in range(12):
        seen.page.keyboard.press("Tab")
        reached.append(seen.page.evaluate("document.activeElement.closest('li').id"))

    assert reached == [f"step-{number}" for number in range(1, 13)]


def test_a_link_between_steps_leads_to_the_step(visit: Visiting, tmp_path: Path) -> None:
    seen = visit(written(whole_turn(), tmp_path))
    seen.page.locator("li#step-8 summary").click()
    seen.page.locator("li#step-8 .ct-links a").first.click()

    assert seen.page.url.endswith("#step-4")
    assert seen.page.locator("li#step-4:target").count() == 1


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_links_are_drawn_from_the_calls_to_the_sms_and_from_the_sms_to_its_callbacks(
    width: int, visit: Visiting
) -> None:
    seen = visit(html=page(story_of(whole_turn())), width=width)

    sms, maker = box(seen, "#step-8 .ct-bar"), box(seen, "#step-4 .ct-bar")
    head = box(seen, "#step-8 .ct-head")
    assert head["x"] + head["width"] / 2 == pytest.approx(sms["x"], abs=2)
    assert head["y"] < sms["y"]
    across = box(seen, "#step-4 .ct-across")
    assert across["x"] == pytest.approx(maker["x"] + maker["width"], abs=2.5)
    assert across["x"] + across["width"] == pytest.approx(sms["x"], abs=2.5)
    for step in ("#step-9", "#step-10", "#step-12"):
        mark, arrow = box(seen, f"{step} .ct-mark"), box(seen, f"{step} .ct-head")
        assert arrow["x"] + arrow["width"] / 2 == pytest.approx(mark["x"] + mark["width"] / 2, abs=2)
        assert arrow["y"] < mark["y"] + mark["height"] / 2


def test_bars_stand_in_the_order_of_time_and_within_the_chart(visit: Visiting) -> None:
    for width in (DESKTOP, PHONE):
        seen = visit(html=page(story_of(whole_turn())), width=width)
        chart = box(seen, ".ct-back")
        boxes = [box(seen, f"#step-{number} .ct-bar") for number in (3, 4, 5, 6, 7, 8)]

        assert [one["x"] for one in boxes] == sorted(one["x"] for one in boxes)
        assert all(chart["x"] - 2 <= one["x"] <= chart["x"] + chart["width"] + 2 for one in boxes)


def test_hostile_names_run_nothing(visit: Visiting) -> None:
    hostile = (
        "</details></section><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    )
    seen = visit(html=page(story_of(turn_of(tool_run("run", 0, 1, hostile)))))

    assert seen.page.title() == f"What message {REPLY} cost"
    assert hostile in seen.page.locator(".ct-name").first.inner_text()
    assert seen.requests == []


def test_in_a_notebook_two_messages_stand_side_by_side(visit: Visiting) -> None:
    story = whole_turn()
    both = f"{message_html(story.message)}{turn_html(story)}{turn_html(troubled_turn())}"
    html = f"<!doctype html><html lang=en><title>n</title><body data-jp-theme-light='false'><main>{both}</main></html>"
    seen = visit(html=html, width=800)

    ids = seen.page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(ids) == len(set(ids)) == 9 + 12 + 12
    panels = seen.page.locator(".costtrace-trace")
    assert panels.count() == 3
    assert (
        panels.first.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(23, 26, 29)"
    )  # the notebook is dark
    assert seen.page.evaluate("getComputedStyle(document.querySelector('main')).backgroundColor") == "rgba(0, 0, 0, 0)"
    assert seen.overflow == 0
    assert seen.complaints == []


def test_the_fragment_works_under_a_policy_without_inline_style(visit: Visiting) -> None:
    policy = "default-src 'none'; style-src 'nonce-own'"
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style nonce="own">{stylesheet()}</style>'
    body = fragment(story_of(whole_turn()))
    seen = visit(html=f"<!doctype html><html lang=en><head><title>d</title>{head}</head><body>{body}</body></html>")

    assert seen.complaints == []
    bar = box(seen, "#step-4 .ct-bar")
    assert bar["width"] > 10
    assert bar["height"] == pytest.approx(12, abs=3)


def test_on_paper_every_working_is_open(visit: Visiting) -> None:
    seen = visit(html=page(story_of(whole_turn())))
    seen.page.emulate_media(media="print")

    assert seen.page.locator("li#step-4 .ct-working").is_visible()
