"""The overview: what it cost, over time and by whom, for the time and the entries that are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from costtrace.errors import InvalidValue
from costtrace.ledger import GROUPS
from costtrace.view.report_rows import csv_rows
from costtrace.web.dashboard.answers import csv_answer, json_answer
from costtrace.web.dashboard.asked import CUSTOM, FILTERS, RANGES, Asked, is_filter, page_number, words
from costtrace.web.dashboard.figures import coverage_shares, figures
from costtrace.web.dashboard.grouping import table
from costtrace.web.dashboard.periods import COLOURS, SOURCES, chart, periods
from costtrace.web.dashboard.readings import TooSlow
from costtrace.web.dashboard.site import PATIENCE_S, Site
from costtrace.web.dashboard.wrongs import NotThere

_BREAKDOWNS: Final = ("user", "model", "channel", "direction")
_TOP: Final = 6
_PER_PAGE: Final = 50
_WIDTHS: Final = (240, 1600)

Part = Callable[[Asked, float | None], Awaitable[str]]


class Overview:
    """The overview and the pages that go into one word of it."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Where these pages are."""
        at = self._site.route
        return [
            at("/", self._page),
            at("/part/figures", self._part(self._figures)),
            at("/part/periods", self._part(self._periods)),
            at("/part/by/{word:path}", self._breakdown_part),
            at("/by/{word:path}", self._by),
            at("/chart.svg", self._chart),
            at("/report.json", self._json),
            at("/report.csv", self._csv),
        ]

    async def _page(self, request: Request) -> Response:
        wanted = self._site.asked(request)
        if await self._site.version() == 0:
            return await self._site.page("empty.html", request, wanted=wanted)
        names = ["figures", "periods", *(f"by/{word}" for word in _BREAKDOWNS)]
        makers: list[Part] = [self._figures, self._periods, *(self._breakdown(word) for word in _BREAKDOWNS)]
        parts = await asyncio.gather(*(self._soon(make, wanted) for make in makers))
        return await self._site.page(
            "overview.html",
            request,
            wanted=wanted,
            parts=[
                {"name": name, "source": f"/part/{name}?{wanted.query()}", "markup": markup}
                for name, markup in zip(names, parts, strict=True)
            ],
            **choices(wanted),
        )

    async def _soon(self, make: Part, wanted: Asked) -> str | None:
        """The part, if it is there before anybody would notice; else the browser asks for it."""
        try:
            return await make(wanted, PATIENCE_S)
        except TooSlow:
            return None

    def _part(self, make: Part) -> Callable[[Request], Awaitable[Response]]:
        async def handler(request: Request) -> Response:
            return Response(await make(self._site.asked(request), None), media_type="text/html")

        return handler

    async def _figures(self, wanted: Asked, wait_s: float | None) -> str:
        found, version = await self._site.report((), wanted, wait_s=wait_s)
        total = found.total
        return self._site.markup(
            "part_figures.html",
            wanted=wanted,
            version=version,
            total=total,
            actual=figures(total.known),
            pending=figures(total.pending),
            shares=coverage_shares(total),
        )

    async def _periods(self, wanted: Asked, wait_s: float | None) -> str:
        costs, version = await self._costs(wanted, wait_s)
        return self._site.markup(
            "part_periods.html",
            wanted=wanted,
            version=version,
            costs=costs,
            cut=wanted.first_cut(costs.word),
            by=f"{'hour' if costs.word == 'hour' else 'day'},kind",
            classes={source: COLOURS[source].strip("-") for source in SOURCES},
        )

    async def _costs(self, wanted: Asked, wait_s: float | None) -> tuple[Any, int]:
        word = wanted.period_word
        found, version = await self._site.report((word, "kind"), wanted, wait_s=wait_s)
        return periods(found, word, wanted.zone, self._site.clock()), version

    def _breakdown(self, word: str) -> Part:
        async def make(wanted: Asked, wait_s: float | None) -> str:
            found, version = await self._site.report((word,), wanted, wait_s=wait_s)
            top = table(found, wanted, limit=_TOP)
            return self._site.markup("part_breakdown.html", wanted=wanted, version=version, word=word, table=top)

        return make

    async def _breakdown_part(self, request: Request) -> Response:
        word = self._word(request)
        return Response(await self._breakdown(word)(self._site.asked(request), None), media_type="text/html")

    async def _by(self, request: Request) -> Response:
        word, wanted, number = self._word(request), self._site.asked(request), page_number(request.query_params)
        found, version = await self._site.report((word,), wanted)
        first = (number - 1) * _PER_PAGE
        if first and first >= len(found.rows):
            pages = -(-len(found.rows) // _PER_PAGE)
            raise NotThere(f"There is no page {number} of this table: it has {pages}")
        return await self._site.page(
            "by.html",
            request,
            wanted=wanted,
            version=version,
            word=word,
            table=table(found, wanted, first=first, limit=_PER_PAGE),
            number=number,
            first=first,
            count=len(found.rows),
            groups=[group for group in GROUPS if group != "message"],
            **choices(wanted),
        )

    def _word(self, request: Request) -> str:
        (word,) = words(request.path_params["word"].replace(",", " "), tuple(GROUPS)) or (None,)
        if word is None:
            raise NotThere("There is no such table")
        return word

    async def _chart(self, request: Request) -> Response:
        wanted = self._site.asked(request)
        width = _width(request.query_params.get("w", "760"))
        costs, version = await self._costs(wanted, None)
        svg, _ = await self._site.charts.ask(
            (wanted.key, width), version, lambda: self._site.pencil.svg(chart(costs, width))
        )
        return Response(svg, media_type="image/svg+xml")

    async def _json(self, request: Request) -> Response:
        by, wanted = words(request.query_params.get("by", ""), tuple(GROUPS)), self._site.asked(request)
        found, _ = await self._site.report(by, wanted)
        return await self._site.additions.run(lambda: json_answer(found.to_dict()))

    async def _csv(self, request: Request) -> Response:
        by, wanted = words(request.query_params.get("by", ""), tuple(GROUPS)), self._site.asked(request)
        found, _ = await self._site.report(by, wanted)
        return await self._site.additions.run(lambda: csv_answer(csv_rows(found), "-".join(["report", *found.by])))


def choices(wanted: Asked) -> dict[str, Any]:
    """What the bar above the tables lets a reader choose."""
    return {
        "ranges": [(word, name, wanted.query(range=word)) for word, (name, _) in RANGES.items()],
        "custom": CUSTOM,
        "filters": FILTERS,
        "without_filter": {word: wanted.without_filter(word) for word in wanted.where},
        "is_filter": is_filter,
    }


def _width(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):  # noqa: PLR2004 - digits enough
        raise InvalidValue("w", text, "a width in pixels, such as 760")
    return max(_WIDTHS[0], min(int(text), _WIDTHS[1]))
