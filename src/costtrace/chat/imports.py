"""The costs that stand in an existing chat table, brought into a ledger: once, however often it is done.

The table is only read. A row whose costs the ledger knows by itself is left out: they were recorded live, or the row
shows the ledger's own projection.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from costtrace.chat.aggregates import (
    ATTRIBUTES,
    Hasher,
    Row,
    Sms,
    gpt_entry,
    has_costs,
    is_projected,
    key_text,
    row_of,
    sms_of,
)
from costtrace.chat.attributes import Item
from costtrace.chat.message import THREAD, TIMESTAMP
from costtrace.chat.personal import quotable
from costtrace.chat.projection import is_live, model_calls
from costtrace.chat.rows import Rows
from costtrace.entry import Entry
from costtrace.errors import ConfigurationError, InvalidValue, LedgerUnavailable, UnknownMessage
from costtrace.ledger.protocol import Ledger
from costtrace.messages import Amounts, Message, fold
from costtrace.money import Money, amount_text
from costtrace.times import moment_text
from costtrace.twilio.legs import KINDS, Leg, leg_of, legs

_PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
"""How long a table that answers no more is left alone, one after the other: a minute and a half in all."""
_SHOWN: Final = 20

PROJECTED: Final = "the row shows what a ledger knows"
LIVE: Final = "recorded live"
ANOTHER: Final = "the same SMS belongs to another message"


@dataclass(slots=True, kw_only=True)
class Imported:
    """What an import found and did; of a dry run, what it would do."""

    table: str
    dry_run: bool
    since: datetime | None = None
    rows: int = 0
    """Rows that were read, without those before `since`."""
    without_costs: int = 0
    llm: int = 0
    """Messages whose model calls were new to the ledger."""
    sms: int = 0
    """SMS that were new to it."""
    prices: int = 0
    """Prices of SMS that were new to it."""
    known: int = 0
    """Costs that an earlier import had brought."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Costs that were left out, by reason."""
    bad: int = 0
    """Rows of which something could not be read."""
    problems: list[str] = field(default_factory=list)
    """The first of them: key and reason."""
    claimed: Amounts = field(default_factory=Amounts)
    """What the earlier system said of the new model calls: an estimate."""
    charged: Amounts = field(default_factory=Amounts)
    """What Twilio charged, of the new prices."""

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON objects; money as text."""
        counts = ("rows", "without_costs", "llm", "sms", "prices", "known", "bad")
        return {
            "table": self.table,
            "dry_run": self.dry_run,
            "since": None if self.since is None else moment_text(self.since),
            **{name: getattr(self, name) for name in counts},
            "skipped": dict(sorted(self.skipped.items())),
            "problems": list(self.problems),
            "claimed": self.claimed.to_dict(),
            "charged": self.charged.to_dict(),
        }


class ChatImport:
    """Imports one chat table into one ledger. May run beside anything else, and again at any time.

    `client` is boto3's low-level DynamoDB client; `hasher` makes names of conversations that are phone numbers;
    `unsigned` says that the table holds Twilio's prices without their minus sign.
    """

    def __init__(
        self,
        client: Any,
        ledger: Ledger,
        *,
        table: str,
        hasher: Hasher | None = None,
        unsigned: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rows = Rows(client, table, index="")
        self._ledger = ledger
        self._hasher = hasher
        self._unsigned = unsigned
        self._clock = clock
        self._sleep = sleep
        self._pretended: set[str] = set()
        """The ids that a dry run has met so far."""

    def run(
        self,
        *,
        since: datetime | None = None,
        dry_run: bool = False,
        tell: Callable[[int], None] = lambda _rows: None,
    ) -> Imported:
        """Go through the whole table, or the messages made since then; `tell` hears after each page how many rows.

        Raises LedgerUnavailable where the table or the ledger answers no more, and LedgerUnusable; what was imported
        until then stays, and the next run passes over it. Raises ConfigurationError for a table that is no chat table.
        """
        self._pretended.clear()
        done = Imported(table=self._rows.table, dry_run=dry_run, since=since)
        for page in self._pages():
            for item in page:
                self._take(item, done)
            tell(done.rows)
        return done

    def _pages(self) -> Iterator[list[Item]]:
        start: Item | None = None
        while True:
            items, start = self._page(start)
            if any(THREAD not in item or TIMESTAMP not in item for item in items):
                expected = f"a chat table has {THREAD} and {TIMESTAMP}; name it with --table"
                raise ConfigurationError(f"DynamoDB table {self._rows.table!r} has other keys: {expected}")
            yield items
            if start is None:
                return

    def _page(self, start: Item | None) -> tuple[list[Item], Item | None]:
        """The page that starts there; the first one at once or not at all: whoever mistyped an address is waiting."""
        for pause_s in _PAUSES_S if start else ():
            try:
                return self._rows.scan(start, attributes=ATTRIBUTES)
            except LedgerUnavailable:
                self._sleep(pause_s)
        return self._rows.scan(start, attributes=ATTRIBUTES)

    def _take(self, item: Item, done: Imported) -> None:
        """Bring in one row; what cannot be read of it is counted and named, and the other part of it is brought in."""
        try:
            row = row_of(item, hasher=self._hasher)
        except InvalidValue as error:
            done.rows += 1
            if has_costs(item):
                _note(done, item, [error])
            else:
                done.without_costs += 1
            return
        if done.since is not None and row.occurred_at < done.since:
            return
        done.rows += 1
        if not row.gpt and not row.twilio:
            done.without_costs += 1
            return
        errors = []
        for part in (self._take_gpt, self._take_sms):
            try:
                part(row, done)
            except InvalidValue as error:
                errors.append(error)
        if errors:
            _note(done, item, errors)

    def _take_gpt(self, row: Row, done: Imported) -> None:
        if is_projected(row.gpt):
            done.skipped[PROJECTED] += 1
            return
        entry = gpt_entry(row, table=self._rows.table, now=self._clock())
        if entry is None:
            return
        message = self._message(row.message_uuid)
        calls = [] if message is None else model_calls(message)
        if is_live(calls):
            done.skipped[LIVE] += 1
            return
        before = next((call for call in calls if call.entry_id == entry.entry_id), None)
        if before is not None:
            _check_same(before, entry)
        if before is None and self._appended(entry, done):
            done.llm += 1
            done.claimed = _plus(done.claimed, entry.estimate)
        else:
            done.known += 1

    def _take_sms(self, row: Row, done: Imported) -> None:
        if is_projected(row.twilio):
            done.skipped[PROJECTED] += 1
            return
        sms = sms_of(row, table=self._rows.table, now=self._clock(), unsigned=self._unsigned)
        if sms is None:
            return
        found = self._ledger.find(sms.entry.entry_id)
        reason = self._unwanted(row, found)
        if reason is None and found is None and not self._appended(sms.entry, done):
            reason = ANOTHER if done.dry_run else LIVE  # which somebody wrote down just now
        if reason is not None:
            done.skipped[reason] += 1
            return
        done.sms += found is None
        done.known += found is not None
        leg = self._leg(sms)
        for entry in () if leg.revisions else sms.price(leg, now=self._clock()):
            if self._appended(entry, done):
                done.prices += 1
                done.charged = _plus(done.charged, entry.cost)

    def _unwanted(self, row: Row, found: Entry | None) -> str | None:
        """Why the SMS of that row is left out, if it is; `found` is what the ledger has by its name."""
        if found is None:
            message = self._message(row.message_uuid)
            others = () if message is None else [entry for entry in message.entries if entry.kind in KINDS]
            return LIVE if is_live(others) else None
        if is_live([found]):
            return LIVE
        return None if found.message_uuid == row.message_uuid else ANOTHER

    def _leg(self, sms: Sms) -> Leg:
        """The SMS as the ledger has it, or would have it."""
        message = self._message(sms.entry.message_uuid)
        known = None if message is None else leg_of(message, sid=sms.sid)
        return known or legs(fold([sms.entry]))[0]

    def _appended(self, entry: Entry, done: Imported) -> bool:
        """Whether it is new to the ledger, or would be."""
        if not done.dry_run:
            return entry.entry_id in self._ledger.append([entry])
        is_new = entry.entry_id not in self._pretended
        self._pretended.add(entry.entry_id)
        return is_new

    def _message(self, message_uuid: str) -> Message | None:
        try:
            return self._ledger.message(message_uuid)
        except UnknownMessage:
            return None


def _check_same(before: Entry, now: Entry) -> None:
    said, expected = _numbers(now), _numbers(before)
    if said != expected:
        source = "costUsd/inputTokens/outputTokens of an earlier import, or of another row of this message"
        raise InvalidValue("costs.gpt", said, f"{expected}, {source}")


def _numbers(entry: Entry) -> str:
    cost = "none" if entry.estimate is None else amount_text(entry.estimate.amount)
    return f"{cost}/{entry.usage.input_tokens}/{entry.usage.output_tokens}" if entry.usage else cost


def _plus(amounts: Amounts, money: Money | None) -> Amounts:
    return amounts if money is None else amounts.plus({money.currency: money.amount})


def _note(done: Imported, item: Item, errors: Sequence[InvalidValue]) -> None:
    done.bad += 1
    if len(done.problems) < _SHOWN:
        reasons = (f"{error.field}: expected {error.expected}, got {quotable(error.value)}" for error in errors)
        done.problems.append(f"{key_text(item)}: {'; '.join(reasons)}")
