"""``costtrace message`` of messages with SMS: what became of each, and how its price came about."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from costtrace import Context, Entry, Money, open_ledger
from costtrace.quote import Quote, QuoteStatus
from costtrace.twilio.entries import inbound_entry, refused_entry, unknown_entry
from costtrace.twilio.revisions import not_billable_entries, unavailable_entries
from costtrace.twilio.webhooks import InboundMessage
from tests.cli.conftest import OnTerminal, Run
from tests.factories import make_entry
from tests.twilio.sms_entries import NOON, SEND_ID, SID, UUID, bound, later, leg, price, sent, status

PHONE, OURS, BODY = "+14155550123", "+14155550199", "Where is my parcel?"
OUT = [sent(), bound(), status("queued", 1, source="create"), status("sent", 5), status("delivered", 7)]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/sms.db"


def kept(url: str, *entries: Entry) -> str:
    """The address of a ledger that holds those."""
    ledger = open_ledger(url)
    ledger.append(entries)
    ledger.close()
    return url


def shown(run: Run, url: str, *words: str) -> str:
    done = run("message", UUID, *words, "--ledger", url)
    assert done.exit_code == 0
    return done.stdout


def model_call(amount: str, **changes: Any) -> Entry:
    """A call that cost that much, two seconds before the SMS."""
    quote = Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=Money(amount).amount)
    moment = later(-2)
    known = {"quote": quote, "cost": Money(amount), "occurred_at": moment, "recorded_at": moment}
    whose = {"message_uuid": UUID, "context": Context(user_id="u1", channel="sms")}
    return make_entry(**{**known, **whose, **changes})


def priced(*raws: str, entries: Iterable[Entry] = OUT) -> list[Entry]:
    """The SMS with these prices, a minute apart, one after the other."""
    found = list(entries)
    for number, raw in enumerate(raws, 1):
        found += price(leg(found), raw, seconds=60 * number)
    return found


def test_the_sum_of_a_model_call_and_an_sms_is_not_their_difference(run: Run, url: str) -> None:
    """Twilio writes what it charges as a negative number: 0.01000 and "-0.00750" make 0.01750, never 0.00250."""
    kept(url, model_call("0.01000"), *priced("-0.00750"))

    text = shown(run, url)
    total = json.loads(shown(run, url, "--json"))["total"]

    assert "\nTotal\n  actual    0.0175 USD\n  coverage  2 settled\n" in text
    assert Money(total["actual"]["USD"]) == Money("0.01750")
    assert total["pending"] == {}


def test_an_sms_is_shown_whole_when_piped(run: Run, url: str) -> None:
    kept(url, model_call("0.01"), *priced("-0.00750"))

    text = shown(run, url)

    assert (
        "Timeline\n"
        "  #  time      what          status      in  out  took  cost USD\n"
        "  1  11:59:58  llm gpt-4o    completed  450  200  5 ms    0.0100\n"
        "  2  12:00:00  sms outbound  delivered    -    -     -    0.0075\n"
    ) in text
    assert (
        f"2  sms outbound {SID}: 0.0075 USD, final\n"
        "  size  1 segment\n"
        "  to    US\n"
        "  delivery   time      from      said\n"
        "  created    12:00:00  local\n"
        "  queued     12:00:01  create\n"
        "  sent       12:00:05  callback\n"
        "  delivered  12:00:07  callback\n"
        "  expected  0.0083 USD; it cost 0.0008 USD less\n"
        "  revision  time      from   Twilio said    difference  in place of\n"
        "         1  12:01:00  fetch  -0.00750 USD  +0.0075 USD  pending 0.0083 USD\n"
    ) in text


def test_before_its_price_is_known_an_sms_is_pending_and_apart_from_what_is_owed(run: Run, url: str) -> None:
    kept(url, model_call("0.01"), *OUT)

    text = shown(run, url)

    assert "  2  12:00:00  sms outbound  delivered    -    -     -  pending 0.0083 USD\n" in text
    assert f"2  sms outbound {SID}: 0.0083 USD, pending\n" in text
    assert (
        "Total\n"
        "  actual    0.01 USD\n"
        "  pending   0.0083 USD, not in the actual amount\n"
        "  coverage  1 settled, 1 pending: the actual amount is not the whole cost\n"
    ) in text


def test_without_an_estimate_it_is_pending_all_the_same(run: Run, url: str) -> None:
    kept(url, sent(None), bound())

    text = shown(run, url)

    assert f"1  sms outbound {SID}: pending\n" in text
    assert "  actual    pending\n  pending   not known yet, not in the actual amount\n" in text


def test_a_price_that_changed_says_by_how_much_and_what_it_took_the_place_of(run: Run, url: str) -> None:
    kept(url, *priced("-0.00750", "-0.00830", "-0.00790"))

    text = shown(run, url)

    assert (
        "         1  12:01:00  fetch  -0.00750 USD  +0.0075 USD  pending 0.0083 USD\n"
        "         2  12:02:00  fetch  -0.00830 USD  +0.0008 USD  0.0075 USD\n"
        "         3  12:03:00  fetch  -0.00790 USD  -0.0004 USD  0.0083 USD\n"
    ) in text
    assert "\nTotal\n  actual    0.0079 USD\n  coverage  1 settled\n" in text


def test_a_credit_stays_a_credit(run: Run, url: str) -> None:
    kept(url, *priced("0.00750"))

    assert "\nTotal\n  actual    -0.0075 USD\n" in shown(run, url)


def test_a_price_of_zero_is_a_price(run: Run, url: str) -> None:
    kept(url, *priced("0.00000"))

    text = shown(run, url)

    assert f"1  sms outbound {SID}: 0 USD, final\n" in text
    assert "\nTotal\n  actual    0 USD\n  coverage  1 settled\n" in text


def test_a_currency_is_never_converted(run: Run, url: str) -> None:
    entries = [*OUT, *price(leg(OUT), "-0.0700", "EUR")]
    kept(url, model_call("0.01"), *entries)

    text = shown(run, url)

    assert "  actual    0.07 EUR + 0.01 USD\n" in text
    assert "  expected  0.0083 USD\n" in text  # nothing to compare it with


def test_a_price_that_never_came_is_unpriced_and_not_zero(run: Run, url: str) -> None:
    kept(url, *OUT, *unavailable_entries(leg(OUT), reason="deadline", now=later(260_000)))

    text = shown(run, url)

    assert f"1  sms outbound {SID}: unpriced: Twilio named no price: deadline\n" in text
    assert (
        "Total\n"
        "  actual    unpriced\n"
        "  unpriced  Twilio named no price: deadline\n"
        "  coverage  1 unpriced: the actual amount is not the whole cost\n"
    ) in text


def test_a_price_that_came_after_all_leaves_no_reason_behind(run: Run, url: str) -> None:
    given_up = [*OUT, *unavailable_entries(leg(OUT), reason="deadline", now=later(260_000))]
    unpriced = Quote(status=QuoteStatus.UNPRICED, amount=None, reason="no price for model 'own-1'")
    late = price(leg(given_up), "-0.0075", seconds=300_000)
    kept(url, model_call("0.01", quote=unpriced, cost=None), *given_up, *late)

    text = shown(run, url)

    assert "2  2026-11-25 23:20:00  fetch" in text
    assert "  +0.0075 USD  unpriced: Twilio named no price: deadline\n" in text
    assert text.count("  unpriced  ") == 1
    assert "  unpriced  no price for model 'own-1'\n  coverage  1 settled, 1 unpriced" in text


def test_a_refused_sms_cost_nothing_and_says_why(run: Run, url: str) -> None:
    kept(url, sent(), refused_entry(sent(), error="TwilioRestException 21211", now=later(1)))

    text = shown(run, url)

    assert "sms outbound  rejected: TwilioRestException 21211   -    -     -         0\n" in text
    assert "1  sms outbound: 0 USD, not billed\n" in text
    assert f"  attempt  {SEND_ID}, whose MessageSid is not known\n" in text
    assert "\nTotal\n  actual    0 USD\n  coverage  1 settled\n" in text


def test_a_canceled_sms_cost_nothing(run: Run, url: str) -> None:
    canceled = [*OUT[:2], status("canceled", 5)]
    kept(url, *canceled, *not_billable_entries(leg(canceled), reason="canceled", source="message_fetch", now=later(9)))

    text = shown(run, url)

    assert f"1  sms outbound {SID}: 0 USD, not billed\n" in text
    assert "\nTotal\n  actual    0 USD\n" in text


def test_an_sms_of_unknown_outcome_goes_on_waiting(run: Run, url: str) -> None:
    kept(url, sent(), unknown_entry(sent(), error="ReadTimeout", now=later(10)))

    text = shown(run, url)

    assert "  sms outbound  send unknown   -    -     -  pending 0.0083 USD\n" in text
    assert "  pending   0.0083 USD, not in the actual amount\n" in text


def test_a_contradiction_is_shown_until_a_fetch_decides(run: Run, url: str) -> None:
    contradicted = [*OUT, status("undelivered", 9, error_code=30003, raw_dlr_done_date="2611221200")]
    kept(url, *contradicted)
    text = shown(run, url)
    assert "  undelivered: 30003, contradicted" in text
    assert (
        "  undelivered  12:00:09  callback  error 30003, done 2611221200 by the carrier's clock\n"
        "  conflict  the final words contradict each other, until Twilio's own record decides\n"
    ) in text

    kept(url, status("delivered", 60, source="fetch"))
    text = shown(run, url)
    assert "contradict" not in text
    assert "  delivered    12:01:00  fetch\n" in text


def test_callbacks_alone_make_an_sms_of_which_no_cost_is_known(run: Run, url: str) -> None:
    kept(url, status("delivered"))

    text = shown(run, url)

    assert "  1  12:00:05  sms   delivered   -    -     -  not known\n" in text
    assert f"1  sms {SID}: nobody recorded that it was sent; `costtrace sms reconcile` looks for it\n" in text


def test_which_model_calls_made_an_sms_is_said(run: Run, url: str) -> None:
    made = sent()
    linked = Entry(
        **{**{name: getattr(made, name) for name in made.__slots__}, "details": {**made.details, "links": ["run-1"]}}
    )
    kept(url, model_call("0.01"), linked, bound())

    assert "  made by  1\n" in shown(run, url)


def inbound() -> Entry:
    value = InboundMessage(
        message_sid="SM" + "2" * 32,
        account_sid="AC" + "a" * 32,
        from_=PHONE,
        to=OURS,
        body=BODY,
        num_media=0,
        num_segments=1,
    )
    return inbound_entry(value, now=later(-60), context=Context(user_id="u1"))


def test_a_turn_adds_the_sms_that_came_in(run: Run, url: str) -> None:
    question = inbound()
    asked = [question, *price(leg([question]), "-0.0075", seconds=90)]
    call = model_call("0.01", context=Context(user_id="u1", reply_to=question.message_uuid))
    kept(url, *asked, call, *priced("-0.0075"))

    text = shown(run, url, "--turn")
    record = json.loads(shown(run, url, "--turn", "--json"))

    assert "  1  11:59:00  sms inbound  received   -    -     -    0.0075\n" in text
    assert "  received  11:59:00  webhook\n" in text
    assert "\nTotal of the turn\n  actual    0.025 USD\n  coverage  3 settled\n" in text
    assert record["turn"]["total"]["actual"] == {"USD": "0.025"}
    (came,) = record["turn"]["reply_to"]["sms"]
    assert (came["direction"], came["status"], came["price"], came["currency"]) == (
        "inbound",
        "received",
        "0.0075",
        "USD",
    )
    for secret in (PHONE, OURS, BODY):
        assert secret not in text + json.dumps(record)


def test_the_json_of_an_sms_has_its_deliveries_and_revisions(run: Run, url: str) -> None:
    kept(url, *priced("-0.00750", "-0.0079"))

    (record,) = json.loads(shown(run, url, "--json"))["sms"]

    assert {name: record[name] for name in ("sid", "send_id", "direction", "message_type", "status", "conflict")} == {
        "sid": SID,
        "send_id": SEND_ID,
        "direction": "outbound",
        "message_type": "welcome",
        "status": "delivered",
        "conflict": False,
    }
    assert (record["cost_state"], record["price"], record["estimate"]) == ("final", "0.0079", "0.0083")
    assert [report["status"] for report in record["delivery"]] == ["created", "queued", "sent", "delivered"]
    assert record["revisions"][1] == {
        "revision": 2,
        "recorded_at": "2026-11-22T12:02:00.000000Z",
        "status": "final",
        "source": "message_fetch",
        "price_raw": "-0.0079",
        "price_unit": "USD",
        "price": "0.0079",
        "currency": "USD",
        "difference": "0.0004",
        "replaces": "settled",
        "reason": None,
    }


def test_what_was_known_on_a_day_has_no_price_that_came_later(run: Run, url: str) -> None:
    kept(url, *OUT, *price(leg(OUT), "-0.0075", seconds=86_400))

    text = shown(run, url, "--as-of", "2026-11-22")

    assert "  pending   0.0083 USD, not in the actual amount\n" in text
    assert "0.0075" not in text


def test_the_html_page_holds_the_sms_too(run: Run, url: str, tmp_path: Path) -> None:
    kept(url, *priced("-0.00750"))
    target = tmp_path / "page.html"

    shown(run, url, "--html", str(target))

    visible = html.unescape(re.sub(r"<[^>]+>", "", target.read_text()))
    assert "1  12:01:00  fetch  -0.00750 USD  +0.0075 USD  pending 0.0083 USD" in visible


def test_on_a_terminal_an_sms_fits_its_width(on_terminal: OnTerminal, url: str) -> None:
    kept(url, model_call("0.01"), *priced("-0.00750", "-0.0083"))

    for columns in (80, 120):
        seen = on_terminal("message", UUID, "--ledger", url, columns=columns)
        assert seen.status == 0
        assert max(map(len, seen.lines)) <= columns
        assert "…" not in seen.text
        assert "1  12:01:00  fetch  -0.00750 USD  +0.0075 USD  pending 0.0083 USD" in seen.text


def test_tail_says_of_each_entry_of_an_sms_what_it_is_about(run: Run, url: str) -> None:
    kept(url, *priced("-0.0075", "-0.0079"), refused_entry(sent(send_id="5e4e" * 8), error="Refused 400", now=NOON))

    lines = [line.split("  ", 2)[2] for line in run("tail", "--once", "--ledger", url).stdout.splitlines()]

    assert lines == [
        "sms-send twilio sms  created  pending 0.0083 USD",
        "sms twilio  identified",
        "sms-status twilio  queued",
        "sms-status twilio  sent",
        "sms-status twilio  delivered",
        "sms-price twilio sms  final  0.0075 USD",
        "sms-price twilio sms  final  +0.0004 USD",
        "sms-end twilio sms  rejected: Refused 400  0 USD",
    ]
