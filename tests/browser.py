"""A real browser for tests of pages: headless Chromium, which notes what a page complains of and what it asks for.

Import `browser` and `visit` into a conftest to have them as fixtures.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
DESKTOP: Final = 1280
PHONE: Final = 390
SMALL_PHONE: Final = 320
Scheme = Literal["light", "dark"]


@dataclass(kw_only=True)
class Visit:
    """A page in a window, and what it said and did meanwhile."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings on the console, and exceptions that nothing caught."""
    requests: list[str] = field(default_factory=list)
    """Every address that was asked for, the page's own included."""

    @property
    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        return width

    def violations(self) -> list[str]:
        """What axe finds against WCAG 2.2 AA and good practice, each with the elements it means."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing")
        found: dict[str, Any] = axe.Axe().run(self.page).response
        return [
            f"{one['id']}: {one['help']}: {', '.join(node['html'][:160] for node in one['nodes'])}"
            for one in found["violations"]
        ]


Visiting = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module, which are skipped where there is none.

    Playwright keeps an event loop running as long as it is open, beside which no asynchronous test can run.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(_PROGRAMS)} is on the PATH")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visiting]:
    """Opens an address, or HTML that is given as text, in a window of its own: ``visit(url, width=390)``.

    `width` is in CSS pixels, `scheme` ``light`` or ``dark``; `scripts` off proves that a page needs none.
    """
    contexts = []

    def visit(
        url: str | None = None,
        *,
        html: str | None = None,
        width: int = DESKTOP,
        scheme: Scheme = "light",
        scripts: bool = True,
    ) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        seen = Visit(page=context.new_page())
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        seen.page.on(
            "console",
            lambda said: seen.complaints.append(said.text) if said.type in {"error", "warning"} else None,
        )
        if url is not None:
            seen.page.goto(url)
        else:
            seen.page.set_content(html or "")
        return seen

    yield visit
    for context in contexts:
        context.close()
