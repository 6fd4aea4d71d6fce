"""How far the price is known: from estimated to final, and never back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.twilio.cost_states import TABLE, CostState, Event, cost_state
from costtrace.twilio.diagram import diagrams, mermaid

DOCS = Path(__file__).parents[2] / "docs" / "sms.md"


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], CostState.ESTIMATED),
        ([Event.IDENTIFIED], CostState.PENDING),
        ([Event.IDENTIFIED, Event.PRICED], CostState.FINAL),
        ([Event.IDENTIFIED, Event.PRICED, Event.PRICED], CostState.FINAL),
        ([Event.REFUSED], CostState.NOT_BILLABLE),
        ([Event.IDENTIFIED, Event.NOT_CHARGED], CostState.NOT_BILLABLE),
        ([Event.IDENTIFIED, Event.NOT_CHARGED, Event.PRICED], CostState.FINAL),
        ([Event.GIVEN_UP], CostState.UNAVAILABLE),
        ([Event.IDENTIFIED, Event.GIVEN_UP], CostState.UNAVAILABLE),
        ([Event.IDENTIFIED, Event.GIVEN_UP, Event.PRICED], CostState.FINAL),
        ([Event.IDENTIFIED, Event.PRICED, Event.GIVEN_UP], CostState.FINAL),
    ],
)
def test_events_lead_through_the_table(events: list[Event], state: CostState) -> None:
    assert cost_state(events) is state


@given(st.lists(st.sampled_from(Event)), st.lists(st.sampled_from(Event)))
def test_what_has_a_price_keeps_one(before: list[Event], after: list[Event]) -> None:
    if cost_state(before) is CostState.FINAL:
        assert cost_state([*before, *after]) is CostState.FINAL


def test_no_way_leads_back_to_an_estimate_or_to_pending() -> None:
    arrows = {(before, after) for (before, _), after in TABLE.items()}
    assert not {before for before, after in arrows if after is CostState.ESTIMATED}
    assert {before for before, after in arrows if after is CostState.PENDING} == {CostState.ESTIMATED}


def test_a_diagram_is_its_arrows() -> None:
    drawn = mermaid([("", "one", "begin"), ("one", "two", "")])
    assert drawn == "stateDiagram-v2\n    [*] --> one : begin\n    one --> two"


@pytest.mark.parametrize("name", sorted(diagrams()))
def test_the_documentation_shows_the_machines_as_they_are(name: str) -> None:
    assert f"```mermaid\n{diagrams()[name]}\n```" in DOCS.read_text(encoding="utf-8")
