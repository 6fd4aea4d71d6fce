"""An SMS from send to settled price, with the ledger in DynamoDB and Twilio's stand-in beside it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from costtrace.messages import Amounts
from costtrace.twilio.price_plan import PricePlan
from costtrace.twilio.settlement import Settled, Settlement
from tests.factories import make_entry
from tests.ledger.dynamodb.conftest import Store
from tests.peers.fault_proxy import Fault, FaultProxy
from tests.sandbox.twilio_app import OURS, PHONE
from tests.twilio.account import account

EXACT_PLAN = PricePlan(jitter=0)
PRICE = Amounts({"USD": Decimal("0.00830")})


def test_settles_to_twilios_price_and_waits_no_more(store: Store) -> None:
    with account(store.ledger()) as twilio:
        sent = twilio.send()
        pending = twilio.ledger.message(sent.message_uuid).total
        twilio.deliver(sent)
        assert twilio.settlement(plan=EXACT_PLAN).run_once() == Settled(looked_at=1, asked=1, priced=1, amount=PRICE)
        total = twilio.ledger.message(sent.message_uuid).total
        assert (pending.actual, pending.estimated) == (Amounts(), 1)
        assert (total.actual, total.pending, total.complete) == (PRICE, Amounts(), True)
        assert twilio.settlement(plan=EXACT_PLAN).run_once() == Settled()


def test_two_settlements_at_once_price_it_once(store: Store) -> None:
    with account(store.ledger()) as twilio:
        sent = [twilio.send() for _ in range(4)]
        for one in sent:
            twilio.deliver(one)
        runs = [twilio.settlement(plan=EXACT_PLAN) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda run: run.run_once(), runs))
        for one in sent:
            assert twilio.ledger.message(one.message_uuid).total.actual == PRICE
        assert str(twilio.ledger.totals()[()].actual) == "0.0332 USD"


def test_what_a_machine_with_a_late_clock_sent_is_settled_by_a_watch_that_read_on_meanwhile(store: Store) -> None:
    """Its entries are numbered behind those that the watch has read already, so that the watch passes over them."""
    with account(store.ledger(clock=lambda: time.time_ns() - 60_000_000_000)) as twilio:
        watch = Settlement(twilio.client, store.ledger(), clock=twilio.clock, reader=twilio.reader(), plan=EXACT_PLAN)
        store.ledger().append([make_entry()])
        assert watch.run_once() == Settled()
        sent = twilio.send()
        twilio.deliver(sent)
        twilio.after(hours=1)
        assert watch.run_once().priced == 1
        assert twilio.ledger.message(sent.message_uuid).total.actual == PRICE


def test_a_price_whose_storing_failed_is_asked_for_again_and_counted_once(
    store: Store, fault_proxy: FaultProxy
) -> None:
    with account(store.ledger(fault_proxy.endpoint)) as twilio:
        sent = twilio.send()
        twilio.deliver(sent)
        answers = iter([Fault.PASS] * 2 + [Fault.DROP_AFTER] * 4)
        fault_proxy.plan = lambda request: next(answers, Fault.PASS) if b"sms-price" in request.body else Fault.PASS
        for _ in range(3):
            twilio.settlement(plan=EXACT_PLAN).run_once()
            twilio.after(minutes=1)
        total = twilio.ledger.message(sent.message_uuid).total
        assert (total.actual, total.coverage["settled"]) == (PRICE, 1)


def test_reconciliation_finds_what_others_sent_and_takes_it_in_once(store: Store) -> None:
    with account(store.ledger()) as twilio:
        sid = twilio.client.messages.create(to=PHONE, from_=OURS, body="From another system.").sid
        twilio.server.advance(sid, "sent", "delivered")
        twilio.after(hours=1)
        first = twilio.reconcile().run(days=7)
        second = twilio.reconcile().run(days=7)
        assert (first.found_outbound, second.found_outbound) == (1, 0)
        assert len({entry.message_uuid for _, entry in twilio.ledger.entries()}) == 1
