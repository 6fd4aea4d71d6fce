"""A story as HTML: a fragment for pages and notebooks that exist, or one file that loads nothing.

The fragment has neither script nor inline style: places in the chart are SVG attributes, so that it works where a
content security policy allows a page its stylesheet and nothing else. Every text that is put in is escaped, with what
would turn the reading direction written out, and cut where it is far too long.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from costtrace.errors import MissingExtra
from costtrace.money import ZERO, amount_text
from costtrace.view.amounts import actual_cell, coverage_cell, lined_up, pending_cell
from costtrace.view.blocks import Facts, Grid, Note, shown
from costtrace.view.chart import chart_of
from costtrace.view.journeys import journeys_of
from costtrace.view.story import SHARES, Story

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_LONGEST: Final = 400
"""Characters of one text; whoever names a tool can make it as long as they like."""
_HUNDRED: Final = Decimal(100)


def page(story: Story) -> str:
    """The whole page, in UTF-8: one file without script, font, image or request. Raises MissingExtra without jinja2."""
    style = f"{_text('page.css')}\n{stylesheet()}"
    allowed = b64encode(sha256(style.encode()).digest()).decode()
    return _environment().get_template("page.html").render(**_known(story, ""), style=style, style_hash=allowed)


def fragment(story: Story, *, prefix: str = "") -> Markup:
    """The story as one ``<section class="costtrace-trace">``, to be set with `stylesheet`.

    Ids in it begin with `prefix`, which has to differ where a page holds the same story twice. Raises MissingExtra
    without jinja2.
    """
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    html = _environment().get_template("trace.html").render(**_known(story, prefix))
    return Markup(html)  # noqa: S704 - the template escapes every value


@cache
def stylesheet() -> str:
    """The rules of the fragment, none of which reaches outside of it. Light and dark follow ``color-scheme``."""
    return _text("trace.css")


def _text(name: str) -> str:
    return files("costtrace.view").joinpath("templates", name).read_text("utf-8")


def _known(story: Story, prefix: str) -> dict[str, Any]:
    return {
        "story": story,
        "chart": chart_of(story),
        "journeys": journeys_of(story),
        "money": dict(_lined(story)),
        "shares": list(_shares(story)),
        "prefix": f"{prefix}step-",
    }


def _lined(story: Story) -> Iterator[tuple[int, tuple[str, str]]]:
    """The costs by the number of their step, digits and the zeros that line them up apart.

    Where there is another currency than the dollar, nothing is lined up and each cost names its own.
    """
    costs = [(step.number, step.cost, step.money.text) for step in story.steps if step.cost is not None]
    if any(cost.currency != "USD" for _, cost, _ in costs):
        return
    texts = lined_up([cost.amount for _, cost, _ in costs])
    for (number, cost, said), text in zip(costs, texts, strict=True):
        if said in {"", "no difference"}:
            continue
        digits = amount_text(cost.amount)
        yield number, (f"+{digits}" if said.startswith("+") else digits, text[len(digits) :])


def _shares(story: Story) -> Iterator[dict[str, Any]]:
    """What was bought: its name, what is known of its cost, and what part of the whole that is.

    There is no whole of several currencies, and no part of it is drawn then.
    """
    currencies = {currency for _, total in story.shares for currency in total.known}
    currency = currencies.pop() if len(currencies) == 1 else ""
    parts = [max(total.known.get(currency, ZERO), ZERO) for _, total in story.shares]
    whole, left = sum(parts) or 1, ZERO
    for (name, total), amount in zip(story.shares, parts, strict=True):
        lane = name.lower() if name in SHARES else "other"
        part = amount / whole * _HUNDRED
        yield {
            "name": name,
            "lane": lane,
            "cell": actual_cell(total),
            "left": round(float(left), 2),
            "part": round(float(part), 2),
        }
        left += part


def _presentable(value: Any) -> Any:
    """Every text that a template puts in, but for the markup that templates themselves made."""
    if type(value) is not str:
        return "" if value is None else value
    text = shown(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - an extra
    except ImportError:
        raise MissingExtra(package="jinja2", feature="a trace page", extra="cli") from None
    environment = Environment(
        loader=PackageLoader("costtrace.view"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_presentable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"actual_cell": actual_cell, "pending_cell": pending_cell, "coverage_cell": coverage_cell}
    environment.tests |= {
        "facts": lambda block: isinstance(block, Facts),
        "grid": lambda block: isinstance(block, Grid),
        "note": lambda block: isinstance(block, Note),
    }
    return environment
