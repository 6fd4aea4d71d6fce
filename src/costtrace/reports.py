"""Reports: folds over a ledger that commands and pages share. Plain data; how it looks is somebody else's business."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from itertools import zip_longest
from operator import attrgetter
from typing import Any, Final

from costtrace.entry import Entry, Kind
from costtrace.errors import InvalidValue, UnknownMessage
from costtrace.ledger.protocol import EVERYTHING, Ledger, Selection
from costtrace.messages import Amounts, Message, Totals, as_of, encode_message
from costtrace.money import EXACT, ZERO
from costtrace.quote import QuoteStatus
from costtrace.replaced import moved, set_off

_Key = tuple[str | None, ...]
_SMS: Final = "sms"
_NOTHING: Final = Totals()
_NUMBERS: Final = ("settled", "calculated", "estimated", "unpriced", "input_tokens", "output_tokens")


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
    zone: tzinfo = UTC
    """Whose days and hours these are."""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON objects: money as text, moments as ISO 8601."""
        since, until = self.selection.since, self.selection.until
        return {
            "by": list(self.by),
            "since": since and since.isoformat(),
            "until": until and until.isoformat(),
            "where": dict(self.selection.where),
            "zone": str(self.zone),
            "groups": [{"group": dict(zip(self.by, row.key, strict=True)), **row.total.to_dict()} for row in self.rows],
            "total": self.total.to_dict(),
        }


def report(ledger: Ledger, by: Sequence[str] = (), selection: Selection = EVERYTHING, zone: tzinfo = UTC) -> Report:
    """The costs of the selected entries by the words of `by`; a word said twice counts once.

    Sorted by what each group actually costs in US dollars, then by its name: other currencies are never converted.
    What an entry took the place of counts no more, in whichever group it stands. All that was recorded of an SMS is of
    the kind ``sms``. A group that names nobody and nothing that costs, as status callbacks make one, is left out.
    Days and hours are those of the zone. Raises InvalidValue for a word that is neither one of
    `costtrace.ledger.GROUPS` nor ``tag:NAME``, and for what is no time zone.
    """
    words = tuple(dict.fromkeys(by))
    groups = _groups(ledger, words, selection, zone)
    totals = {key: total for key, total in groups.items() if None not in key or total != _NOTHING}
    rows = tuple(ReportRow(key=key, total=total) for key, total in sorted(totals.items(), key=_dearest_first))
    total = _sum([row.total for row in rows])
    return Report(by=words, selection=selection, rows=rows, total=total, zone=zone)


def _groups(ledger: Ledger, words: tuple[str, ...], selection: Selection, zone: tzinfo) -> dict[_Key, Totals]:
    """The totals by those words; where one would be below zero, what was replaced is set off message by message."""
    totals = _merged(words, ledger.totals(words, selection, zone))
    if not any(min(total.settled, total.calculated, total.estimated, total.unpriced) < 0 for total in totals.values()):
        return totals
    moves: dict[_Key, list[Totals]] = {}
    found = ledger.replaced(words, selection, zone)
    totals = _merged(words, found.totals)
    for alike in found.messages:
        groups = _merged(words, alike.groups)
        for (key, before), after in zip(groups.items(), set_off(list(groups.values())), strict=True):
            if after != before:
                moves.setdefault(key, []).append(moved(before, after, alike.times))
    for key, all_moves in moves.items():
        left = _sum([totals.get(key, _NOTHING), *all_moves])
        totals[key] = replace(left, actual=left.known)
        if totals[key] == _NOTHING:  # what was replaced in its whole has no place any more
            del totals[key]
    return totals


def _merged(words: Sequence[str], totals: Mapping[_Key, Totals]) -> dict[_Key, Totals]:
    """The same groups, with the kinds of entry that tell of an SMS as one, and the runs of tools as of no kind."""
    if "kind" not in words:
        return dict(totals)
    merged: dict[_Key, Totals] = {}
    for key, total in totals.items():
        said = tuple(_kind_shown(part) if word == "kind" else part for word, part in zip_longest(words, key))
        merged[said] = merged.get(said, Totals()).plus(total)
    return merged


def _kind_shown(kind: str | None) -> str | None:
    if kind == Kind.TOOL_RUN:  # it is there to be looked at: nothing is bought by it as such
        return None
    return _SMS if kind and kind.startswith(f"{_SMS}-") else kind


def _sum(totals: Sequence[Totals]) -> Totals:
    """All of them together. There may be as many as users, and `Totals.plus` makes a new value each time."""
    return Totals(
        actual=_sum_by_currency(map(attrgetter("actual"), totals)),
        pending=_sum_by_currency(map(attrgetter("pending"), totals)).without_zeros(),
        **{name: sum(map(attrgetter(name), totals)) for name in _NUMBERS},
    )


def _sum_by_currency(amounts: Iterable[Amounts]) -> Amounts:
    sums: dict[str, Decimal] = {}
    for one in amounts:
        for currency, amount in one.items():
            sums[currency] = EXACT.add(sums.get(currency, ZERO), amount)
    return Amounts(sums)


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

    def _repr_html_(self) -> str | None:
        """What a notebook shows; None without jinja2, whereupon it shows text."""
        from costtrace.view.notebook import turn_html  # noqa: PLC0415 - from above, and only a notebook asks

        return turn_html(self)


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
