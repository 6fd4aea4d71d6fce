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
from costtrace.ledger.dynamodb.items import MESSAGE

Decode = Callable[[Mapping[str, Any]], Entry | None]
"""The entry of a row, None for a row that is none: `costtrace.ledger.dynamodb.items.entry_of`."""

PROJECTION: Final = "chat-messages"
"""What a dead letter says in place of an exporter, where the chat table could not be shown a cost."""
READING: Final = "reading"
"""Likewise, where a row could not be read: nobody was given its entry."""
_EXPORT_S: Final = 20.0
"""What one hand-over may take where the destination does not answer."""
_PROJECT_S: Final = 25.0
"""What has to be left of the call before a message is shown: the exporters come after."""
_PASSING: Final = (ConfigurationError, ExporterError, LedgerError, QueueUnavailable)
"""What another try may cure, if only because somebody looks after it in the meantime."""
_log: Final = logging.getLogger("costtrace")

Letter = Mapping[str, str]
"""What is known of an entry that was not taken: ``message_uuid``, ``entry_id``, ``exporter``, ``fate``, ``reason``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """One entry and its place in the stream."""

    number: str
    entry: Entry


class _Batch:
    """The records of one call: which of them have to come again, and what is to be set aside of the others."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self._failed: set[str] = set()
        self._letters: dict[str, list[Letter]] = {}

    def fail(self, records: Iterable[_Record]) -> None:
        """They come again, and with them everything behind them."""
        self._failed.update(record.number for record in records)

    def bury(self, number: str, letter: Letter) -> None:
        """That goes to the dead letters, unless the record comes again: then it would go there once more."""
        self._letters.setdefault(number, []).append(letter)

    def answer(self, put: Callable[[Letter], bool]) -> dict[str, Any]:
        """The first failure: Lambda goes on from there. `put` says whether the dead letters have it."""
        for number in self.numbers:
            if number in self._failed or not all(put(letter) for letter in self._letters.get(number, ())):
                return {"batchItemFailures": [{"itemIdentifier": number}]}
        return {"batchItemFailures": []}


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
            self._project(self._chat, records, batch, invocation)
        for exporter in self._exporters:
            for some in _in_parts(records, exporter.batch_size):
                if invocation.remaining_s() < _EXPORT_S:
                    batch.fail(some)
                else:
                    self._export(exporter, some, batch)
        return batch.answer(self._put)

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
                batch.bury(number, _dead(_key(change), READING, error))
                continue
            if entry is not None:
                yield _Record(number=number, entry=entry)

    def _project(self, chat: ChatMessages, records: Sequence[_Record], batch: _Batch, invocation: Invocation) -> None:
        """Show what their messages cost. A table that does not answer is asked once: the exporters need the time."""
        by_message: dict[str, list[_Record]] = {}
        for record in records:
            by_message.setdefault(record.entry.message_uuid, []).append(record)
        answers = True
        for uuid, touched in by_message.items():
            if not answers or invocation.remaining_s() < _PROJECT_S:
                batch.fail(touched)
                continue
            try:
                chat.project(self._ledger.message(uuid), wait=False)
            except UnknownMessage:
                _log.info("message %s has been deleted: its cost is shown nowhere", uuid)
            except _PASSING as error:
                _log.warning("the costs of messages are shown later: %s", shown(error))
                answers = False
                batch.fail(touched)
            except Exception as error:  # noqa: BLE001 - a row of the chat table that holds something else
                for record in touched:
                    batch.bury(record.number, _dead(_name(record.entry), PROJECTION, error))

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
            else:
                batch.bury(records[0].number, _dead(_name(records[0].entry), exporter.name, error))
            return
        refused = {refusal.entry_id: refusal for refusal in refusals}
        for record in records:
            refusal = refused.get(record.entry.entry_id)
            if refusal is None:
                continue
            if refusal.fate is Fate.RETRY:
                batch.fail([record])
            else:
                batch.bury(record.number, _letter(_name(record.entry), exporter.name, refusal.fate, refusal.reason))

    def _put(self, letter: Letter) -> bool:
        try:
            self._dead_letters.put(letter)
        except QueueUnavailable as error:
            _log.error("a dead letter could not be stored: %s", shown(error))
            return False
        _log.error("an entry went to the dead letters: %s", dict(letter))
        return True


def _letter(name: Mapping[str, str], exporter: str, fate: Fate, reason: str) -> Letter:
    return {**name, "exporter": exporter, "fate": fate.value, "reason": reason}


def _dead(name: Mapping[str, str], exporter: str, error: Exception) -> Letter:
    return _letter(name, exporter, Fate.DEAD, shown(error))


def _plain(image: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row as DynamoDB's own client gives it: a stream's event is JSON, where bytes are base64."""
    return {
        name: {"B": base64.b64decode(value["B"])} if isinstance(value.get("B"), str) else value
        for name, value in image.items()
    }


def _name(entry: Entry) -> dict[str, str]:
    return {"message_uuid": entry.message_uuid, "entry_id": entry.entry_id}


def _key(change: Mapping[str, Any]) -> dict[str, str]:
    """The name of a row that cannot be read: its key says whose entry it is."""
    keys = change.get("Keys", {})
    pk, sk = (str(keys.get(name, {}).get("S")) for name in ("pk", "sk"))
    return {"message_uuid": pk.removeprefix(MESSAGE), "entry_id": sk}


def _in_parts(records: Sequence[_Record], size: int) -> Iterator[list[_Record]]:
    left = iter(records)
    while part := list(islice(left, size)):
        yield part
