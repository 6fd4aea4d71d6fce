"""The ledger made whole from Twilio's own list, and compared with its bill."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from costtrace.errors import InvalidValue
from costtrace.ledger import Ledger
from costtrace.messages import Amounts
from costtrace.money import Money
from costtrace.sandbox.twilio import Fate, Fault, Tariff
from costtrace.testing import MemoryLedger
from costtrace.twilio.bill import FeesIncluded
from costtrace.twilio.cost_states import CostState
from costtrace.twilio.entries import callback_entries, claimed_entry, message_uuid_of
from costtrace.twilio.legs import legs
from costtrace.twilio.outcomes import SendUnknown, SentMessage
from costtrace.twilio.reading import CredentialsRefused, TwilioUnavailable
from costtrace.twilio.reconciled import Reconciled
from costtrace.twilio.webhooks import StatusCallback
from tests.sandbox.twilio_app import OURS, PHONE, App
from tests.twilio.account import NOON, Account, account

PRICE = Amounts({"USD": Decimal("0.00830")})


def unknown(twilio: Account, body: str = "On its way.", *, reaches: bool = True, **options: Any) -> SendUnknown:
    """A send whose answer was lost; with `reaches` Twilio has the message all the same."""
    twilio.server.fail(Fault(on="create", status=500, applied=reaches))
    with pytest.raises(SendUnknown) as caught:
        twilio.send(body, **options)
    if reaches:
        twilio.server.advance(twilio.server.messages[-1].sid, "sent", "delivered")
    return caught.value


def reconcile(twilio: Account, **options: Any) -> Reconciled:
    return twilio.reconcile().run(**options)


def all_entries(ledger: Ledger) -> list[str]:
    return [entry.entry_id for _, entry in ledger.entries()]


def test_lost_callbacks_and_their_prices_are_found(twilio: Account) -> None:
    sent = twilio.send()
    twilio.server.advance(sent.sid, "sent", "delivered")
    twilio.after(hours=1)
    found = reconcile(twilio)
    assert (found.listed, found.statuses, found.priced) == (1, 1, 1)
    leg = twilio.leg(sent)
    assert leg.delivery is not None
    assert (leg.delivery.status, leg.price) == ("delivered", Money("0.0083"))
    assert twilio.ledger.message(sent.message_uuid).total.actual == PRICE


def test_again_it_finds_nothing_and_writes_nothing(twilio: Account) -> None:
    twilio.server.advance(twilio.send().sid, "sent", "delivered")
    twilio.server.receive(from_=PHONE, to=OURS, body="hello", lost=True)
    unknown(twilio, "another text")
    twilio.after(hours=1)
    first = reconcile(twilio)
    before = all_entries(twilio.ledger)
    again = reconcile(twilio)
    assert all_entries(twilio.ledger) == before
    assert (first.listed, first.found_inbound, first.identified) == (3, 1, 1)
    assert again == Reconciled(
        since=again.since, until=again.until, listed=3, lines=first.lines, fees_included=first.fees_included
    )


def test_a_lost_inbound_message_gets_a_message_of_its_own_with_its_price(twilio: Account) -> None:
    sid = twilio.server.receive(from_=PHONE, to=OURS, body="hello", lost=True).sid
    twilio.after(hours=1)
    assert reconcile(twilio).found_inbound == 1
    message = twilio.ledger.message(message_uuid_of(sid))
    assert (message.total.actual, message.total.pending) == (PRICE, Amounts())
    assert (message.context.direction, message.context.channel, message.context.role) == ("inbound", "sms", "user")
    (leg,) = legs(message)
    assert leg.started_at == NOON
    found = twilio.ledger.find(f"sms/{sid}")
    assert found is not None
    assert found.details["found_by"] == "reconcile"


def test_a_reply_that_went_past_the_sender_is_found(twilio: Account) -> None:
    with App() as app:
        app.answer_next(200, b"<Response><Message>Thanks!</Message></Response>")
        twilio.server.inbound_url = app.url
        (sid,) = twilio.server.receive(from_=PHONE, to=OURS, body="hello").replies
    twilio.server.advance(sid, "sent", "delivered")
    twilio.after(hours=1)
    found = reconcile(twilio)
    assert (found.found_inbound, found.found_outbound) == (1, 1)
    message = twilio.ledger.message(message_uuid_of(sid))
    assert (message.total.actual, message.context.direction) == (PRICE, "outbound")
    entry = twilio.ledger.find(f"sms/{sid}")
    assert entry is not None
    assert entry.details["twilio_direction"] == "outbound-reply"


def test_neither_body_nor_number_of_a_found_message_is_kept(twilio: Account) -> None:
    twilio.server.receive(from_=PHONE, to=OURS, body="hello out there", lost=True)
    twilio.after(hours=1)
    reconcile(twilio)
    kept = repr(list(twilio.ledger.entries()))
    assert not [secret for secret in (PHONE, OURS, "hello out there") if secret in kept]


def test_what_is_so_young_that_its_callback_may_be_on_its_way_is_left_alone(twilio: Account) -> None:
    twilio.server.receive(from_=PHONE, to=OURS, body="hello", lost=True)
    twilio.after(minutes=14)
    assert (reconcile(twilio).recent, all_entries(twilio.ledger)) == (1, [])
    twilio.after(minutes=1)
    assert reconcile(twilio).found_inbound == 1


class TestUnknownOutcome:
    def test_a_send_that_reached_twilio_is_identified_and_settles_under_its_own_message(self, twilio: Account) -> None:
        lost = unknown(twilio)
        twilio.after(hours=1)
        assert reconcile(twilio).identified == 1
        (leg,) = legs(twilio.ledger.message(lost.message_uuid))
        assert (leg.sid, leg.price, leg.cost_state) == (
            twilio.server.messages[0].sid,
            Money("0.0083"),
            CostState.FINAL,
        )
        assert twilio.ledger.totals()[()].actual == PRICE

    def test_several_to_one_number_are_taken_for_the_nearest_in_time(self, twilio: Account) -> None:
        first = unknown(twilio, "text one")
        twilio.after(seconds=90)
        second = unknown(twilio, "text two")
        twilio.after(hours=1)
        assert reconcile(twilio).identified == 2
        sids = [legs(twilio.ledger.message(lost.message_uuid))[0].sid for lost in (first, second)]
        assert sids == [message.sid for message in twilio.server.messages]

    def test_another_number_another_length_or_another_hour_is_another_message(self, twilio: Account) -> None:
        lost = unknown(twilio, "text one", reaches=False)
        for options in ({"to": "+14155550177"}, {"body": "text three"}):
            fields = {"to": PHONE, "from_": OURS, "body": "text one", **options}
            twilio.server.advance(twilio.client.messages.create(**fields).sid, "sent")
        twilio.after(minutes=11)
        twilio.server.advance(twilio.client.messages.create(to=PHONE, from_=OURS, body="text one").sid, "sent")
        twilio.after(hours=1)
        found = reconcile(twilio)
        assert (found.identified, found.found_outbound) == (0, 3)
        assert legs(twilio.ledger.message(lost.message_uuid))[0].needs_price

    @pytest.mark.parametrize(("count", "identified"), [(1, 1), (2, 0)])
    def test_without_a_hash_only_what_fits_nobody_else_is_taken(self, count: int, identified: int) -> None:
        with account(MemoryLedger(), hasher=None) as twilio:
            for _ in range(count):
                unknown(twilio)
            twilio.after(hours=1)
            found = twilio.reconcile(hasher=None).run()
            assert (found.identified, found.found_outbound) == (identified, count - identified)

    def test_one_that_no_list_ever_shows_is_given_up_after_the_days_and_is_no_zero(self, twilio: Account) -> None:
        lost = unknown(twilio, reaches=False)
        twilio.after(days=7)
        assert reconcile(twilio).given_up == 0
        twilio.after(days=1)
        assert reconcile(twilio).given_up == 1
        total = twilio.ledger.message(lost.message_uuid).total
        assert (total.known, total.pending, total.unpriced) == (Amounts(), Amounts(), 1)
        assert reconcile(twilio).given_up == 0

    def test_one_that_is_scheduled_for_later_is_not_given_up(self, twilio: Account) -> None:
        unknown(
            twilio,
            reaches=False,
            messaging_service_sid="MG" + "0" * 32,
            from_=None,
            schedule_type="fixed",
            send_at=NOON + timedelta(days=30),
        )
        twilio.after(days=29)
        assert reconcile(twilio).given_up == 0


class TestPrices:
    def test_a_changed_price_is_a_revision_with_the_difference(self, twilio: Account) -> None:
        sent = twilio.send()
        twilio.deliver(sent)
        twilio.settlement().run_once()
        twilio.server.reprice(sent.sid, "-0.01100")
        twilio.after(hours=1)
        assert reconcile(twilio).revised == 1
        revision = twilio.leg(sent).revisions[1]
        assert (revision.cost, revision.estimate, revision.replaces) == (Money("0.0027"), None, "settled")
        assert twilio.ledger.message(sent.message_uuid).total.actual.usd == Decimal("0.01100")

    def test_another_currency_takes_the_old_amount_back(self, twilio: Account) -> None:
        sent = twilio.send()
        twilio.deliver(sent)
        twilio.settlement().run_once()
        twilio.server.reprice(sent.sid, "-0.07000", unit="EUR")
        assert reconcile(twilio).revised == 1
        total = twilio.ledger.message(sent.message_uuid).total
        assert total.actual.without_zeros() == Amounts({"EUR": Decimal("0.07")})
        assert total.coverage == {"settled": 1, "calculated": 0, "pending": 0, "unpriced": 0}

    def test_a_price_after_the_deadline_still_counts(self, twilio: Account) -> None:
        twilio.server.script(Fate(null_reads=None))
        sent = twilio.send()
        twilio.deliver(sent)
        twilio.after(hours=73)
        assert twilio.settlement().run_once().unavailable == 1
        twilio.server.reprice(sent.sid, "-0.00830")
        assert reconcile(twilio).priced == 1
        total = twilio.ledger.message(sent.message_uuid).total
        assert (total.actual, total.unpriced, total.settled) == (PRICE, 0, 1)

    def test_a_price_that_cannot_be_read_stops_nothing(self, twilio: Account, caplog: pytest.LogCaptureFixture) -> None:
        sent, other = twilio.send(), twilio.send()
        for one in (sent, other):
            twilio.deliver(one)
        twilio.server.reprice(sent.sid, "-0.0083", unit="DOLLARS")
        found = reconcile(twilio)
        assert (found.unreadable, found.priced) == (1, 1)
        assert sent.sid in caplog.text


class TestBill:
    def sent(self, twilio: Account) -> SentMessage:
        sent = twilio.send()
        twilio.server.advance(sent.sid, "sent", "delivered")
        twilio.server.receive(from_=PHONE, to=OURS, body="hello", lost=True)
        twilio.after(hours=1)
        return sent

    @pytest.mark.parametrize(
        ("held", "price", "verdict"), [(False, "0.0083", FeesIncluded.NO), (True, "0.0113", FeesIncluded.YES)]
    )
    def test_whether_prices_hold_the_carriers_fees_is_computed(
        self,
        store: Ledger,
        held: bool,  # noqa: FBT001 - pytest passes it by name
        price: str,
        verdict: FeesIncluded,
    ) -> None:
        with account(store, tariff=Tariff(sms_inbound="0.0075", carrier_fee="0.003", fees_in_price=held)) as twilio:
            sent = self.sent(twilio)
            found = reconcile(twilio)
            assert twilio.leg(sent).price == Money(price)
            assert found.fees_included is verdict
            fee = Decimal("0.003") if held else Decimal(0)
            day = date(2026, 11, 22)
            assert [(line.day, line.category, line.messages, line.drift) for line in found.lines] == [
                (day, "sms-inbound", 1, Amounts()),
                (day, "sms-messages-carrierfees", 0, None),
                (day, "sms-outbound", 1, Amounts({"USD": fee}).without_zeros()),
            ]

    def test_without_fees_nothing_can_be_told(self, twilio: Account) -> None:
        self.sent(twilio)
        found = reconcile(twilio)
        assert (found.fees_included, [line.drift for line in found.lines]) == (FeesIncluded.UNKNOWN, [Amounts()] * 2)

    def test_what_the_bill_has_and_the_list_has_not_is_drift(self, twilio: Account) -> None:
        """A message whose price changes between the list and the bill, for one."""
        sent = self.sent(twilio)
        real = twilio.server.reprice
        reader = twilio.reader()
        listing = reader.messages

        def messages(**options: Any) -> Any:
            yield from listing(**options)
            real(sent.sid, "-0.00930")

        reader.messages = messages  # type: ignore[method-assign]  # what happens at Twilio between two questions
        found = twilio.reconcile(reader=reader).run()
        drift = {line.category: line.drift for line in found.lines}
        assert drift == {"sms-inbound": Amounts(), "sms-outbound": Amounts({"USD": Decimal("-0.001")})}

    def test_a_message_without_a_price_leaves_its_day_open(self, twilio: Account) -> None:
        twilio.server.script(Fate(null_reads=None))
        self.sent(twilio)
        found = reconcile(twilio)
        assert [(line.category, line.unpriced, line.drift) for line in found.lines] == [
            ("sms-inbound", 0, Amounts()),
            ("sms-outbound", 1, None),
        ]

    def test_a_failed_message_is_not_expected_on_the_bill(self, twilio: Account) -> None:
        sent = twilio.send()
        twilio.server.advance(sent.sid, "failed", error_code=30_003)
        found = reconcile(twilio)
        assert (found.listed, found.lines) == (1, ())
        assert twilio.leg(sent).needs_price

    def test_a_category_that_twilio_refuses_is_left_out_and_said(
        self, twilio: Account, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.sent(twilio)
        twilio.server.fail(Fault(on="usage", status=400))
        assert [line.category for line in reconcile(twilio).lines] == ["sms-outbound"]
        assert "sms-inbound is left out" in caplog.text

    def test_mms_and_whatsapp_have_categories_of_their_own(self, twilio: Account) -> None:
        mms = twilio.send(media_url=["https://pictures.example/1.jpg"])
        whatsapp = twilio.send(to=f"whatsapp:{PHONE}", from_=f"whatsapp:{OURS}")
        for one in (mms, whatsapp):
            twilio.server.advance(one.sid, "sent", "delivered")
        found = reconcile(twilio)
        assert [(line.category, line.drift) for line in found.lines] == [
            ("channels-whatsapp-outbound", Amounts()),
            ("mms-outbound", Amounts()),
        ]


class TestWalk:
    def test_only_the_days_asked_for_are_looked_at(self, twilio: Account) -> None:
        twilio.server.advance(twilio.send().sid, "sent", "delivered")
        twilio.after(days=3)
        assert reconcile(twilio, days=2).listed == 0
        assert reconcile(twilio, days=3).listed == 1

    def test_a_list_longer_than_the_limit_is_not_compared_with_the_bill(self, twilio: Account) -> None:
        for _ in range(3):
            twilio.server.advance(twilio.send().sid, "sent", "delivered")
        found = reconcile(twilio, limit=2)
        assert (found.listed, found.truncated, found.lines) == (2, True, ())
        assert not reconcile(twilio, limit=3).truncated

    def test_refused_credentials_and_a_service_that_stays_away_are_said(self, twilio: Account) -> None:
        twilio.server.fail(Fault(on="list", status=401))
        with pytest.raises(CredentialsRefused):
            reconcile(twilio)
        twilio.server.fail(*[Fault(on="list", status=503)] * 4)
        with pytest.raises(TwilioUnavailable):
            reconcile(twilio)

    @pytest.mark.parametrize("days", [0, 401, True, "7"])
    def test_days_that_twilio_does_not_keep_are_refused(self, twilio: Account, days: Any) -> None:
        with pytest.raises(InvalidValue, match="days"):
            reconcile(twilio, days=days)

    def test_a_result_as_json(self, twilio: Account) -> None:
        twilio.server.advance(twilio.send().sid, "sent", "delivered")
        shown = reconcile(twilio).to_dict()
        assert shown["listed"] == shown["priced"] == 1
        assert shown["since"] == "2026-11-15T00:00:00.000000Z"
        assert shown["bill"] == [
            {
                "category": "sms-outbound",
                "day": "2026-11-22",
                "messages": 1,
                "unpriced": 0,
                "recorded": {"USD": "0.0083"},
                "billed": {"USD": "0.0083"},
                "drift": {},
            }
        ]
        assert shown["fees_included"] == "unknown"


def test_an_sms_of_another_sender_that_named_our_message_stays_with_it(twilio: Account) -> None:
    sid = twilio.client.messages.create(to=PHONE, from_=OURS, body="On its way.").sid
    twilio.server.advance(sid, "sent", "delivered")
    callback = StatusCallback(
        message_sid=sid, account_sid=twilio.server.account_sid, status="delivered", message_uuid="m-1", to=PHONE
    )
    claimed = claimed_entry(callback, message_uuid="m-1", now=twilio.clock())
    twilio.ledger.append([claimed, *callback_entries(callback, now=twilio.clock())])
    assert twilio.ledger.message("m-1").total.coverage["pending"] == 1
    assert twilio.settlement().run_once().priced == 1
    twilio.after(hours=1)
    assert reconcile(twilio).found_outbound == 0
    assert twilio.ledger.totals()[()].actual == twilio.ledger.message("m-1").total.actual == PRICE
    assert twilio.ledger.message("m-1").total.complete


def test_an_sms_of_which_only_callbacks_are_left_is_priced_as_one_that_went_out(twilio: Account) -> None:
    """The store was down when it was sent, and the process died before it was back."""
    sid = twilio.client.messages.create(to=PHONE, from_=OURS, body="On its way.").sid
    twilio.server.advance(sid, "sent", "delivered")
    callback = StatusCallback(
        message_sid=sid,
        account_sid=twilio.server.account_sid,
        status="delivered",
        message_uuid="m-1",
        send_id="s-1",
    )
    twilio.ledger.append(callback_entries(callback, now=twilio.clock()))
    found = reconcile(twilio)
    assert (found.priced, found.found_outbound) == (1, 0)
    assert twilio.ledger.totals(("direction",))["outbound",].actual == PRICE
