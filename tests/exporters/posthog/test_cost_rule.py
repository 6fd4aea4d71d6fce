"""PostHog's own pages show our cost, in every generation of its server, and no estimate of theirs."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.entry import Entry, Standing
from costtrace.exporters.posthog import EventMapper
from costtrace.money import EXACT, Money
from costtrace.quote import Quote, QuoteLine, QuoteStatus
from costtrace.usage import DIRECTIONS
from tests.exporters.posthog.known import only
from tests.exporters.posthog.server_costs import GENERATIONS, PARTS, TOTAL, shown
from tests.factories import make_costs, make_entry, make_quote

PRICED = {
    "a call": make_entry(),
    "no output, as a refusal or an embedding": make_entry(
        quote=Quote(status=QuoteStatus.EXACT, amount=Decimal("0.001125"), lines=make_quote().lines[:1]),
        cost=Money("0.001125"),
    ),
    "nothing billed": make_entry(quote=Quote(status=QuoteStatus.NOT_BILLED, amount=Decimal(0)), cost=Money(0)),
    "a free model": make_entry(
        quote=Quote(
            status=QuoteStatus.EXACT, amount=Decimal(0), lines=(QuoteLine("input", 450, Decimal(0), 1_000_000),)
        ),
        cost=Money(0),
    ),
    "the provider's own word": make_entry(
        quote=Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=Decimal("0.0042")), cost=Money("0.0042")
    ),
    "less than list price": make_entry(
        quote=Quote(
            status=QuoteStatus.PROVIDER_REPORTED,
            amount=Decimal("0.0021"),
            computed=Decimal("0.003125"),
            lines=make_quote().lines,
        ),
        cost=Money("0.0021"),
    ),
    "a correction upwards": make_costs("0.000375", kind="correction", replaces=Standing.CALCULATED,
                                       details={"corrects": "llm/run-1/1"}),
    "a correction downwards": make_costs("-0.000375", kind="correction", replaces=Standing.CALCULATED,
                                         details={"corrects": "llm/run-1/1"}),
}  # fmt: skip


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("what", PRICED)
def test_our_cost_is_shown(what: str, generation: int) -> None:
    entry = PRICED[what]
    assert entry.cost is not None

    found = shown(only(entry).properties, generation)

    assert found[TOTAL] == float(entry.cost.amount)
    assert all(found[part] == only(entry).properties[part] for part in PARTS)


LINES = st.lists(
    st.builds(
        QuoteLine,
        st.sampled_from([*DIRECTIONS, "web_search", "code_execution", "request"]),
        st.integers(0, 10**7),
        st.integers(0, 10**7).map(lambda rate: rate * Decimal("0.000001")),
        st.sampled_from([1, 1_000, 1_000_000]),
    ),
    max_size=5,
)


@given(LINES, st.integers(-(10**9), 10**9))
def test_the_parts_are_the_whole(lines: list[QuoteLine], beyond: int) -> None:
    """Exactly so in decimal; the numbers of JSON are each the nearest to their part."""
    amount = sum((line.subtotal for line in lines), Decimal(0)) + Decimal(beyond).scaleb(-12, EXACT)
    quote = Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=amount, lines=tuple(lines))

    properties = only(make_entry(quote=quote, cost=Money(amount))).properties

    whole = sum(properties[part] for part in PARTS)
    assert properties[TOTAL] == float(amount)
    assert whole == pytest.approx(float(amount), rel=1e-12, abs=1e-9)
    assert all(shown(properties, generation)[TOTAL] == float(amount) for generation in GENERATIONS)


def priced(entry: Entry) -> dict[str, object]:
    (event,) = EventMapper().events([entry])
    return event.properties


@pytest.mark.parametrize("generation", GENERATIONS)
def test_why_all_of_it_is_sent(generation: int) -> None:
    """What the model does with less, which is why the five numbers and the flag always go together."""
    ours = priced(make_entry())
    total_only = {name: value for name, value in ours.items() if name not in PARTS}
    without_total = {**{n: v for n, v in ours.items() if n != TOTAL}, "$ai_output_cost_usd": 0.0}
    del without_total["$ai_request_cost_usd"]
    nothing = {n: v for n, v in ours.items() if n not in {*PARTS, TOTAL, "$ai_cost_passthrough"}}

    assert shown(total_only, generation)[TOTAL] == 0.003125
    assert (PARTS[0] in shown(total_only, generation)) is (generation < 3)  # an estimate stands beside our total
    assert shown(without_total, generation)[TOTAL] == 0.001125 + 0.01  # the fee of the list is added
    assert shown(nothing, generation)["source"] == "openrouter"


def test_an_unpriced_call_is_left_to_posthogs_own_estimate_and_says_so() -> None:
    """There is no switch that keeps PostHog from estimating; our reports count the call as unpriced."""
    entry = make_entry(quote=Quote(status=QuoteStatus.UNPRICED, amount=None, reason="no rates"), cost=None)

    assert shown(only(entry).properties, 4)["source"] == "openrouter"
    assert only(entry).properties["unpriced"] == 1
