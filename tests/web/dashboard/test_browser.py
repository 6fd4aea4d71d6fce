"""The dashboard as a person meets it: in a real browser, with a real server."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from costtrace.ledger import SqliteLedger
from costtrace.reports import report
from tests.browser import PHONE, Scheme, Visit, Visiting
from tests.factories import make_entry
from tests.web.dashboard.books import HOSTILE, MARKUP, REPLY, TOTAL
from tests.web.dashboard.conftest import TOKEN, Serve, Served


class FarLedger(SqliteLedger):
    """Its numbers are as great as those of a ledger whose numbers are times."""

    def last_seq(self) -> int:
        return (1 << 60) + super().last_seq()


TEMPLATES = (
    "/?range=all",
    "/by/tag:team?range=all",
    "/messages",
    f"/message?uuid={REPLY}",
    "/outbox",
    "/prices?range=all",
    "/search?q=nothing",
    "/?range=last-week",
)
"""One page of each kind."""
PAGES = (
    *TEMPLATES,
    "/?range=24h&zone=Europe/Berlin",
    "/?range=custom&since=2026-01-19&until=2026-01-21",
    f"/message?uuid={HOSTILE}",
    f"/message?uuid={REPLY}&as_of=2026-01-20",
    f"/messages?user={quote(MARKUP)}",
)


def opened(visit: Visiting, served: Served, path: str, **options: object) -> Visit:
    """That page, let in by its token, once everything on it is there."""
    seen = visit(f"{served.address}{path}{'&' if '?' in path else '?'}token={TOKEN}", **options)
    settle(seen)
    return seen


def settle(seen: Visit) -> None:
    """Wait until everything on the page is there."""
    seen.page.wait_for_selector("[aria-busy]", state="detached")
    for chart in seen.page.query_selector_all("[data-chart]"):
        chart.wait_for_selector("svg")


def come_back(seen: Visit) -> None:
    """As when a reader turns to the tab again, whereupon it asks at once; an answer is a second old at most."""
    seen.page.wait_for_timeout(1100)
    seen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def refused(seen: Visit) -> list[str]:
    """What the browser complains of, but for the status of a page that is meant to have one."""
    return [said for said in seen.complaints if "the server responded with a status of 4" not in said]


def test_a_click_leads_from_the_overview_to_the_message_and_its_working(visit: Visiting, served: Served) -> None:
    seen = visit(served.link)
    assert "token" not in seen.page.url
    page = seen.page
    page.click("text=all time")
    page.wait_for_selector("[data-total=USD]")
    assert page.inner_text("[data-total=USD]") == TOTAL
    page.click("role=link[name='anna']")
    assert page.inner_text("[data-total=USD]") == "0.01415"  # 0.003125 * 2 + 0.0079
    page.click("nav >> text=Messages")
    page.click(f"text={REPLY}")
    page.wait_for_selector(".costtrace-trace")
    assert "0.01415" in page.inner_text(".costtrace-trace")
    page.click(".costtrace-trace summary:has-text('gpt-4o') >> nth=0")
    assert "2.5" in page.inner_text(".costtrace-trace details[open]")
    assert refused(seen) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_keeps_the_policy_asks_nobody_else_and_axe_finds_nothing(
    visit: Visiting, served: Served, scheme: Scheme
) -> None:
    seen = visit(served.link, scheme=scheme)
    for path in PAGES if scheme == "light" else TEMPLATES:
        seen.page.goto(f"{served.address}{path}")
        settle(seen)
        if path in TEMPLATES:
            assert seen.violations() == [], path
        assert refused(seen) == [], path
        assert {re.sub(r"^(https?://[^/]+).*", r"\1", url) for url in seen.requests} == {served.address}, path
        assert seen.page.title() != "pwned"


def test_no_page_is_wider_than_a_phone(visit: Visiting, served: Served) -> None:
    seen = visit(served.link, width=PHONE)
    for path in PAGES:
        seen.page.goto(f"{served.address}{path}")
        settle(seen)
        for summary in seen.page.query_selector_all("main summary"):
            summary.evaluate("element => element.parentElement.open = true")
        assert seen.overflow <= 0, path


def test_a_table_that_does_not_grow_says_when_something_newer_was_stored(
    visit: Visiting, serve: Serve, books: SqliteLedger
) -> None:
    seen = opened(visit, serve(books), "/by/user?range=all")
    page = seen.page
    page.wait_for_selector(".live.on >> text=nothing newer")
    books.append([make_entry(98)])
    come_back(seen)
    page.wait_for_selector(".live.off >> text=newer entries were stored since", timeout=15_000)


def test_numbers_of_a_ledger_that_counts_further_than_scripts_do_are_told_apart(
    visit: Visiting, serve: Serve, books: SqliteLedger
) -> None:
    far = FarLedger(books.path)
    seen = opened(visit, serve(far), "/?range=all")
    seen.page.wait_for_selector(".live.on")
    with seen.page.expect_response("**/live", timeout=15_000) as answered:
        come_back(seen)
    assert answered.value.status == 304
    far.append([make_entry(97)])
    come_back(seen)
    seen.page.wait_for_selector("[data-total=USD]:text-is('0.0304')", timeout=15_000)
    far.close()


def test_the_numbers_are_there_without_scripts(visit: Visiting, served: Served) -> None:
    seen = visit(served.link, scripts=False)
    seen.page.goto(f"{served.address}/?range=all")
    assert seen.page.inner_text("[data-total=USD]") == TOTAL
    assert seen.page.get_attribute("noscript img", "src") is None or seen.page.query_selector(".chart img") is not None


def test_a_keyboard_is_enough(visit: Visiting, served: Served) -> None:
    seen = opened(visit, served, "/messages")
    page = seen.page

    def focused() -> str:
        said: str = page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id")
        return said

    page.keyboard.press("Tab")
    assert focused() == "Skip to the content"
    page.keyboard.press("Enter")
    page.wait_for_selector("main:focus")
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused() == REPLY:
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert (focused(), outline) == (REPLY, "solid")
    page.keyboard.press("Enter")
    page.wait_for_selector(".costtrace-trace")
    page.keyboard.press("Tab")
    for _ in range(40):
        if page.evaluate("document.activeElement.matches('.costtrace-trace summary')"):
            break
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('details').open")


def test_an_entry_that_arrives_is_seen_and_the_reader_stays_where_they_are(
    visit: Visiting, serve: Serve, books: SqliteLedger
) -> None:
    served = serve(books)
    seen = opened(visit, served, "/?range=all")
    page = seen.page
    page.wait_for_selector(".live.on")
    page.click("text=The numbers")
    page.focus(".part-by-user thead ~ tbody a")
    before = page.evaluate("document.activeElement.textContent")
    books.append([make_entry(99)])
    page.wait_for_selector("[data-total=USD]:text-is('0.0304')", timeout=15_000)
    page.wait_for_selector(".part-periods [data-seq='8']")
    assert page.evaluate("document.activeElement.textContent") == before
    assert page.evaluate("document.querySelector('details.numbers').open")
    assert page.inner_text("[data-total=USD]") == str(report(books).total.actual.usd.normalize())


def test_an_empty_ledger_fills_by_itself(visit: Visiting, serve: Serve, ledger: SqliteLedger) -> None:
    served = serve(ledger)
    seen = visit(served.link)
    assert "Nothing was recorded yet" in seen.page.inner_text("main")
    assert not ledger.exists
    ledger.append([make_entry()])
    seen.page.wait_for_selector("h1 >> text=What it cost", timeout=15_000)


def test_a_bar_says_what_it_stands_for(visit: Visiting, served: Served) -> None:
    page = opened(visit, served, "/?range=all").page
    bar = page.locator(".chart .role-mark [aria-label]").first
    assert re.fullmatch(r"2026-01-\d\d, (LLM|SMS|tools): [\d.]+ USD", bar.get_attribute("aria-label") or "")
    bar.hover()
    assert page.inner_text(".tip") == bar.get_attribute("aria-label")


def test_a_hidden_tab_asks_for_nothing(visit: Visiting, served: Served) -> None:
    seen = opened(visit, served, "/?range=all")
    seen.page.wait_for_selector(".live.on")
    hide = "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
    seen.page.evaluate(hide + "document.dispatchEvent(new Event('visibilitychange'))")
    seen.page.wait_for_timeout(500)
    asked = len(seen.requests)
    seen.page.wait_for_timeout(5000)
    assert len(seen.requests) == asked
