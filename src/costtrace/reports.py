"""Reports: folds over a ledger that commands and pages share. Plain data; how it looks is somebody else's business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from costtrace.entry import Entry
from costtrace.errors import InvalidValue, UnknownMessage
from costtrace.ledger.protocol import EVERYTHING, Ledger, Selection
from costtrace.messages import Message, Totals, as_of, encode_message
from costtrace.quote import QuoteStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One group and what it costs."""

    key: tuple[str | None, ...]
    """A value for each word of `Report.by`; None for entries that say nothing of it."""
    total: Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What each group of entries costs, dearest first, and all of them together."""

    by: tuple[str, ...]
    """Words of `costtrace.ledger.GROUPS`."""
    selection: Selection
    rows: tuple[ReportRow, ...]
    total: Totals

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON objects: money as text, moments as ISO 8601."""
        since, until = self.selection.since, self.selection.until
        return {
            "by": list(self.by),
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "groups": [{"group": dict(zip(self.by, row.key, strict=True)), **row.total.to_dict()} for row in self.rows],
            "total": self.total.to_dict(),
        }


def report(ledger: Ledger, by: Sequence[str] = (), selection: Selection = EVERYTHING) -> Report:
    """The costs of the selected entries by the words of `by`; a word said twice counts once.

    Sorted by what each group actually costs in US dollars, then by its name: other currencies are never converted.
    Raises InvalidValue for a word that is not one of `costtrace.ledger.GROUPS`.
    """
    words = tuple(dict.fromkeys(by))
    totals = ledger.totals(words, selection)
    rows = tuple(ReportRow(key=key, total=total) for key, total in sorted(totals.items(), key=_dearest_first))
    everything = Totals()
    for row in rows:
        everything = everything.plus(row.total)
    return Report(by=words, selection=selection, rows=rows, total=everything)


def _dearest_first(group: tuple[tuple[str | None, ...], Totals]) -> tuple[Any, ...]:
    key, total = group
    return -total.known.usd, [(word is None, word or "") for word in key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A message and the one it answers."""

    message: Message
    reply_to: Message | None
    """None where the message answers nothing, or nothing was recorded under what it answers."""
    total: Totals
    """Of both."""

    def to_dict(self) -> dict[str, Any]:
        """The turn as JSON objects; money as text."""
        return {"reply_to": self.reply_to and encode_message(self.reply_to), "total": self.total.to_dict()}


def turn(ledger: Ledger, message_uuid: str, *, at: datetime | None = None) -> Turn:
    """The message of that uuid with what it replied to, as known at that moment; now unless given.

    Raises UnknownMessage if there is no such message, InvalidValue if there was none at that moment.
    """
    message = _known(ledger.message(message_uuid), at)
    answered = message.context.reply_to
    try:
        reply_to = _known(ledger.message(answered), at) if answered is not None and answered != message_uuid else None
    except (UnknownMessage, InvalidValue):
        reply_to = None
    total = message.total if reply_to is None else message.total.plus(reply_to.total)
    return Turn(message=message, reply_to=reply_to, total=total)


def _known(message: Message, at: datetime | None) -> Message:
    return message if at is None else as_of(message, at)


def newest(ledger: Ledger, count: int) -> list[tuple[int, Entry]]:
    """The last entries that were stored, at most `count`, oldest first, each with its sequence number."""
    last = ledger.last_seq()
    width = count
    while True:  # numbers can be missing, so the last n numbers may name fewer than n entries
        found = list(ledger.entries(after=max(last - width, 0)))
        if len(found) >= count or width >= last:
            return found[-count:] if count else []
        width *= 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Calls of one model that have no exact cost, for one reason."""

    provider: str | None
    model: str | None
    status: str
    """The quote's status, such as ``unpriced`` or ``usage_missing``."""
    calls: int


def gaps(ledger: Ledger, selection: Selection = EVERYTHING) -> list[Gap]:
    """Where totals are incomplete, most calls first."""
    by_model: dict[tuple[str | None, str | None], dict[str, Totals]] = {}
    for (provider, model, status), total in ledger.totals(("provider", "model", "status"), selection).items():
        by_model.setdefault((provider, model), {})[status or ""] = total
    found = [
        Gap(provider=provider, model=model, status=status, calls=calls)
        for (provider, model), by_status in by_model.items()
        for status, calls in _open_calls(by_status)
    ]
    return sorted(found, key=lambda gap: (-gap.calls, gap.provider or "", gap.model or "", gap.status))


def _open_calls(by_status: Mapping[str, Totals]) -> Iterator[tuple[str, int]]:
    """The calls of one model without an exact cost, by the status of their quotes.

    A later entry that took such a call's place stands under its own status, where it counts below zero; it is set off
    against the calls of the same standing, the unpriced first.
    """
    for standing in ("unpriced", "estimated"):
        counts = {status: getattr(total, standing) for status, total in by_status.items()}
        mended = -sum(count for count in counts.values() if count < 0)
        for status in sorted(counts, key=lambda status: (status != QuoteStatus.UNPRICED, status)):
            left = max(counts[status] - mended, 0)
            mended = max(mended - max(counts[status], 0), 0)
            if left and status:
                yield status, left
