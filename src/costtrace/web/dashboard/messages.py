"""The messages, newest first, and what one of them cost, with its working."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from costtrace.errors import InvalidValue, UnknownMessage
from costtrace.ledger import Ledger, Selection
from costtrace.messages import Message, encode_message
from costtrace.reports import Turn, newest, turn
from costtrace.times import moment_text, parse_moment
from costtrace.view.amounts import actual_column
from costtrace.view.page import fragment
from costtrace.view.story import story_of
from costtrace.web.dashboard.answers import csv_answer, json_answer
from costtrace.web.dashboard.asked import Asked
from costtrace.web.dashboard.message_rows import message_csv, message_record, message_rows
from costtrace.web.dashboard.overview import choices
from costtrace.web.dashboard.site import Site
from costtrace.web.dashboard.wrongs import NotThere

_PER_PAGE: Final = 25
_PER_FILE: Final = 500
_SEARCHED: Final = 20_000
"""How many entries are looked through for a run id, the last ones: no store has an index of those."""
_SID: Final = re.compile(r"(SM|MM)[0-9a-fA-F]{32}", re.ASCII)
_LONGEST: Final = 500


class Messages:
    """The list, the search and the page of one message."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def routes(self) -> list[Route]:
        """Where these pages are."""
        at = self._site.route
        return [
            at("/messages", self._page),
            at("/part/messages", self._part),
            at("/messages.json", self._json),
            at("/messages.csv", self._csv),
            at("/search", self._search),
            at("/message", self._message),
            at("/part/message", self._message_part),
            at("/message.json", self._message_json),
        ]

    async def _page(self, request: Request) -> Response:
        wanted = self._site.asked(request, default="all")
        if await self._site.version() == 0:
            return await self._site.page("empty.html", request, wanted=wanted)
        before = _before(request.query_params)
        return await self._site.page(
            "messages.html",
            request,
            wanted=wanted,
            before=before,
            source=f"/part/messages?{_query(wanted, before)}",
            markup=await self._list(wanted, before),
            **choices(wanted),
        )

    async def _part(self, request: Request) -> Response:
        markup = await self._list(self._site.asked(request, default="all"), _before(request.query_params))
        return Response(markup, media_type="text/html")

    async def _list(self, wanted: Asked, before: int | None) -> str:
        version = await self._site.version()
        found, last = await self._read(wanted, before, _PER_PAGE, version)
        return self._site.markup(
            "part_messages.html",
            version=version,
            rows=message_rows(found),
            actual_head=actual_column([message.total for message in found])[0],
            has_pending=any(message.total.estimated > 0 or message.total.pending for message in found),
            older=None if last is None else _query(wanted, last),
            newest=None if before is None else _query(wanted, None),
            wanted=wanted,
        )

    async def _read(
        self, wanted: Asked, before: int | None, limit: int, version: int
    ) -> tuple[list[Message], int | None]:
        """A page of messages, and the number that the next one goes on from."""
        if version == 0:
            return [], None
        ledger, selection = self._site.ledger, wanted.selection
        found, _ = await self._site.readings.ask(
            ("messages", wanted.key, before, limit), version, lambda: _read(ledger, selection, before, limit)
        )
        return found

    async def _json(self, request: Request) -> Response:
        found, last = await self._file(request)
        return json_answer({"messages": [message_record(message) for message in found], "older_before": last})

    async def _csv(self, request: Request) -> Response:
        found, _ = await self._file(request)
        return csv_answer(message_csv(found), "messages")

    async def _file(self, request: Request) -> tuple[list[Message], int | None]:
        wanted = self._site.asked(request, default="all")
        return await self._read(wanted, _before(request.query_params), _PER_FILE, await self._site.version())

    async def _search(self, request: Request) -> Response:
        text = request.query_params.get("q", "").strip()
        if not text:
            return RedirectResponse("/messages", HTTPStatus.SEE_OTHER)
        if len(text) > _LONGEST:
            raise InvalidValue("search", f"{text[:20]}...", f"at most {_LONGEST} characters")
        ledger = self._site.ledger
        uuid = None if self._site.is_missing else await self._site.readings.run(lambda: _search(ledger, text))
        if uuid is None:
            status = HTTPStatus.NOT_FOUND
            return await self._site.page("not_found.html", request, status=status, text=text, searched=_SEARCHED)
        return RedirectResponse(f"/message?{urlencode({'uuid': uuid})}", HTTPStatus.SEE_OTHER)

    async def _message(self, request: Request) -> Response:
        version = await self._site.version()  # before it is read: what is stored meanwhile is newer than the page
        found, at = await self._turn(request)
        context, query = found.message.context, _message_query(found.message.uuid, at)
        return await self._site.page(
            "message.html",
            request,
            uuid=found.message.uuid,
            answered=context.reply_to,
            at=at,
            as_of=request.query_params.get("as_of", ""),
            query=query,
            source=f"/part/message?{query}",
            markup=self._trace(found, at, version),
            live=at is None,
            newest=max(entry.recorded_at for entry in found.message.entries),
            links={
                word: urlencode({word: value})
                for word, value in (("user", context.user_id), ("thread", context.thread_id))
                if value
            },
        )

    async def _message_part(self, request: Request) -> Response:
        version = await self._site.version()
        return Response(self._trace(*await self._turn(request), version), media_type="text/html")

    def _trace(self, found: Turn, at: datetime | None, version: int) -> str:
        return self._site.markup("part_message.html", version=version, fragment=fragment(story_of(found, known_at=at)))

    async def _message_json(self, request: Request) -> Response:
        found, at = await self._turn(request)
        record = {**encode_message(found.message), "turn": found.to_dict()}
        return json_answer(record if at is None else {"as_of": moment_text(at), **record})

    async def _turn(self, request: Request) -> tuple[Turn, datetime | None]:
        uuid = request.query_params.get("uuid", "")
        if not uuid:
            raise NotThere("The address names no message")
        at = _as_of(request.query_params.get("as_of", "").strip())
        ledger = self._site.ledger
        if self._site.is_missing:
            raise UnknownMessage(uuid, "this ledger")
        return await self._site.readings.run(lambda: turn(ledger, uuid, at=at)), at


def _read(ledger: Ledger, selection: Selection, before: int | None, limit: int) -> tuple[list[Message], int | None]:
    found = ledger.recent(limit + 1, before=before, selection=selection)
    page = found[:limit]
    older = page[-1].seq if len(found) > limit else found.before
    return [ledger.message(recent.message_uuid) for recent in page], older


def _search(ledger: Ledger, text: str) -> str | None:
    """The message that is known by that uuid, MessageSid, entry id or run id."""
    try:
        return ledger.message(text).uuid
    except UnknownMessage:
        pass
    entry_id = f"sms/{text}" if _SID.fullmatch(text) else text
    try:
        entry = ledger.find(entry_id)
    except InvalidValue:  # a store that is keyed by message finds nothing but SMS
        entry = None
    if entry is None and not _SID.fullmatch(text):
        entry = next((one for _, one in reversed(newest(ledger, _SEARCHED)) if one.source_id == text), None)
    return None if entry is None else entry.message_uuid


def _before(params: QueryParams) -> int | None:
    text = params.get("before")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20):  # noqa: PLR2004 - 64 bits
        raise InvalidValue("before", text, "a sequence number, as the links to older messages have it")
    return int(text)


def _query(wanted: Asked, before: int | None) -> str:
    return wanted.query(range=wanted.range, before=None if before is None else str(before))


def _message_query(uuid: str, at: datetime | None) -> str:
    return urlencode({"uuid": uuid, **({} if at is None else {"as_of": moment_text(at)})}, quote_via=quote)


def _as_of(text: str) -> datetime | None:
    """The moment a text names, in UTC; a date counts whole."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + timedelta(days=1, microseconds=-1)
    except ValueError:
        pass
    try:
        read = datetime.fromisoformat(text)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except OverflowError:  # its zone moves it out of the calendar
        raise InvalidValue("as of", text, "a date such as 2026-01-20") from None
    except ValueError:
        return parse_moment(text, "as of")  # says what would have been right
