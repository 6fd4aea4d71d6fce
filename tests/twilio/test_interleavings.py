"""Everything that can happen to an SMS, in random order: lost answers, late entries, racing settlers, new prices.

The reference knows what Twilio itself would say. Whatever happened before, the ledger never shows money that is not
the price it last heard of, and once everything has arrived and was asked for, it shows exactly Twilio's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from costtrace.entry import Entry
from costtrace.messages import fold
from costtrace.money import Money
from costtrace.testing import MemoryLedger
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.entries import callback_entries, status_entry, unknown_entry
from costtrace.twilio.legs import Leg, leg_of
from costtrace.twilio.revisions import check_entry, price_entries, unavailable_entries
from costtrace.twilio.webhooks import StatusCallback
from tests.twilio.sms_entries import SEND_ID, SID, UUID, bound, later, sent

ESTIMATE = Decimal("0.0083")
WORDS = ("sent", "delivered", "undelivered")
PRICES = st.sampled_from(["-0.00750", "-0.0083", "-0.0166", "0", "0.001"])
UNITS = st.sampled_from(["USD", "USD", "USD", "usd", "EUR"])


class OneSms(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = MemoryLedger()
        self.late: list[Entry] = []
        self.clock = 1.0
        self.price: tuple[str, str] | None = None
        self.told: set[str] = set()
        self.views: list[Leg] = []

    @initialize(late=st.booleans(), answered=st.sampled_from(["bound", "unknown", "crash"]))
    def send(self, *, late: bool, answered: str) -> None:
        """The row is written, perhaps into the memory of a process whose store is down; then the answer, or none."""
        entries = [sent()]
        if answered == "bound":
            entries += [bound(), status_entry(SID, "queued", message_uuid=UUID, source="create", now=later(1))]
            self.told.add("queued")
        elif answered == "unknown":
            entries.append(unknown_entry(entries[0], error="ReadTimeout", now=later(1)))
        if late:
            self.late = entries
        else:
            self.ledger.append(entries)

    def now(self) -> Any:
        self.clock += 1
        return later(self.clock)

    @rule()
    def what_was_late_arrives(self) -> None:
        self.ledger.append(self.late)
        self.late = []

    @rule(word=st.sampled_from(WORDS), times=st.integers(1, 2))
    def a_callback(self, word: str, times: int) -> None:
        callback = StatusCallback(
            message_sid=SID, account_sid="AC" + "0" * 32, status=word, message_uuid=UUID, send_id=SEND_ID
        )
        for _ in range(times):
            self.ledger.append(callback_entries(callback, now=self.now()))
        self.told.add(word)

    @rule(price=PRICES, unit=UNITS)
    def twilio_names_a_price(self, price: str, unit: str) -> None:
        self.price = price, unit

    @precondition(lambda self: self.leg() is not None)
    @rule()
    def somebody_looks(self) -> None:
        """What was seen now may be acted on much later, but for an attempt nobody knows the SID of."""
        leg = self.leg_now()
        if leg.sid is not None:
            self.views = [*self.views[-3:], leg]

    @precondition(lambda self: bool(self.views))
    @rule(data=st.data(), crash=st.booleans())
    def somebody_settles(self, data: st.DataObject, *, crash: bool) -> None:
        self.settle(data.draw(st.sampled_from(self.views)), crash=crash)

    @precondition(lambda self: bool(self.views))
    @rule(data=st.data())
    def somebody_gives_up(self, data: st.DataObject) -> None:
        self.append(unavailable_entries(data.draw(st.sampled_from(self.views)), reason="deadline", now=self.now()))

    @precondition(lambda self: (leg := self.leg()) is not None and leg.sid is None)
    @rule()
    def an_attempt_is_not_found(self) -> None:
        self.append(unavailable_entries(self.leg_now(), reason="not_found", now=self.now()))

    @invariant()
    def the_money_is_the_price_last_heard_of(self) -> None:
        entries = [entry for _, entry in self.ledger.entries()]
        if not entries:
            return
        total, leg = fold(entries).total, self.leg()
        assert total.actual.without_zeros() == _owed(None if leg is None else leg.price)
        waiting = leg is not None and leg.needs_price
        assert total.pending == ({"USD": ESTIMATE} if waiting else {})
        assert (total.estimated, total.unpriced >= 0, total.settled >= 0) == (int(waiting), True, True)
        assert {entry.entry_id for entry in self.ledger.waiting(["sms-send", "sms"])} == {
            entry.entry_id for entry in (leg.waiting if leg is not None else ())
        }

    def teardown(self) -> None:
        """Everything arrives, a callback tells the SID, a fetch the status, and a settler looks with fresh eyes."""
        self.what_was_late_arrives()
        self.a_callback("sent", 1)
        self.ledger.append([status_entry(SID, "delivered", message_uuid=UUID, source="fetch", now=self.now())])
        self.price = self.price or ("-0.0079", "USD")
        for _ in range(3):
            self.settle(self.leg_now(), crash=False)
        leg, total = self.leg_now(), self.ledger.message(UUID).total
        assert leg.price == Money(-Decimal(self.price[0]), self.price[1].upper())
        assert (leg.cost_state, leg.needs_price, total.complete) == (CostState.FINAL, False, True)
        assert total.actual.without_zeros() == _owed(leg.price)
        assert (total.unpriced, total.settled) in {(0, 1), (0, 2)}  # two where its estimate came after its price
        assert leg.delivery is not None
        assert (leg.delivery.status, leg.delivery.conflict) == ("delivered", False)
        assert {report.status for report in leg.delivery.history} >= self.told

    def leg(self) -> Leg | None:
        entries = [entry for _, entry in self.ledger.entries()]
        return leg_of(fold(entries), sid=SID, send_id=SEND_ID) if entries else None

    def leg_now(self) -> Leg:
        leg = self.leg()
        assert leg is not None
        return leg

    def settle(self, seen: Leg, *, crash: bool) -> None:
        if self.price is None:
            self.ledger.append([check_entry(seen, outcome="no_price", now=self.now())])
            return
        raw, unit = self.price
        entries = price_entries(seen, price_raw=raw, price_unit=unit, source="message_fetch", now=self.now())
        self.append(entries[:1] if crash else entries)

    def append(self, entries: Sequence[Entry]) -> None:
        """One after the other, as far as nobody else came first."""
        for entry in entries:
            if not self.ledger.append([entry]):
                return


def _owed(price: Money | None) -> dict[str, Decimal]:
    return {price.currency: price.amount} if price is not None and price.amount else {}


TestOneSms: Callable[..., Any] = OneSms.TestCase
TestOneSms.settings = settings(  # type: ignore[attr-defined]  # Hypothesis makes the class
    max_examples=100,
    stateful_step_count=20,
    phases=[Phase.generate],  # making a failing run shorter takes minutes
)
