"""What Twilio said, written down beside others who write the same or something else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.messages import Amounts
from costtrace.money import Money
from costtrace.testing import MemoryLedger
from costtrace.twilio.legs import Leg
from costtrace.twilio.observations import give_up, observe
from costtrace.twilio.reading import TwilioMessage
from costtrace.twilio.revisions import MESSAGE_FETCH, RECONCILE
from tests.twilio.account import NOON, Account, account


class Crowded(MemoryLedger):
    """A ledger to which somebody else appends just before we do."""

    def __init__(self) -> None:
        super().__init__()
        self.others: list[Callable[[], object]] = []

    def append(self, entries: Iterable[Entry]) -> frozenset[str]:
        if self.others:
            self.others.pop(0)()
        return super().append(entries)


def fetched(twilio: Account, sid: str) -> TwilioMessage:
    return twilio.reader().message(sid)


ACTS = {
    "price": ("-0.00830", "USD"),
    "higher": ("-0.01100", "USD"),
    "euro": ("-0.07000", "EUR"),
    "credit": ("0.00100", "USD"),
    "give up": None,
}


@pytest.mark.parametrize("first", [None, "price", "give up"])
@pytest.mark.parametrize(("ours", "theirs"), list(product(ACTS, ACTS)))
def test_whoever_comes_between_the_sum_is_the_last_price_and_everything_counts_once(
    first: str | None, ours: str, theirs: str
) -> None:
    ledger = Crowded()
    with account(ledger) as twilio:
        sent = twilio.send()
        twilio.server.advance(sent.sid, "sent", "delivered")
        message = fetched(twilio, sent.sid)

        def act(name: str) -> Leg:
            price = ACTS[name]
            if price is None:
                return give_up(ledger, twilio.leg(sent), reason="deadline", now=NOON)
            said = replace(message, price=price[0], price_unit=price[1])
            return observe(ledger, twilio.leg(sent), said, source=RECONCILE, now=NOON)

        if first is not None:
            act(first)
        ledger.others = [lambda: act(theirs)]
        leg = act(ours)

        total = ledger.message(sent.message_uuid).total
        assert leg == twilio.leg(sent)
        expected = Amounts() if leg.price is None else Amounts({leg.price.currency: leg.price.amount})
        assert total.actual.without_zeros() == expected
        assert (total.pending, total.entries, total.estimated) == (Amounts(), 1, 0)
        assert total.settled == (0 if leg.price is None else 1)
        if ours not in ("give up", first):  # then there was nothing to say, and theirs is the last word
            assert leg.price == Money(-Decimal(ACTS[ours][0]), ACTS[ours][1])  # type: ignore[index]  # it is a price


def test_a_status_that_everybody_knows_is_not_written_again(twilio: Account) -> None:
    sent = twilio.send()
    twilio.server.advance(sent.sid, "sent")
    twilio.tell(sent, "sent")
    message = replace(fetched(twilio, sent.sid), price=None, price_unit=None)
    before = twilio.ledger.last_seq()
    observe(twilio.ledger, twilio.leg(sent), message, source=RECONCILE, now=NOON)
    assert twilio.ledger.last_seq() == before


def test_a_final_status_is_written_as_fetched_so_that_no_later_callback_contradicts_it(twilio: Account) -> None:
    sent = twilio.send()
    twilio.deliver(sent)
    observe(twilio.ledger, twilio.leg(sent), fetched(twilio, sent.sid), source=MESSAGE_FETCH, now=NOON)
    twilio.tell(sent, "undelivered")
    delivery = twilio.leg(sent).delivery
    assert delivery is not None
    assert (delivery.status, delivery.conflict) == ("delivered", False)


def test_an_error_code_that_only_a_fetch_knows_is_kept(twilio: Account) -> None:
    sent = twilio.send()
    twilio.server.advance(sent.sid, "sent", "undelivered", error_code=30_003)
    observe(twilio.ledger, twilio.leg(sent), fetched(twilio, sent.sid), source=RECONCILE, now=NOON)
    delivery = twilio.leg(sent).delivery
    assert delivery is not None
    assert (delivery.status, delivery.error_code) == ("undelivered", 30_003)


def test_a_price_without_a_currency_is_none(twilio: Account) -> None:
    sent = twilio.send()
    message = replace(fetched(twilio, sent.sid), price="-0.00830", price_unit=None)
    before = twilio.ledger.last_seq()
    with pytest.raises(InvalidValue, match="price_unit"):
        observe(twilio.ledger, twilio.leg(sent), message, source=MESSAGE_FETCH, now=NOON)
    assert twilio.ledger.last_seq() == before
