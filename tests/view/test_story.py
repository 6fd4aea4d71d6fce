"""The story of a turn: every step with its money, what led to what, and totals that are the ledger's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.messages import Totals, fold
from costtrace.money import EXACT, ZERO, Money
from costtrace.quote import QuoteStatus, no_quote
from costtrace.reports import Turn
from costtrace.view.chart import WirePart, chart_of
from costtrace.view.steps import Lane, Link, LinkType
from costtrace.view.story import Story, story_of
from tests.view.turns import (
    ENTRIES,
    OUT_SID,
    QUESTION,
    REPLY,
    asked_in_vain,
    at,
    bought,
    call,
    corrected,
    priced,
    said,
    sent,
    thought,
    tool_run,
    troubled_turn,
    turn_of,
    whole_turn,
)


def costs(story: Story) -> dict[str, Decimal]:
    """What the steps cost together, by currency."""
    sums: dict[str, Decimal] = {}
    for step in story.steps:
        if step.cost is not None:
            sums[step.cost.currency] = EXACT.add(sums.get(step.cost.currency, ZERO), step.cost.amount)
    return {currency: amount for currency, amount in sums.items() if amount}


def told(story: Story) -> list[tuple[int, Lane, str, str, str]]:
    return [(step.depth, step.lane, step.name, step.outcome.text, step.money.text) for step in story.steps]


def test_a_turn_is_told_in_order_with_what_happened_inside_each_step() -> None:
    story = story_of(whole_turn())

    assert [(part.role, part.uuid) for part in story.parts] == [("Question", QUESTION), ("Reply", REPLY)]
    assert told(story) == [
        (0, Lane.SMS, "sms inbound", "received", "0.0075 USD"),
        (1, Lane.PRICE, "price", "final: 0.0075 USD", ""),
        (0, Lane.MODEL, "gpt-4o-mini", "", "0.0002892 USD"),  # 1912 x 0.15 + 4 x 0.6, per million
        (0, Lane.MODEL, "gpt-4o-2024-08-06", "", "0.006005 USD"),  # 2318 x 2.5 + 21 x 10
        (0, Lane.TOOL, "parcel_status", "", ""),
        (1, Lane.MODEL, "gpt-4o-mini", "", "0.0000537 USD"),  # 310 x 0.15 + 12 x 0.6
        (0, Lane.MODEL, "gpt-4o-2024-08-06", "", "0.0063575 USD"),  # 2391 x 2.5 + 38 x 10
        (0, Lane.SMS, "sms outbound", "delivered", "0.0079 USD"),
        (1, Lane.STATUS, "sent", "", ""),
        (1, Lane.STATUS, "delivered", "", ""),
        (1, Lane.PRICE, "price asked", "no price yet, 2 times", ""),
        (1, Lane.PRICE, "price", "final: 0.0079 USD", ""),
    ]
    assert [step.number for step in story.steps] == list(range(1, 13))


def test_the_total_is_that_of_the_turn_and_of_its_steps() -> None:
    turn = whole_turn()
    story = story_of(turn)

    assert story.total == turn.total
    assert [part.total for part in story.parts] == [turn.reply_to and turn.reply_to.total, turn.message.total]
    # 0.0002892 + 0.006005 + 0.0000537 + 0.0063575 + 0.0075 + 0.0079
    assert costs(story) == {"USD": Decimal("0.0281054")} == dict(turn.total.actual)
    assert {name: dict(total.known) for name, total in story.shares} == {
        "Models": {"USD": Decimal("0.0127054")},
        "SMS": {"USD": Decimal("0.0154")},
    }


def test_the_sms_goes_back_to_the_calls_that_wrote_it_and_each_callback_to_the_sms() -> None:
    story = story_of(whole_turn())

    assert {step.number: step.links for step in story.steps if step.links} == {
        2: (Link(to=1, type=LinkType.PRICE_OF),),
        8: (Link(to=4, type=LinkType.GENERATED_BY), Link(to=7, type=LinkType.GENERATED_BY)),
        9: (Link(to=8, type=LinkType.STATUS_OF),),
        10: (Link(to=8, type=LinkType.STATUS_OF),),
        11: (Link(to=8, type=LinkType.PRICE_OF),),
        12: (Link(to=8, type=LinkType.PRICE_OF),),
    }


def test_each_step_has_its_time() -> None:
    steps = story_of(whole_turn()).steps

    assert (steps[3].starts, steps[3].ends) == (at(0.9), at(2.14))
    assert (steps[7].starts, steps[7].ends) == (at(4.46), at(4.84))  # until Twilio had taken it
    assert steps[7].under_way_until == at(55.4)  # until the carrier's last word
    assert (steps[9].starts, steps[9].ends) == (at(55.4), None)
    assert steps[10].marks == (at(120), at(1_020))
    assert steps[11].starts == at(3_725)  # when it was learned, not what it counts for


def test_what_goes_wrong_says_so_and_is_never_a_zero() -> None:
    turn = troubled_turn()
    story = story_of(turn)

    reply = [(name, outcome, money) for _, _, name, outcome, money in told(story)[3:]]
    assert reply == [
        ("gpt-4o", "failed: RateLimitError 429", "nothing bought"),
        ("harbor-tone-1", "", "unpriced"),
        ("gpt-4o", "cancelled", "pending 0.001125 USD"),
        ("sms outbound", "undelivered: 30003", "0.0083 USD"),
        ("undelivered", "error 30003", ""),
        ("price", "unavailable", ""),
        ("price, revision 2", "final: 0.0079 USD", ""),
        ("price, revision 3", "final: 0.0083 USD", ""),
        ("sms outbound", "rejected: TwilioRestException 21610", "0 USD"),
    ]
    assert story.steps[4].reason == "no price for model 'harbor-tone-1' (provider 'openai') on 2026-11-20"
    assert story.reasons == (story.steps[4].reason,)
    assert costs(story) == {"USD": Decimal("0.0160892")} == dict(turn.total.actual)
    assert story.steps[5].estimate == Money("0.001125")
    assert dict(story.total.pending) == {"USD": Decimal("0.001125")}
    assert not story.total.complete


def test_a_pending_sms_has_an_estimate_and_no_cost() -> None:
    story = story_of(turn_of(*thought(), *sent()))
    sms = next(step for step in story.steps if step.lane is Lane.SMS)

    assert (sms.cost, sms.estimate, sms.money.text) == (None, Money("0.0083"), "pending 0.0083 USD")
    assert dict(story.total.pending) == {"USD": Decimal("0.0083")}
    assert story.missing == QUESTION  # nothing was recorded under it
    assert [part.role for part in story.parts] == ["Message"]


def test_a_price_in_another_currency_takes_the_place_of_the_first() -> None:
    entries = priced([*thought(), *sent()], OUT_SID, "-0.0079", 60)
    turn = turn_of(*priced(entries, OUT_SID, "-0.0072", 120, unit="EUR"))
    story = story_of(turn)

    assert costs(story) == {"EUR": Decimal("0.0072"), "USD": Decimal("0.0124162")}
    assert costs(story) == dict(turn.total.known)


def test_a_correction_stands_with_what_it_corrects_and_its_difference_counts() -> None:
    first = call("first", 0, 1, "gpt-4o", (450, 200), ("2.5", "10"))  # 0.003125
    once = corrected(first, "-0.000625")
    again = corrected(once, "0.0001", hours=2)
    turn = turn_of(first, once, again)
    story = story_of(turn)

    assert [(step.name, step.depth, step.money.text) for step in story.steps] == [
        ("gpt-4o", 0, "0.003125 USD"),
        ("correction of 1", 1, "-0.000625 USD"),
        ("correction of 1", 1, "+0.0001 USD"),
    ]
    assert costs(story) == {"USD": Decimal("0.0026")} == dict(turn.total.actual)
    assert [name for name, _ in story.shares] == ["Models"]


def test_what_could_be_priced_later_is_not_called_unpriced_any_more() -> None:
    nothing = no_quote(QuoteStatus.UNPRICED, "no price for model 'harbor-tone-1'")
    first = call("first", 0, 1, "harbor-tone-1", (450, 200), ("0", "0"), quote=nothing, cost=None)
    priced_later = corrected(first, "0.0025")
    given_up = call("second", 2, 1, "gpt-4o", (1, 1), ("0", "0"), quote=nothing, cost=None, status="abandoned")
    late = call("second", 2, 60, "gpt-4o", (2_000, 0), ("2.5", "0"), entry_id="llm/second/late/2.0",
                replaces="unpriced", details={"late": True, "corrects": given_up.entry_id})  # fmt: skip
    story = story_of(turn_of(first, priced_later, given_up, late))

    assert [(step.money.text, step.reason) for step in story.steps] == [
        ("unpriced at first", None),
        ("+0.0025 USD", None),
        ("unpriced at first", None),
        ("0.005 USD", None),
    ]
    assert (story.total.unpriced, story.reasons) == (0, ())


def test_an_sms_is_made_by_calls_and_not_by_corrections_of_their_price() -> None:
    calls = thought()
    story = story_of(turn_of(*calls, corrected(calls[0], "0.0001"), *sent(links=["first-call"])))
    sms = next(step for step in story.steps if step.lane is Lane.SMS)

    assert [story.steps[link.to - 1].name for link in sms.links] == ["gpt-4o-2024-08-06"]


def test_what_ran_within_a_corrected_run_stands_below_the_run() -> None:
    outer = call("outer", 0, 3, "gpt-4o", (450, 200), ("2.5", "10"))
    inner = call("inner", 1, 1, "gpt-4o-mini", (1, 1), ("2.5", "10"), details={"parent_run_id": "outer"})
    story = story_of(turn_of(outer, inner, corrected(outer, "-0.000625")))

    assert {step.name: step.depth for step in story.steps} == {"gpt-4o": 0, "gpt-4o-mini": 1, "correction of 1": 1}


@pytest.mark.parametrize("source_id", [None, OUT_SID])
def test_an_sms_whose_cost_an_application_recorded_by_itself_is_a_step_with_that_cost(source_id: str | None) -> None:
    turn = turn_of(*thought(), bought(source_id), said("delivered", 9))
    story = story_of(turn)

    assert [step.money.text for step in story.steps if step.lane is Lane.SMS] == ["0.0079 USD", "not known"]
    assert costs(story) == dict(turn.total.actual)


def test_a_message_began_when_its_first_step_did_wherever_that_stands() -> None:
    story = story_of(turn_of(*thought(), *sent(), said("sent", -2)))

    assert (story.began, story.steps[0].starts) == (at(-2), at(0.9))


def test_a_step_that_took_no_time_is_drawn() -> None:
    chart = chart_of(story_of(turn_of(*thought(), tool_run("at once", 1, 0, "clock"))))

    assert all(row.bar is None or row.bar.width > 0 for row in chart.rows.values())


def test_runs_that_claim_to_be_inside_each_other_are_all_told() -> None:
    first = call("a", 0, 1, "gpt-4o", (1, 1), ("2.5", "10"), details={"parent_run_id": "b"})
    second = call("b", 1, 1, "gpt-4o", (1, 1), ("2.5", "10"), details={"parent_run_id": "a"})
    itself = call("c", 2, 1, "gpt-4o", (1, 1), ("2.5", "10"), details={"parent_run_id": "c"})
    story = story_of(turn_of(first, second, itself))

    assert [step.depth for step in story.steps] == [0, 0, 0]


def test_as_of_a_moment_the_story_says_which() -> None:
    assert story_of(whole_turn(), known_at=at(60)).known_at == at(60)


def test_thirty_callbacks_are_thirty_steps() -> None:
    words = [said(f"word_{number}", 5 + number) for number in range(30)]
    story = story_of(turn_of(*thought(), *sent(), *words))

    statuses = [step for step in story.steps if step.lane is Lane.STATUS]
    assert len(statuses) == 30
    assert {link.to for step in statuses for link in step.links} == {5}


def test_the_chart_draws_each_link_from_the_end_of_one_step_to_the_beginning_of_the_other() -> None:
    story = story_of(whole_turn())
    chart = chart_of(story)
    sms, maker = chart.rows[8], chart.rows[4]
    assert sms.bar is not None
    assert maker.bar is not None

    heads = [wire.x for wire in sms.wires if wire.part is WirePart.HEAD and wire.type is LinkType.GENERATED_BY]
    assert heads == [sms.bar.x]
    across = next(wire for wire in maker.wires if wire.part is WirePart.ACROSS)
    assert across.x == round(maker.bar.x + maker.bar.width, 3)
    assert round(across.x + across.width, 3) == sms.bar.x
    for number in (5, 6, 7):
        assert any(wire.part is WirePart.THROUGH and wire.x == sms.bar.x for wire in chart.rows[number].wires)
    delivered = chart.rows[10]
    assert [wire.x for wire in delivered.wires if wire.part is WirePart.HEAD] == list(delivered.marks)


def test_whatever_the_clocks_said_a_step_goes_back_only_to_earlier_ones() -> None:
    early = [replace(entry, occurred_at=at(-1), recorded_at=at(-1)) for entry in sent()[:1]]
    story = story_of(turn_of(*thought(), *early, *sent()[1:], said("sent", -2)))

    assert story.steps[0].lane is Lane.SMS
    assert [step.name for step in story.steps[:2]] == ["sms outbound", "sent"]
    assert all(link.to < step.number for step in story.steps for link in step.links)


@given(st.lists(ENTRIES, min_size=1, max_size=8))
def test_whatever_was_recorded_is_told_with_the_same_total(entries: list[Entry]) -> None:
    same = [replace(entry, message_uuid=REPLY) for entry in entries]
    message = fold(same)
    story = story_of(Turn(message=message, reply_to=None, total=message.total))
    chart = chart_of(story)

    assert costs(story) == {currency: amount for currency, amount in message.total.actual.items() if amount}
    together = Totals()
    for _, total in story.shares:
        together = together.plus(total)
    assert together.known == message.total.known
    assert chart.rows.keys() == {step.number for step in story.steps}
    places = [row.bar.x for row in chart.rows.values() if row.bar] + [
        m for row in chart.rows.values() for m in row.marks
    ]
    assert all(0 <= place <= 100 for place in places)


def test_steps_whose_ends_no_calendar_holds_are_told() -> None:
    endless = call("endless", 0, 1, "gpt-4o", (1, 1), ("2.5", "10"), duration_us=2**53)
    late = replace(endless, occurred_at=at(0).replace(year=9998), recorded_at=at(0).replace(year=9998))

    (step,) = story_of(turn_of(late)).steps
    assert step.ends is not None
    assert step.ends.year == 9999


def test_checks_without_a_price_are_one_step_however_many() -> None:
    entries = asked_in_vain([*thought(), *sent()], *[60 * number for number in range(1, 21)])
    steps = [step for step in story_of(turn_of(*entries)).steps if step.name == "price asked"]

    assert [len(step.marks) for step in steps] == [20]


def test_a_failed_tool_run_is_told_without_money() -> None:
    failed = tool_run("lookup", 1, 0.2, "parcel_status", status="failed", error="TimeoutError")
    (_, step) = story_of(turn_of(thought()[0], failed)).steps

    assert (step.name, step.outcome.text, step.money.text, step.cost) == (
        "parcel_status",
        "failed: TimeoutError",
        "",
        None,
    )
    assert step.ends == step.starts + timedelta(milliseconds=200)


def test_a_message_of_a_callback_alone_is_told() -> None:
    story = story_of(turn_of(said("delivered", 3, context=Context(direction="outbound"))))

    assert [step.lane for step in story.steps] == [Lane.SMS, Lane.STATUS]
    assert story.steps[0].money.text == "not known"


def test_the_chart_names_the_silences_it_cut_out() -> None:
    chart = chart_of(story_of(whole_turn()))

    assert [label.text for label in chart.gaps][:1] == ["49.5 s"]  # from "sent" to "delivered"
    assert len(chart.breaks) == 4  # before "delivered", both questions for the price, and the prices
    assert chart.times[0].text == "+1 h 2 min"
