"""ChatMessages: the chat table that a hand-written system made, with its keys and its index as they are.

Rows of that system and ours stand side by side, and whoever reads a conversation with ``Query(threadId)`` sees messages
and nothing else. What a message cost is shown beside it (`project`); the truth of it is in the ledger.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from costtrace.chat.attributes import Item, read
from costtrace.chat.message import COSTS, MESSAGE_ID, ChatMessage, chat_message, is_message, item_of
from costtrace.chat.projection import Part, parts
from costtrace.chat.rows import Rows
from costtrace.chat.updates import update
from costtrace.context import check_text, new_message_uuid
from costtrace.errors import InvalidValue, LedgerUnavailable
from costtrace.messages import Message
from costtrace.times import moment_text, parse_moment

_BUMPS: Final = 16
_TRIES: Final = 8
_WAITS_S: Final = (0.05, 0.15, 0.4)
"""How long the index is waited for, together 0.6 s: mostly it lags by less, and nobody is helped by waiting longer."""
_PAGE: Final = 200
_FAR_ENOUGH: Final = 50
"""How many of a conversation's newest rows are searched for one that the index does not have yet: it is very new."""


class ChatMessages:
    """The chat table. Safe to use from many threads.

    `client` is boto3's low-level DynamoDB client, as `costtrace.ledger.dynamodb.client.dynamodb_client` makes it;
    `clock` tells the time in UTC. Every method raises LedgerUnavailable where DynamoDB may answer later, and
    LedgerUnusable where a person is needed: no such table, no permission.
    """

    def __init__(
        self,
        client: Any,
        *,
        table: str = "chat-messages",
        index: str = "MessageUuidIndex",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rows = Rows(client, table, index)
        self._clock = clock
        self._sleep = sleep

    @property
    def write_units(self) -> Decimal:
        """What DynamoDB said the writes so far cost, the index included. Of refused ones it does not say so."""
        return self._rows.write_units

    def new(
        self,
        *,
        thread_id: str,
        role: str,
        content: str,
        channel: str | None = None,
        message_uuid: str | None = None,
    ) -> ChatMessage:
        """A message of now, not yet saved. Keep it for every attempt to save it: its timestamp makes it the same one.

        Raises InvalidValue for an empty thread_id or message_uuid.
        """
        return ChatMessage(
            thread_id=check_text(thread_id, "thread_id"),
            timestamp=moment_text(self._clock()),
            message_uuid=new_message_uuid() if message_uuid is None else check_text(message_uuid, "message_uuid"),
            role=role,
            content=content,
            channel=channel,
        )

    def save(self, message: ChatMessage) -> ChatMessage:
        """Store the message, and answer it as it stands there; saving it again changes nothing.

        Where another message of the conversation has the same timestamp, it gets the next free microsecond. Raises
        InvalidValue for a message without an id, one whose timestamp is not of our form, and one that finds sixteen
        microseconds taken.
        """
        check_text(message.message_uuid, "message_uuid")
        free: str | None = _checked(message.timestamp)
        for _ in range(_BUMPS + 1):
            if free is None:
                break
            candidate = replace(message, timestamp=free)
            standing = self._rows.put(item_of(candidate))
            if standing is None:
                return candidate
            if _is_same(standing, message):
                return chat_message(standing)
            saved, free = self._around(message)
            if saved is not None:
                return saved
        raise InvalidValue("timestamp", message.timestamp, f"a moment with fewer than {_BUMPS + 1} messages in it")

    def history(self, thread_id: str, *, limit: int = 50, before: str | None = None) -> list[ChatMessage]:
        """The newest messages of the conversation, at most `limit`, the oldest of them first.

        `before` is the timestamp of the first one had so far, for the page before it. Rows of costs that belong to no
        message are left out. Raises InvalidValue for a limit below one.
        """
        if type(limit) is not int or limit < 1:
            raise InvalidValue("limit", limit, "how many messages to read, 1 or more")
        rows = self._rows.thread(thread_id, before=before, page=min(limit, _PAGE))
        return list(islice((chat_message(item) for item in rows if is_message(item)), limit))[::-1]

    def by_uuid(self, message_uuid: str, *, thread_id: str | None = None) -> ChatMessage | None:
        """The message of that uuid, if there is one.

        The index that finds it lags behind. Where it has nothing, the newest rows of the conversation are searched, if
        that is known; otherwise the index is asked again for up to 0.6 s. Of several rows with that uuid, which an
        earlier system made when it saved a message again, the oldest one is the message.
        """
        item = self._find(message_uuid, thread_id, _WAITS_S)
        return None if item is None else chat_message(item)

    def project(self, message: Message, *, row: ChatMessage | None = None, wait: bool = True) -> bool:
        """Bring what the table shows of that message's cost up to date; False where the table has no such message.

        `row` is the message as `save` or `by_uuid` gave it, where it is at hand: then nothing has to be searched.
        Otherwise it is found as `by_uuid` does it; without `wait`, for whoever projects again with every new entry, the
        index is asked once.
        Whatever is projected in which order, how often and by how many at once, the row shows the projection of the
        greatest number of entries in the end. Raises InvalidValue, with nothing changed, where the row holds something
        else in place of the map, and for a sum of more than 38 digits.
        """
        item = None if row is None else self._rows.get(row.thread_id, row.timestamp)
        if item is None or not _is_named(item, message.uuid):
            item = self._find(message.uuid, message.context.thread_id, _WAITS_S if wait else ())
        return item is not None and all(self._shown(part, item, message.uuid) for part in parts(message))

    def _shown(self, part: Part, item: Item, message_uuid: str) -> bool:
        """Write one part, looking again each time somebody else was faster; False where the row has gone."""
        found = chat_message(item)
        for _ in range(_TRIES):
            request = update(part, read(item[COSTS]) if COSTS in item else None, message_uuid)
            if request is None:
                return True
            seen = self._rows.update(found.thread_id, found.timestamp, request)
            if seen is None:
                return True
            if not _is_named(seen, message_uuid):
                return False
            item = seen
        where = f"DynamoDB table {self._rows.table!r}"
        raise LedgerUnavailable(f"{where}: the costs of message {message_uuid!r} are being changed by others")

    def _find(self, message_uuid: str, thread_id: str | None, waits_s: Sequence[float]) -> Item | None:
        item = self._indexed(message_uuid)
        if item is None and thread_id is not None:
            newest = islice(self._rows.thread(thread_id, page=_FAR_ENOUGH), _FAR_ENOUGH)
            return min((row for row in newest if _is_named(row, message_uuid)), key=_age, default=None)
        for wait_s in waits_s:
            if item is not None:
                break
            self._sleep(wait_s)
            item = self._indexed(message_uuid)
        return item

    def _indexed(self, message_uuid: str) -> Item | None:
        """The oldest row that the index names and that is still there."""
        for thread_id, timestamp in sorted(self._rows.named(message_uuid), key=lambda key: (key[1], key[0])):
            item = self._rows.get(thread_id, timestamp)
            if item is not None and _is_named(item, message_uuid):
                return item
        return None

    def _around(self, message: ChatMessage) -> tuple[ChatMessage | None, str | None]:
        """The message where an earlier attempt put it, and the first free place for it, if there are such."""
        places = list(_places(message.timestamp))
        taken = list(self._rows.thread(message.thread_id, first=places[0], last=places[-1], page=_PAGE))
        saved = next((chat_message(item) for item in taken if _is_same(item, message)), None)
        full = {chat_message(item).timestamp for item in taken}
        return saved, next((place for place in places if place not in full), None)


def _places(timestamp: str) -> Iterator[str]:
    """Where that message may stand: its own microsecond and the sixteen after it."""
    moment = parse_moment(timestamp, "timestamp")
    return (moment_text(moment + timedelta(microseconds=bump)) for bump in range(_BUMPS + 1))


def _checked(timestamp: str) -> str:
    """A timestamp whose texts sort as time does beside those of every other message."""
    if moment_text(parse_moment(timestamp, "timestamp")) != timestamp:
        raise InvalidValue("timestamp", timestamp, "UTC with microseconds, such as 2026-01-20T09:30:00.000000Z")
    return timestamp


def _is_same(item: Item, message: ChatMessage) -> bool:
    return _is_named(item, message.message_uuid)


def _is_named(item: Item, message_uuid: str | None) -> bool:
    return item.get(MESSAGE_ID) == {"S": message_uuid}


def _age(item: Item) -> str:
    return chat_message(item).timestamp
