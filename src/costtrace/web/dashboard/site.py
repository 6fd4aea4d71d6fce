"""What every page of the dashboard has: the ledger, the templates, and answers for what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from costtrace.ledger import Ledger, SqliteLedger
from costtrace.messages import Totals
from costtrace.pricing import Catalog
from costtrace.reports import Report, report
from costtrace.view.blocks import shown
from costtrace.web.dashboard.asked import Asked, asked
from costtrace.web.dashboard.drawing import Pencil
from costtrace.web.dashboard.readings import Readings, TooSlow
from costtrace.web.dashboard.wrongs import explained

Handler = Callable[[Request], Awaitable[Response]]

PATIENCE_S: Final = 0.25
"""How long a page waits for one of its parts before it is shown without, and the browser asks for that part."""
_QUICK: Final = 4
_SLOW: Final = 3
"""Threads: sums that take long must leave some to whoever asks for little."""
_AGAIN_S: Final = "5"
_NOTHING: Final = Totals()
_ENDS: Final = (".json", ".csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong, and what to do."""

    tone: Literal["bad", "warn"]
    text: str
    advice: str


class Site:
    """The parts that pages are made with. `sums` is asked for reports, `ledger` for everything that is quick."""

    def __init__(
        self,
        ledger: Ledger,
        sums: Ledger,
        *,
        catalog: Catalog,
        look: Callable[[Ledger], list[Problem]],
        clock: Callable[[], datetime],
        limit_s: float,
    ) -> None:
        self.ledger = ledger
        self.sums = sums
        self.catalog = catalog
        self.clock = clock
        self._look = look
        self._file = _file_of(ledger)
        self.readings = Readings(limit_s=limit_s, threads=_QUICK)
        self.additions = Readings(limit_s=limit_s, threads=_SLOW)
        self.charts = Readings(limit_s=limit_s, threads=1)
        self.pencil = Pencil()
        self._templates = Environment(
            loader=PackageLoader("costtrace.web.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["shown"] = shown
        self._templates.filters["coded"] = _coded
        self._templates.globals["ledger_name"] = shown(ledger.name)

    def close(self) -> None:
        """Let go of threads and of the process that draws."""
        for readings in (self.readings, self.additions, self.charts):
            readings.close()
        self.pencil.close()

    @property
    def is_missing(self) -> bool:
        """Whether nothing was ever stored; looking must not make the file."""
        return isinstance(self.ledger, SqliteLedger) and not self.ledger.exists

    async def version(self) -> int:
        """The number of the entry that was stored last; 0 where there is none."""
        await self._follow()
        found, _ = await self.readings.ask(
            "version", seconds(1), lambda: 0 if self.is_missing else self.ledger.last_seq()
        )
        return found

    async def _follow(self) -> None:
        """Let go of a file that has been replaced: another one of its name is another ledger."""
        file = _file_of(self.ledger)
        if file is None or file == self._file:
            return
        before, self._file = self._file, file
        if before is None:
            return
        for readings in (self.readings, self.additions, self.charts):
            readings.forget()
        for ledger in {id(each): each for each in (self.ledger, self.sums)}.values():
            await self.readings.run(ledger.close)

    async def report(self, by: tuple[str, ...], wanted: Asked, *, wait_s: float | None = None) -> tuple[Report, int]:
        """The costs of what is wanted by those words, and the version of the ledger that the report is of."""
        version = await self.version()
        if version == 0:
            return Report(by=by, selection=wanted.selection, rows=(), total=_NOTHING), 0
        return await self.additions.ask(
            ("report", by, wanted.key),
            version,
            lambda: report(self.sums, by, wanted.selection, wanted.zone),
            wait_s=wait_s,
        )

    def asked(self, request: Request, *, default: str = "7d") -> Asked:
        """What the address of that request asks for. Raises InvalidValue."""
        return asked(request.query_params, self.clock(), default=default)

    def markup(self, template: str, **values: Any) -> str:
        """The template with those values."""
        return self._templates.get_template(template).render(values)

    async def problems(self, *, wait_s: float | None = None) -> list[Problem]:
        """What a person should know before believing any number."""
        found, _ = await self.readings.ask("problems", seconds(10), self._problems, wait_s=wait_s)
        return found

    def _problems(self) -> list[Problem]:
        return [] if self.is_missing else self._look(self.ledger)

    async def page(
        self, template: str, request: Request, *, status: int = HTTPStatus.OK, **values: Any
    ) -> HTMLResponse:
        """A whole page, with what is wrong on top of it."""
        known: dict[str, Any] = {"here": request.url.path, "search": request.query_params.get("q", ""), "live": True}
        try:
            known["problems"] = await self.problems(wait_s=PATIENCE_S / 2)
        except TooSlow:
            known["problems"] = None
        return HTMLResponse(self.markup(template, **{**known, **values}), status)

    def route(self, path: str, handler: Handler) -> Route:
        """That handler at that path, with a clear answer for whatever goes wrong in it."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except Exception as error:  # noqa: BLE001 - the boundary: no traceback reaches a reader
                return await self.problem(request, error)

        return Route(path, answer, methods=["GET"])

    async def problem(self, request: Request, error: Exception) -> Response:
        """What went wrong and what to do, as a page, a part of one, or JSON: as was asked for."""
        status, title, advice = explained(error)
        headers = {"retry-after": _AGAIN_S} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
        if request.url.path.endswith(_ENDS):
            return JSONResponse({"error": title, "advice": advice}, status, headers)
        values: Mapping[str, Any] = {"title": title, "advice": advice}
        if request.url.path.startswith("/part/"):
            return HTMLResponse(self.markup("part_problem.html", **values), status, headers)
        response = await self.page("problem.html", request, status=status, **values)
        response.headers.update(headers or {})
        return response


def _file_of(ledger: Ledger) -> tuple[int, int] | None:
    """What tells the file of a ledger from another one of its name; None where there is none."""
    try:
        found = ledger.path.stat() if isinstance(ledger, SqliteLedger) else None
    except OSError:  # not there yet, or not any more; whoever reads it says so
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def _coded(text: str) -> Markup:
    """The text, with what stands between backticks set as code."""
    parts = (escape(shown(part)) for part in text.split("`"))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if number % 2 else part for number, part in enumerate(parts)
    )


def seconds(length: int) -> int:
    """A number that changes so often: the version of what changes while no entry is stored."""
    return int(time.monotonic()) // length


def now_utc() -> datetime:
    """The clock of a dashboard that is given no other."""
    return datetime.now(UTC)
