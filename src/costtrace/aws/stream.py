"""The ledger's stream: each new entry goes to the exporters, and each message it belongs to is shown in the chat table.

Lambda gives a batch again from the first record that is reported as failed, so whatever may pass is reported, and the
exporters take an entry twice without counting it twice. What will not pass goes to the dead letters, by name and with
the reason, and does not hold up the rest; the entry itself stays in the ledger.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from costtrace.aws.failures import QueueUnavailable, shown
from costtrace.aws.invocation import Invocation
from costtrace.aws.queues import Queue
from costtrace.chat import ChatMessages
from costtrace.entry import Entry
from costtrace.errors import ConfigurationError, ExporterError, LedgerError, UnknownMessage
from costtrace.exporters import Exporter, Fate
from costtrace.ledger import Ledger

Decode = Callable[[Mapping[str, Any]], Entry | None]
"""The entry of a row, None for a row that is none: `costtrace.ledger.dynamodb.items.entry_of`."""

PROJECTION: Final = "chat-messages"
"""What a dead letter says in place of an exporter, where the chat table could not be shown a cost."""
_EXPORT_S: Final = 20.0
"""What one hand-over may take where the destination does not answer."""
_PASSING: Final = (ConfigurationError, ExporterError, LedgerError, QueueUnavailable)
"""What another try may cure, if only because somebody looks after it in the meantime."""
_log: Final = logging.getLogger("costtrace")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """One entry and its place in the stream."""

    number: str
    entry: Entry


class _Batch:
    """The records of one call, and which of them have to come again."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.failed: set[str] = set()

    def fail(self, records: Iterable[_Record]) -> None:
        """They come again, and with them everything behind them."""
        self.failed.update(record.number for record in records)

    def answer(self) -> dict[str, Any]:
        """The first failure: Lambda goes on from there."""
        first = next((number for number in self.numbers if number in self.failed), None)
        return {"batchItemFailures": [] if first is None else [{"itemIdentifier": first}]}


class StreamDelivery:
    """Delivers the entries of the ledger's stream. `chat` is None where there is no chat table."""

    def __init__(
        self,
        ledger: Ledger,
        exporters: Sequence[Exporter],
        *,
        decode: Decode,
        dead_letters: Queue,
        chat: ChatMessages | None = None,
    ) -> None:
        self._ledger = ledger
        self._exporters = exporters
        self._decode = decode
        self._dead_letters = dead_letters
        self._chat = chat

    def __call__(self, event: Mapping[str, Any], invocation: Invocation) -> Mapping[str, Any]:
        """The answer to that batch of the stream."""
        batch = _Batch()
        records = list(self._records(event, batch))
        if self._chat is not None:
            self._project(self._chat, records, batch)
        for exporter in self._exporters:
            for some in _in_parts(records, exporter.batch_size):
                if invocation.remaining_s() < _EXPORT_S:
                    batch.fail(some)
                else:
                    self._export(exporter, some, batch)
        return batch.answer()

    def _records(self, event: Mapping[str, Any], batch: _Batch) -> Iterator[_Record]:
        for record in event.get("Records", ()):
            change = record["dynamodb"]
            number = str(change["SequenceNumber"])
            batch.numbers.append(number)
            if record.get("eventName") != "INSERT":  # rows of entries are never changed; what goes is a hint
                continue
            try:
                entry = self._decode(_plain(change["NewImage"]))
            except Exception as error:  # noqa: BLE001 - a row that nobody here can read must not stop the stream
                if not self._buried(_key(change), _stage("reading"), error):
                    batch.failed.add(number)
                continue
            if entry is not None:
                yield _Record(number=number, entry=entry)

    def _project(self, chat: ChatMessages, records: Sequence[_Record], batch: _Batch) -> None:
        by_message: dict[str, list[_Record]] = {}
        for record in records:
            by_message.setdefault(record.entry.message_uuid, []).append(record)
        for uuid, touched in by_message.items():
            try:
                chat.project(self._ledger.message(uuid))
            except UnknownMessage:
                batch.fail(touched)  # its rows are in the stream and not in the table: somebody is at work on it
            except _PASSING as error:
                _log.warning("the costs of a message are shown later: %s", shown(error))
                batch.fail(touched)
            except Exception as error:  # noqa: BLE001 - a row of the chat table that holds something else
                if not all(self._buried(_name(record.entry), _stage(PROJECTION), error) for record in touched):
                    batch.fail(touched)

    def _export(self, exporter: Exporter, records: Sequence[_Record], batch: _Batch) -> None:
        """Hand the records over; where that fails unexpectedly, in halves, until the one that does it is found."""
        try:
            refusals = exporter.export([record.entry for record in records])
        except ExporterError as error:
            _log.warning("%s takes nothing for now: %s", exporter.name, shown(error))
            batch.fail(records)
            return
        except Exception as error:  # noqa: BLE001 - an exporter may be anybody's
            if len(records) > 1:
                middle = len(records) // 2
                self._export(exporter, records[:middle], batch)
                self._export(exporter, records[middle:], batch)
            elif not self._buried(_name(records[0].entry), _stage(exporter.name), error):
                batch.fail(records)
            return
        refused = {refusal.entry_id: refusal for refusal in refusals}
        for record in records:
            refusal = refused.get(record.entry.entry_id)
            if refusal is None:
                continue
            letter = {"exporter": exporter.name, "fate": refusal.fate.value, "reason": refusal.reason}
            if refusal.fate is Fate.RETRY or not self._put(_name(record.entry), letter):
                batch.fail([record])

    def _buried(self, name: Mapping[str, str], stage: Mapping[str, str], error: Exception) -> bool:
        """Whether the dead letters have it."""
        return self._put(name, {**stage, "fate": Fate.DEAD.value, "reason": shown(error)})

    def _put(self, name: Mapping[str, str], letter: Mapping[str, str]) -> bool:
        try:
            self._dead_letters.put({**name, **letter})
        except QueueUnavailable as error:
            _log.error("a dead letter could not be stored: %s", shown(error))
            return False
        _log.error("an entry went to the dead letters: %s", {**name, **letter})
        return True


def _plain(image: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row as DynamoDB's own client gives it: a stream's event is JSON, where bytes are base64."""
    return {
        name: {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else value
        for name, value in image.items()
    }


def _name(entry: Entry) -> dict[str, str]:
    return {"message_uuid": entry.message_uuid, "entry_id": entry.entry_id}


def _key(change: Mapping[str, Any]) -> dict[str, str]:
    """The name of a row that cannot be read: its key."""
    keys = change.get("Keys", {})
    return {name: str(keys.get(name, {}).get("S")) for name in ("pk", "sk")}


def _stage(exporter: str) -> dict[str, str]:
    return {"exporter": exporter}


def _in_parts(records: Sequence[_Record], size: int) -> Iterator[list[_Record]]:
    left = iter(records)
    while part := list(islice(left, size)):
        yield part
