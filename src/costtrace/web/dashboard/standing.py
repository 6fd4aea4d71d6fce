"""How the ledger itself is doing: what could not be stored, and what was not delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from costtrace.csvtext import safe_cell
from costtrace.errors import ConfigurationError, LedgerError
from costtrace.ledger import Ledger, LedgerHealth
from costtrace.ledger.letters import Reason
from costtrace.outbox import ExporterStatus, deliveries_of, status_of
from costtrace.times import moment_text, to_micros
from costtrace.web.dashboard.answers import csv_answer, json_answer
from costtrace.web.dashboard.site import Problem, Site, seconds

_CSV_HEAD: Final = (
    "exporter",
    "pending",
    "oldest_pending_s",
    "sent",
    "retry",
    "parked",
    "dead",
    "stopped",
    "failures",
    "faults",
    "problem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The outbox of a ledger."""

    exporters: Sequence[tuple[ExporterStatus, Sequence[Reason]]] = ()
    """Each with why entries were not taken."""
    last_seq: int = 0
    cursors: dict[str, int]
    """By exporter, the number of the entry up to which it has been delivered to."""
    nothing: str | None = None
    """Why there is no outbox, where there is none."""


class Health:
    """The outbox page, and whether there is anything new."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Where these pages are."""
        at = self._site.route
        return [
            at("/outbox", self._page),
            at("/part/outbox", self._part),
            at("/outbox.json", self._json),
            at("/outbox.csv", self._csv),
            at("/part/problems", self._problems),
            at("/live", self._live),
        ]

    async def _standing(self) -> Standing:
        ledger = self._site.ledger
        if self._site.is_missing:
            return Standing(cursors={}, nothing="Nothing was recorded yet.")
        now_us = to_micros(self._site.clock())
        found, _ = await self._site.readings.ask("outbox", seconds(3), lambda: _standing(ledger, now_us))
        return found

    async def _markup(self) -> str:
        found = await self._standing()
        return self._site.markup("part_outbox.html", standing=found, age=age)

    async def _page(self, request: Request) -> Response:
        return await self._site.page("outbox.html", request, source="/part/outbox", markup=await self._markup())

    async def _part(self, _: Request) -> Response:
        return Response(await self._markup(), media_type="text/html")

    async def _json(self, _: Request) -> Response:
        found = await self._standing()
        records = [
            {
                **status.to_dict(),
                "cursor": found.cursors[status.exporter],
                "not_taken": [asdict(one) for one in reasons],
            }
            for status, reasons in found.exporters
        ]
        return json_answer({"last_seq": found.last_seq, "exporters": records, "nothing": found.nothing})

    async def _csv(self, _: Request) -> Response:
        found = await self._standing()
        rows = [list(_CSV_HEAD)]
        rows += [[_text(status.to_dict()[name]) for name in _CSV_HEAD] for status, _reasons in found.exporters]
        return csv_answer(rows, "outbox")

    async def _problems(self, _: Request) -> Response:
        problems = await self._site.problems()
        return Response(self._site.markup("part_problems.html", problems=problems), media_type="text/html")

    async def _live(self, request: Request) -> Response:
        version = await self._site.version()
        tag = {"etag": f'"{version}"'}
        if request.headers.get("if-none-match") == tag["etag"]:
            return Response(status_code=304, headers=tag)
        return JSONResponse({"version": version, "at": moment_text(self._site.clock())}, headers=tag)


def _standing(ledger: Ledger, now_us: int) -> Standing:
    try:
        deliveries = deliveries_of(ledger)
    except ConfigurationError as error:
        return Standing(cursors={}, nothing=str(error))
    every = deliveries.all()
    return Standing(
        exporters=[
            (status_of(deliveries, delivery, now_us=now_us), deliveries.reasons(delivery.exporter))
            for delivery in every
        ],
        cursors={delivery.exporter: delivery.cursor for delivery in every},
        last_seq=ledger.last_seq(),
        nothing=None
        if every
        else "Nothing was delivered yet; `costtrace deliver` does, to where COSTTRACE_EXPORTERS says.",
    )


def problems_of(ledger: Ledger) -> list[Problem]:
    """What a person should know before believing any number; nothing where all is well."""
    found = list(_stored(ledger.health()))
    try:
        every = deliveries_of(ledger).all()
    except (ConfigurationError, LedgerError):  # there is no outbox, or the ledger has said what is wrong already
        return found
    return found + [
        Problem(
            tone="bad",
            text=f"{delivery.exporter} is stopped: {delivery.problem}",
            advice=f"Change that, then `costtrace outbox resume {delivery.exporter}`.",
        )
        for delivery in every
        if delivery.stopped
    ]


def _stored(health: LedgerHealth) -> Iterator[Problem]:
    if health.problem:
        waiting = f"{health.waiting} bytes wait beside it and are safe. " if health.waiting else ""
        advice = f"{waiting}`costtrace doctor` says more."
        yield Problem(tone="bad", text=f"The ledger: {health.problem}", advice=advice)
    if health.rejected:
        advice = "The table `rejected` keeps them with the reason; every total here lacks them."
        yield Problem(tone="bad", text=f"{_entries(health.rejected)} rejected", advice=advice)
    if health.lost:
        advice = "They could be stored nowhere; the table `losses` says when and why. Totals of that time lack them."
        yield Problem(tone="warn", text=f"{_entries(health.lost)} lost", advice=advice)


def _entries(count: int) -> str:
    return "1 entry was" if count == 1 else f"{count} entries were"


def _text(value: Any) -> str:
    return safe_cell(value) if isinstance(value, str) else "" if value is None else str(value)


def age(seconds: float) -> str:
    """A span in its two largest units, for people: ``3 d 4 h``."""
    left, said = int(seconds), list[str]()
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if left >= size or (unit == "s" and not said):
            said.append(f"{left // size} {unit}")
            left %= size
    return " ".join(said[:2])
