"""The price lists in use, and what has no price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from costtrace.csvtext import safe_cell
from costtrace.pricing import Catalog
from costtrace.pricing.listing import Listed, listed
from costtrace.quote import QuoteStatus
from costtrace.reports import Gap, gaps
from costtrace.usage import Usage
from costtrace.web.dashboard.answers import csv_answer, json_answer
from costtrace.web.dashboard.asked import Asked
from costtrace.web.dashboard.overview import choices
from costtrace.web.dashboard.site import Site

STALE_DAYS: Final = 90
"""Among more than a thousand models some price changes every few weeks; a table that knows of none is old."""
_ADVICE: Final[Mapping[str, str]] = {
    QuoteStatus.PENDING: "The seller names the price later; `costtrace sms settle` asks Twilio for those of SMS.",
    QuoteStatus.USAGE_MISSING: "Ask the provider for usage, also in streams: ChatOpenAI(stream_usage=True).",
}
_PRICED_NOW: Final = "It has a price by now: `costtrace reprice --since DATE` corrects what was recorded before."
_RATE_WANTED: Final = (
    "Add a [[rate]] for it to your rates file (COSTTRACE_RATES), then `costtrace reprice --since DATE`."
)
_SEE_MESSAGE: Final = "`costtrace message` shows the reason with each of them."


class Prices:
    """The page of prices."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Where these pages are."""
        at = self._site.route
        return [
            at("/prices", self._page),
            at("/prices.json", self._json),
            at("/gaps.csv", self._gaps_csv),
            at("/prices.csv", self._prices_csv),
        ]

    async def _page(self, request: Request) -> Response:
        wanted = self._site.asked(request, default="30d")
        lists = await self._lists()
        found, version = await self._gaps(wanted)
        return await self._site.page(
            "prices.html",
            request,
            wanted=wanted,
            version=version,
            lists=lists,
            gaps=found,
            stale_days=STALE_DAYS,
            **choices(wanted),
        )

    async def _lists(self) -> list[Listed]:
        today, lists = self._site.clock().date(), self._site.catalog.price_lists
        found, _ = await self._site.readings.ask(
            "prices", today.toordinal(), lambda: [listed(each, today) for each in lists]
        )
        return found

    async def _gaps(self, wanted: Asked) -> tuple[list[tuple[Gap, str]], int]:
        version, site = await self._site.version(), self._site
        if version == 0:
            return [], 0
        found, version = await site.additions.ask(
            ("gaps", wanted.key), version, lambda: _advised(gaps(site.sums, wanted.selection), site.catalog)
        )
        return found, version

    async def _json(self, request: Request) -> Response:
        lists = await self._lists()
        found, _ = await self._gaps(self._site.asked(request, default="30d"))
        return json_answer(
            {
                "lists": [{**asdict(each), "newest": each.newest and each.newest.isoformat()} for each in lists],
                "gaps": [{**asdict(gap), "advice": advice} for gap, advice in found],
            }
        )

    async def _gaps_csv(self, request: Request) -> Response:
        found, _ = await self._gaps(self._site.asked(request, default="30d"))
        rows = [["provider", "model", "status", "calls", "advice"]]
        rows += [
            [
                *(safe_cell(text or "") for text in (gap.provider, gap.model, gap.status)),
                str(gap.calls),
                safe_cell(advice),
            ]
            for gap, advice in found
        ]
        return csv_answer(rows, "gaps")

    async def _prices_csv(self, _: Request) -> Response:
        lists = await self._lists()
        names = ("name", "version", "data_hash", "holds", "newest", "age_days")
        rows = [list(names)]
        rows += [[_text(getattr(each, name)) for name in names] for each in lists]
        return csv_answer(rows, "prices")


def _advised(found: Sequence[Gap], catalog: Catalog) -> list[tuple[Gap, str]]:
    return [(gap, _advice(gap, catalog)) for gap in found]


def _advice(gap: Gap, catalog: Catalog) -> str:
    if gap.status != QuoteStatus.UNPRICED or not (gap.provider and gap.model):
        return _ADVICE.get(gap.status, _SEE_MESSAGE)
    one_token = Usage(buckets={"input": 1, "output": 1})
    if catalog.quote(provider=gap.provider, model=gap.model, usage=one_token).amount is not None:
        return _PRICED_NOW
    return _RATE_WANTED


def _text(value: Any) -> str:
    return safe_cell(value) if isinstance(value, str) else "" if value is None else str(value)
