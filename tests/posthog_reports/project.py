"""A PostHog project on a loopback port: dashboards, insights and queries, as the private API answers, and faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.sandbox.posthog_clickhouse import run

KEY = "phx_standin"
PROJECT = "4711"
Thing = dict[str, Any]


class Project:
    """What the project holds, and everything it was asked. `faults` are answered first, one a request."""

    def __init__(self, *, keeps_tags: bool = True) -> None:
        self.things: dict[str, dict[int, Thing]] = {"dashboards": {}, "insights": {}}
        self.events: list[Mapping[str, Any]] = []
        self.known: dict[str, Any] = {}
        """Answers by query; any other runs on ClickHouse."""
        self.faults: list[Response | None] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.keeps_tags = keeps_tags
        self.refuses: tuple[str, str, Response | None] | None = None
        """Method and path for which there is another answer; None as the answer: done, and the connection breaks."""
        self.address = ""
        self._ids = iter(range(100, 10_000))

    def writes(self) -> list[tuple[str, str]]:
        """Method and path of what was asked to change something."""
        return [(method, path) for method, path, _ in self.asked if method != "GET" and "query" not in path]

    def put(self, place: str, **thing: Any) -> int:
        """Somebody else's dashboard or insight."""
        number = next(self._ids)
        self.things[place][number] = {"id": number, "deleted": False, "tags": [], "dashboards": [], **thing}
        return number

    async def handle(self, request: Request) -> Response | None:
        body = json.loads(request.body) if request.body else None
        head, _, path = request.path.partition(f"/api/projects/{PROJECT}/")
        self.asked.append((request.method, path or request.path, body))
        if self.faults:
            return self.faults.pop(0)
        answer = await self._handle(request, head, path, body)
        if self.refuses is not None and self.refuses[:2] == (request.method, path):
            return self.refuses[2]
        return answer

    async def _handle(self, request: Request, head: str, path: str, body: Any) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return problem(401, "Invalid API key")
        if head or not path:
            return problem(404, "Project not found.")
        if path == "query/":
            assert body is not None
            return await asyncio.to_thread(self._answer, body["query"]["query"])
        return self._thing(request, *path.strip("/").split("/"), body=body)

    def _answer(self, hogql: str) -> Response:
        if hogql in self.known:
            return ok(self.known[hogql])
        try:
            return ok(run(hogql, self.events))
        except RuntimeError as error:
            return problem(400, str(error))

    def _thing(self, request: Request, place: str, number: str | None = None, *, body: Any = None) -> Response:
        things = self.things[place]
        if number is None and request.method == "GET":
            return self._page(list(things.values()), parse_qs(request.query), place)
        if number is None:
            found = things[self.put(place)]
        elif int(number) not in things or things[int(number)]["deleted"]:
            return problem(404, "Not found.")
        else:
            found = things[int(number)]
        if request.method != "GET":
            kept = body if self.keeps_tags else {name: value for name, value in body.items() if name != "tags"}
            found.update(json.loads(json.dumps(kept)))
            if "query" in found:
                found["query"].setdefault("version", 1)  # PostHog adds defaults of its own
        return ok(found, status=201 if number is None else 200)

    def _page(self, things: list[Thing], query: dict[str, list[str]], place: str) -> Response:
        start, size = int(query.get("offset", ["0"])[0]), 2
        more = f"{self.address}/api/projects/{PROJECT}/{place}/?limit={size}&offset={start + size}"
        page = [thing for thing in things if not thing["deleted"]][start : start + size]
        return ok({"results": page, "next": more if start + size < len(things) else None})


def ok(body: Any, *, status: int = 200) -> Response:
    return Response(status=status, body=json.dumps(body).encode())


def problem(status: int, detail: str, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=status, body=json.dumps({"type": "error", "detail": detail}).encode(), headers=named)


@contextmanager
def serving(project: Project) -> Iterator[str]:
    """The address at which that project answers."""
    server = LoopbackServer(project.handle, name="PostHog project")
    server.start()
    try:
        project.address = server.address
        yield server.address
    finally:
        server.stop()
