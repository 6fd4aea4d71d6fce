"""Dead letters of the ledger's stream, tried again once somebody has seen to their reason.

A letter names an entry and who did not take it, or says that it could not be read; the entry is read from the ledger,
where it has been all the time. So letters may be given to the stream's function as a batch of their queue, by an event
source mapping or by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from costtrace.aws.failures import WorkFailed
from costtrace.aws.invocation import Invocation
from costtrace.aws.queues import Job, take_each, text_of
from costtrace.aws.stream import PROJECTION, READING
from costtrace.chat import ChatMessages
from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.exporters import Exporter
from costtrace.ledger import Ledger

_RESERVE_S: Final = 20.0
_SQS: Final = "aws:sqs"


def are_letters(event: Mapping[str, Any]) -> bool:
    """Whether the event is a batch of a queue, and not of a stream."""
    return any(record.get("eventSource") == _SQS for record in event.get("Records", ()))


class Redelivery:
    """Gives the entry of each letter to the exporter that it names; letters that fail again stay in the queue."""

    def __init__(self, ledger: Ledger, exporters: Sequence[Exporter], *, chat: ChatMessages | None = None) -> None:
        self._ledger = ledger
        self._takers: dict[str, Callable[[Entry], None]] = {exporter.name: _taker(exporter) for exporter in exporters}
        if chat is not None:
            self._takers[PROJECTION] = lambda entry: _shown(chat, ledger, entry)
        everybody = tuple(self._takers.values())
        self._takers[READING] = lambda entry: _to_all(everybody, entry)

    def __call__(self, event: Mapping[str, Any], invocation: Invocation) -> Mapping[str, Any]:
        """The answer to that batch of letters."""
        return take_each(event, invocation, self._take, reserve_s=_RESERVE_S)

    def _take(self, letter: Job) -> None:
        name = text_of(letter, "exporter")
        take = self._takers.get(name)
        if take is None:
            raise InvalidValue("exporter", name, f"one of {', '.join(sorted(self._takers))}")
        take(self._entry(text_of(letter, "message_uuid"), text_of(letter, "entry_id")))

    def _entry(self, message_uuid: str, entry_id: str) -> Entry:
        for entry in self._ledger.message(message_uuid).entries:
            if entry.entry_id == entry_id:
                return entry
        raise InvalidValue("entry_id", entry_id, f"an entry of message {message_uuid!r}")


def _taker(exporter: Exporter) -> Callable[[Entry], None]:
    def take(entry: Entry) -> None:
        for refusal in exporter.export([entry]):
            raise WorkFailed(f"{exporter.name} refuses it again ({refusal.fate.value}: {refusal.reason})")

    return take


def _to_all(takers: Sequence[Callable[[Entry], None]], entry: Entry) -> None:
    for take in takers:
        take(entry)


def _shown(chat: ChatMessages, ledger: Ledger, entry: Entry) -> None:
    chat.project(ledger.message(entry.message_uuid), wait=False)
