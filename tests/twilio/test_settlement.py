"""From pending to Twilio's own price: when it is asked for, what is written down, and what failures change."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costtrace.context import message_scope
from costtrace.entry import Entry
from costtrace.errors import InvalidValue, LedgerUnavailable
from costtrace.ledger import Ledger
from costtrace.messages import Amounts
from costtrace.money import Money
from costtrace.sandbox.twilio import Fate, Fault
from costtrace.testing import MemoryLedger
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.observations import give_up
from costtrace.twilio.price_plan import PricePlan
from costtrace.twilio.reading import CredentialsRefused
from costtrace.twilio.settlement import Settled
from tests.twilio.account import NOON, Account, account

EXACT_PLAN = PricePlan(jitter=0)
PRICE = Amounts({"USD": Decimal("0.00830")})


def settle(twilio: Account, **options: Any) -> Settled:
    return twilio.settlement(plan=EXACT_PLAN).run_once(**options)


def hide_price(twilio: Account, reads: int | None = None) -> None:
    twilio.server.script(Fate(null_reads=reads))


def test_a_delivered_message_is_asked_for_at_once_and_settles_to_twilios_price(twilio: Account) -> None:
    with message_scope(user_id="u1", thread_id="t1"):
        sent = twilio.send()
    pending = twilio.ledger.message(sent.message_uuid).total
    twilio.deliver(sent)

    assert settle(twilio) == Settled(looked_at=1, asked=1, priced=1, amount=PRICE)

    message = twilio.ledger.message(sent.message_uuid)
    assert (pending.actual, pending.estimated) == (Amounts(), 1)
    assert (message.total.actual, message.total.pending) == (PRICE, Amounts())
    assert message.total.coverage == {"settled": 1, "calculated": 0, "pending": 0, "unpriced": 0}
    leg = twilio.leg(sent)
    assert (leg.cost_state, leg.price, leg.needs_price) == (CostState.FINAL, Money("0.0083"), False)
    assert leg.revisions[0].details["price_raw"] == "-0.00830"
    assert leg.revisions[0].context.user_id == "u1"
    assert settle(twilio) == Settled()
    assert twilio.fetches == 1


def test_an_estimate_is_never_part_of_what_was_owed(twilio: Account) -> None:
    sent = twilio.send("x" * 400)
    expected = twilio.leg(sent).estimate
    twilio.deliver(sent)
    settle(twilio)
    total = twilio.ledger.message(sent.message_uuid).total
    assert expected is not None
    assert (total.actual.usd, total.pending) == (Decimal("0.02490"), Amounts())


def test_nothing_is_asked_before_anybody_said_that_it_went_out_but_a_lost_callback_does_not_matter(
    twilio: Account,
) -> None:
    sent = twilio.send()
    first = settle(twilio)
    assert (first.asked, first.next_due) == (0, NOON + timedelta(minutes=15))
    twilio.server.advance(sent.sid, "sent", "delivered")
    twilio.after(minutes=15)

    assert settle(twilio).priced == 1
    leg = twilio.leg(sent)
    assert leg.delivery is not None
    assert [(report.status, report.source) for report in leg.delivery.history[-1:]] == [("delivered", "fetch")]


def test_a_price_that_comes_late_is_asked_for_by_the_plan(twilio: Account) -> None:
    hide_price(twilio, reads=3)
    sent = twilio.send()
    twilio.deliver(sent)
    asked = []
    for seconds in range(0, 900, 10):
        twilio.clock.now = NOON + timedelta(seconds=seconds)
        if settle(twilio).asked:
            asked.append(seconds)
    assert asked == [0, 30, 120, 600]
    leg = twilio.leg(sent)
    assert [check.status for check in leg.checks] == ["no_price"] * 3
    assert (leg.cost_state, leg.price) == (CostState.FINAL, Money("0.0083"))


def test_a_price_that_never_comes_is_unavailable_after_three_days_and_said_once(
    twilio: Account, caplog: pytest.LogCaptureFixture
) -> None:
    hide_price(twilio)
    sent = twilio.send()
    twilio.deliver(sent)
    ends = []
    for _ in range(20):
        done = settle(twilio)
        ends.append((done.waiting, done.unavailable))
        if done.next_due is None:
            break
        twilio.clock.now = done.next_due
    assert ends == [*[(1, 0)] * 9, (0, 1)]
    assert twilio.clock() == NOON + timedelta(hours=72)
    total = twilio.ledger.message(sent.message_uuid).total
    assert (total.known, total.pending, total.unpriced) == (Amounts(), Amounts(), 1)
    assert twilio.leg(sent).cost_state is CostState.UNAVAILABLE
    alarms = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert alarms == [f"costtrace: Twilio named no price for 1 messages, which stay unpriced: {sent.sid}"]
    assert settle(twilio) == Settled()


def test_a_deadline_that_passed_while_nobody_ran_still_gets_one_question(twilio: Account) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    twilio.after(days=30)
    assert settle(twilio).priced == 1


def test_zero_is_a_price_and_a_credit_stays_below_zero(twilio: Account) -> None:
    free, credited = twilio.send(), twilio.send()
    for sent, price in ((free, "0.00000"), (credited, "0.00100")):
        twilio.deliver(sent)
        twilio.server.reprice(sent.sid, price)
    assert settle(twilio).priced == 2
    assert twilio.leg(free).price == Money(0)
    assert twilio.leg(credited).price == Money("-0.001")


def test_another_currency_is_kept_as_it_is(twilio: Account) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    twilio.server.reprice(sent.sid, "-0.07000", unit="EUR")
    assert settle(twilio).amount == Amounts({"EUR": Decimal("0.07000")})
    total = twilio.ledger.message(sent.message_uuid).total
    assert (total.actual, total.pending) == (Amounts({"EUR": Decimal("0.07")}), Amounts())


def test_a_canceled_message_without_a_price_cost_nothing(twilio: Account) -> None:
    send_at = NOON + timedelta(hours=1)
    sent = twilio.send(messaging_service_sid="MG" + "0" * 32, from_=None, schedule_type="fixed", send_at=send_at)
    assert settle(twilio).next_due == send_at + timedelta(minutes=15)
    twilio.client.messages(sent.sid).update(status="canceled")
    twilio.tell(sent, "canceled")
    assert settle(twilio).not_billable == 1
    assert twilio.leg(sent).cost_state is CostState.NOT_BILLABLE
    assert twilio.ledger.message(sent.message_uuid).total.complete


def test_a_message_scheduled_for_later_outlives_the_deadline(twilio: Account) -> None:
    """Its callbacks may be lost, and a clock of ours wrong: as long as Twilio says scheduled, it may be billed yet."""
    sent = twilio.send(
        messaging_service_sid="MG" + "0" * 32, from_=None, schedule_type="fixed", send_at=NOON + timedelta(hours=1)
    )
    twilio.after(days=4)
    done = settle(twilio)
    assert (done.waiting, done.next_due) == (1, twilio.clock() + timedelta(days=1))
    twilio.server.advance(sent.sid, "sent")
    twilio.tell(sent, "sent")
    twilio.after(days=1)
    assert settle(twilio).priced == 1


def test_the_fetched_status_decides_a_contradiction(twilio: Account) -> None:
    sent = twilio.send()
    twilio.server.advance(sent.sid, "sent", "delivered")
    twilio.tell(sent, "undelivered")
    twilio.tell(sent, "delivered")
    before = twilio.leg(sent).delivery
    settle(twilio)
    after = twilio.leg(sent).delivery
    assert before is not None
    assert after is not None
    assert (before.conflict, after.conflict, after.status) == (True, False, "delivered")


def test_a_message_that_twilio_does_not_know_is_given_up_after_the_third_time(twilio: Account) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    twilio.client.messages(sent.sid).delete()
    ends = []
    for _ in range(3):
        done = settle(twilio)
        ends.append((done.waiting, done.unavailable))
        twilio.clock.now = done.next_due or twilio.clock.now
    assert ends == [(1, 0), (1, 0), (0, 1)]
    quote = twilio.leg(sent).quote
    assert quote is not None
    assert quote.reason == "Twilio named no price: not_found"


@pytest.mark.parametrize("fault", [Fault(on="fetch", status=503), Fault(on="fetch", dropped=True)])
def test_a_failure_of_twilio_counts_as_no_question_and_is_tried_again_soon(twilio: Account, fault: Fault) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    twilio.server.fail(fault)
    settlement = twilio.settlement(plan=EXACT_PLAN)

    failed = settlement.run_once()
    assert (failed.failed, failed.next_due) == (1, NOON + timedelta(seconds=30))
    assert failed.problems[0].startswith(f"{sent.sid}: Twilio ")
    assert twilio.leg(sent).checks == ()
    assert settlement.run_once().asked == 0
    twilio.after(seconds=30)
    assert settlement.run_once().priced == 1


def test_a_limit_of_requests_is_waited_for_and_counts_as_no_question(twilio: Account) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    twilio.server.fail(Fault(on="fetch", status=429, retry_after_s=7))
    assert settle(twilio).priced == 1
    assert twilio.clock.slept == [7.0]
    assert twilio.leg(sent).checks == ()


def test_a_long_limit_is_kept_and_nobody_else_is_asked_for_meanwhile(twilio: Account) -> None:
    for _ in range(3):
        twilio.deliver(twilio.send())
    twilio.server.fail(Fault(on="fetch", status=429, retry_after_s=3_600))
    settlement = twilio.settlement(plan=EXACT_PLAN, concurrency=1)
    done = settlement.run_once()
    assert (done.failed, done.next_due) == (3, NOON + timedelta(hours=1))
    assert settlement.run_once().asked == 0
    assert twilio.fetches == 1
    twilio.after(hours=1)
    assert settlement.run_once().priced == 3


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_stop_everything_and_change_nothing(twilio: Account, status: int) -> None:
    sent = [twilio.send() for _ in range(20)]
    for one in sent:
        twilio.deliver(one)
    twilio.server.fail(*[Fault(on="fetch", status=status)] * 20)
    with pytest.raises(CredentialsRefused, match=str(status)) as refused:
        settle(twilio)
    assert twilio.server.auth_token not in str(refused.value)
    assert {twilio.leg(one).checks for one in sent} == {()}


def test_a_price_that_is_no_number_is_refused_and_asked_for_again(twilio: Account) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    twilio.server.reprice(sent.sid, "-0.0083", unit="US dollars")
    done = settle(twilio)
    assert (done.failed, done.priced) == (1, 0)
    assert "price_unit" in done.problems[0]
    assert twilio.leg(sent).needs_price


def test_at_most_so_many_are_asked_for_and_the_rest_is_due_at_once(twilio: Account) -> None:
    for _ in range(5):
        twilio.deliver(twilio.send())
    first = settle(twilio, limit=3)
    assert (first.asked, first.priced, first.next_due) == (3, 3, NOON)
    assert settle(twilio).asked == 2


def test_an_inbound_message_settles_too(twilio: Account) -> None:
    found = twilio.server.receive(from_="+14155550123", to="+14155550199", body="hello", lost=True)
    assert twilio.reconcile(grace=timedelta(0)).run().found_inbound == 1
    entry = twilio.ledger.find(f"sms/{found.sid}")
    assert entry is not None
    assert twilio.ledger.message(entry.message_uuid).total.actual == PRICE


def test_two_at_once_never_count_a_price_twice(twilio: Account) -> None:
    sent = [twilio.send() for _ in range(20)]
    for one in sent:
        twilio.deliver(one)
    barrier = threading.Barrier(3)
    results: list[Settled] = []

    def run() -> None:
        settlement = twilio.settlement(plan=EXACT_PLAN, concurrency=4)
        barrier.wait(timeout=30)
        results.append(settlement.run_once())

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 3
    total = twilio.ledger.totals()[()]
    assert total.actual == Amounts({"USD": 20 * Decimal("0.00830")})
    assert (total.pending, total.coverage) == (
        Amounts(),
        {"settled": 20, "calculated": 0, "pending": 0, "unpriced": 0},
    )


class DiesOnce(MemoryLedger):
    """A ledger whose process ends instead of storing a price, once."""

    def __init__(self) -> None:
        super().__init__()
        self.dies = False

    def append(self, entries: Any) -> frozenset[str]:
        batch = tuple(entries)
        if self.dies and any(entry.kind == "sms-price" for entry in batch):
            self.dies = False
            raise KeyboardInterrupt
        return super().append(batch)


def test_a_process_that_ends_between_answer_and_record_loses_and_doubles_nothing() -> None:
    ledger = DiesOnce()
    with account(ledger) as twilio:
        sent = twilio.send()
        twilio.deliver(sent)
        ledger.dies = True
        with pytest.raises(KeyboardInterrupt):
            settle(twilio)
        assert twilio.leg(sent).needs_price
        assert settle(twilio).priced == 1
        assert ledger.message(sent.message_uuid).total.actual == PRICE


class Interrupted(MemoryLedger):
    """A ledger in which somebody else appends between our look and our append."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: list[Any] = []

    def append(self, entries: Any) -> frozenset[str]:
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return super().append(entries)


def test_the_one_who_comes_second_goes_on_from_what_the_first_one_wrote() -> None:
    """At the deadline one sees no price and gives up, the other sees it: the price stands, the estimate left once."""
    ledger = Interrupted()
    with account(ledger) as twilio:
        sent = twilio.send()
        twilio.deliver(sent)
        twilio.after(days=3)

        def other_gives_up() -> None:
            give_up(ledger, twilio.leg(sent), reason="deadline", now=twilio.clock())

        ledger.meanwhile = [other_gives_up]
        assert settle(twilio).priced == 1
        total = ledger.message(sent.message_uuid).total
        assert (total.actual, total.pending) == (PRICE, Amounts())
        assert total.coverage == {"settled": 1, "calculated": 0, "pending": 0, "unpriced": 0}
        assert [entry.status for entry in twilio.leg(sent).revisions] == ["unavailable", "final"]


def test_a_watch_runs_when_something_is_due_and_ends_when_it_is_told(twilio: Account) -> None:
    hide_price(twilio, reads=2)
    sent = twilio.send()
    twilio.deliver(sent)
    seen: list[Settled] = []
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        twilio.clock.sleep(seconds)
        return not twilio.leg(sent).needs_price

    twilio.settlement(plan=EXACT_PLAN).watch(wait=wait, tell=seen.append)
    assert sum(run.asked for run in seen) == 3
    assert seen[-1].priced == 1
    assert max(waits) == 5.0
    assert twilio.clock() - NOON == timedelta(minutes=2, seconds=5)


def test_a_watch_outlives_a_ledger_that_is_busy(twilio: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    busy = [LedgerUnavailable("another program is writing to it")]
    real = twilio.ledger.waiting

    def waiting(kinds: Any) -> Any:
        if busy:
            raise busy.pop()
        return real(kinds)

    monkeypatch.setattr(twilio.ledger, "waiting", waiting)
    seen: list[Settled] = []
    twilio.settlement().watch(wait=lambda _: bool(seen), tell=seen.append)
    assert [run.priced for run in seen] == [1]


def test_a_result_as_json(twilio: Account) -> None:
    hide_price(twilio, reads=1)
    for _ in range(2):
        twilio.deliver(twilio.send())
    assert settle(twilio).to_dict() == {
        "looked_at": 2,
        "asked": 2,
        "priced": 1,
        "not_billable": 0,
        "waiting": 1,
        "unavailable": 0,
        "failed": 0,
        "unidentified": 0,
        "amount": {"USD": "0.0083"},
        "next_due": "2026-11-22T12:00:30.000000Z",
        "problems": [],
    }


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5])
def test_an_impossible_concurrency_is_refused(twilio: Account, concurrency: Any) -> None:
    with pytest.raises(InvalidValue, match="concurrency"):
        twilio.settlement(concurrency=concurrency)


PRICES = st.integers(min_value=-3, max_value=3).map(lambda cents: f"{-cents * Decimal('0.00830'):.5f}")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("price"), PRICES),
        st.tuples(st.just("wait"), st.integers(min_value=1, max_value=100)),
        st.tuples(st.just("settle"), st.none()),
        st.tuples(st.just("reconcile"), st.none()),
        st.tuples(st.just("fail"), st.sampled_from([404, 429, 500])),
    ),
    max_size=12,
)


@given(steps=STEPS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_the_sum_of_all_entries_is_the_last_price_that_was_seen(steps: list[tuple[str, Any]]) -> None:
    with account(MemoryLedger()) as twilio:
        hide_price(twilio)
        sent = twilio.send()
        twilio.deliver(sent)
        for step, value in steps:
            match step:
                case "price":
                    twilio.server.reprice(sent.sid, value)
                case "wait":
                    twilio.after(hours=value)
                case "settle":
                    settle(twilio)
                case "reconcile":
                    twilio.reconcile().run(days=30)
                case "fail":
                    twilio.server.fail(Fault(on="fetch", status=value))
            _consistent(twilio.ledger, sent.message_uuid, twilio.leg(sent).price)
        price = twilio.server.messages[0].price if any(step == "price" for step, _ in steps) else None
        twilio.reconcile().run(days=30)
        assert twilio.leg(sent).price == (None if price is None else Money(-Decimal(price)))
        _consistent(twilio.ledger, sent.message_uuid, twilio.leg(sent).price)


def _consistent(ledger: Ledger, message_uuid: str, price: Money | None) -> None:
    total = ledger.message(message_uuid).total
    assert total.actual.usd == (Decimal(0) if price is None else price.amount)
    assert total.entries == 1
    assert (total.settled == 1) is (price is not None)
    assert bool(total.pending) is (total.estimated == 1)
    assert all(isinstance(entry, Entry) for _, entry in ledger.entries())
