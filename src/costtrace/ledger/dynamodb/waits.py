"""Which entries wait for their cost: hints, written before the entry they are about and gone after it is replaced.

A hint that is left behind, or comes twice, does no harm: whether an entry waits stands in the rows of its message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, product
from typing import Final

from costtrace.entry import Entry, Standing
from costtrace.ledger.dynamodb.feed import number_of
from costtrace.ledger.dynamodb.items import SHARDS, WAITING, Rows, entry_of, message_key, shard_of
from costtrace.ledger.dynamodb.table import Item, Table

_ABANDONED_US: Final = 86_400_000_000
"""How long after its hint an entry's row may still come."""


class Waits:
    """The hints of one table."""

    def __init__(self, table: Table, clock: Callable[[], int]) -> None:
        self._table = table
        self._clock = clock

    def add(self, rows: Rows) -> None:
        """Note that this entry waits."""
        pk, sk = _place(rows.kind, rows.message_uuid, rows.entry_id)
        self._table.put(
            {
                "pk": {"S": pk},
                "sk": {"S": sk},
                "messageUuid": {"S": rows.message_uuid},
                "entryId": {"S": rows.entry_id},
                "notedUs": {"N": str(self._clock() // 1000)},
            }
        )

    def done(self, message_uuid: str, entry_id: str) -> None:
        """Take the hint away, where the entry's id begins with its kind, as those of all kinds of ours do."""
        self._table.delete(*_place(entry_id.partition("/")[0], message_uuid, entry_id))

    def waiting(self, kinds: Iterable[str]) -> Iterator[Entry]:
        """The entries of those kinds that wait; of each message in the order they were stored."""
        for kind, shard in product(dict.fromkeys(kinds), range(SHARDS)):
            hints = self._table.partition(f"{WAITING}{kind}#{shard}")
            for message_uuid, group in groupby(hints, key=lambda hint: str(hint["messageUuid"]["S"])):
                yield from self._of_message(message_uuid, list(group))

    def _of_message(self, message_uuid: str, hints: Sequence[Item]) -> Iterator[Entry]:
        stored: dict[str, tuple[int, Entry]] = {}
        for row in self._table.partition(message_key(message_uuid)):
            if (entry := entry_of(row)) is not None:
                stored[entry.entry_id] = (number_of(row), entry)
        replaced = {e.details.get("corrects") for _, e in stored.values() if e.replaces == Standing.PENDING}
        found: list[tuple[int, Entry]] = []
        for hint in hints:
            entry_id = hint["entryId"]["S"]
            if entry_id in stored and entry_id not in replaced:
                found.append(stored[entry_id])
            elif entry_id in replaced or self._abandoned(hint):
                self._table.delete(hint["pk"]["S"], hint["sk"]["S"], notedUs=hint["notedUs"])
        yield from (entry for _, entry in sorted(found, key=lambda pair: pair[0]))

    def _abandoned(self, hint: Item) -> bool:
        return self._clock() // 1000 - int(hint["notedUs"]["N"]) > _ABANDONED_US


def _place(kind: str, message_uuid: str, entry_id: str) -> tuple[str, str]:
    """Each kind for itself: calls of which only an estimate is known may wait for ever, and nobody asks for them."""
    return f"{WAITING}{kind}#{shard_of(message_uuid)}", f"{message_uuid}#{entry_id}"
