"""The bill-checker's table: what providers publish, worked out by hand, against what a quote says.

Nothing in it is read from the price lists that quotes are made of.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Final
from urllib.parse import urlsplit

import pytest

from costtrace.errors import InvalidValue
from costtrace.pricing import Catalog, Quote
from costtrace.quote import QuoteStatus
from tests.pricing.cases import (
    anthropic_cases,
    cloud_cases,
    deepseek_cases,
    google_cases,
    openai_cases,
    openai_more_cases,
    other_cases,
    refusal_cases,
    xai_cases,
)
from tests.pricing.cases.case import (
    ESTIMATED,
    EXACT,
    INVALID_USAGE,
    NOVEMBER,
    PARTIAL,
    REPORTED,
    UNPRICED,
    USAGE_MISSING,
    Case,
    mtok,
    tokens,
)

CATALOG: Final = Catalog.default()
CASES: Final[list[Case]] = [
    *openai_cases.CASES,
    *openai_more_cases.CASES,
    *anthropic_cases.CASES,
    *google_cases.CASES,
    *cloud_cases.CASES,
    *deepseek_cases.CASES,
    *xai_cases.CASES,
    *other_cases.CASES,
    *refusal_cases.CASES,
]
WITHOUT_AN_AMOUNT: Final = {UNPRICED, USAGE_MISSING, INVALID_USAGE}


def quoted(case: Case) -> Quote:
    return CATALOG.quote(
        provider=case.provider,
        model=case.model,
        usage=case.usage,
        service_tier=case.service_tier,
        at=case.at,
        context=case.context,
        response_metadata=case.response_metadata,
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_call_costs_what_its_provider_publishes(case: Case) -> None:
    quote = quoted(case)
    assert quote.status in case.statuses, quote.reason
    if quote.status in WITHOUT_AN_AMOUNT:
        assert quote.amount is None
    elif case.amount_is_stated(quote.status):
        assert quote.amount == case.amount, [str(line) for line in quote.lines]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_quote_shows_its_working(case: Case) -> None:
    """The lines add up to the amount where the list decides it, and whatever is not exact says why."""
    quote = quoted(case)
    if quote.status in {EXACT, ESTIMATED}:
        assert quote.amount == sum((line.subtotal for line in quote.lines), Decimal(0))
        assert quote.basis is not None
    if quote.status == ESTIMATED:
        assert quote.assumptions
    if quote.status == PARTIAL or quote.status in WITHOUT_AN_AMOUNT:
        assert quote.reason
        assert not quote.is_actual


@pytest.mark.parametrize("case", [case for case in CASES if ESTIMATED in case.statuses], ids=lambda case: case.id)
def test_an_estimate_stands_between_its_bounds(case: Case) -> None:
    quote = quoted(case)
    if case.low is not None:
        assert quote.low == case.low
    if case.high is not None:
        assert quote.high == case.high
    if quote.status == ESTIMATED and quote.low is not None and quote.high is not None:
        assert quote.amount is not None
        assert quote.low <= quote.amount <= quote.high


def test_a_bare_bedrock_id_is_bounded_by_the_two_routes_it_may_have_taken() -> None:
    quote = CATALOG.quote(
        provider="bedrock_converse", model="anthropic.claude-sonnet-4-6", usage=tokens(1000, 500), at=NOVEMBER
    )
    if quote.status == ESTIMATED:
        assert quote.low == mtok("3", 1000) + mtok("15", 500)
        assert quote.high == mtok("3.3", 1000) + mtok("16.5", 500)
    assert not quote.is_actual


def test_a_reported_charge_keeps_the_computed_one_beside_it() -> None:
    quote = CATALOG.quote(
        provider="xai",
        model="grok-4.7",
        usage=tokens(1000, 500),
        at=NOVEMBER,
        context={"provider_reported": {"cost_in_usd_ticks": 37_756_000}},
    )
    assert quote.status is QuoteStatus.PROVIDER_REPORTED
    assert quote.amount == Decimal("0.0037756")
    assert quote.computed == mtok("2", 1000) + mtok("6", 500)


def test_a_context_key_that_does_not_exist_is_named() -> None:
    with pytest.raises(InvalidValue, match="regoin"):
        CATALOG.quote(provider="openai", model="gpt-4o", usage=tokens(1, 1), at=NOVEMBER, context={"regoin": "eu"})


def test_the_table_is_wide_enough() -> None:
    statuses = Counter(status for case in CASES for status in case.statuses if len(case.statuses) == 1)
    assert len(CASES) >= 120
    assert statuses[PARTIAL] + statuses[UNPRICED] >= 15
    assert statuses[EXACT] >= 120
    assert statuses[REPORTED] >= 5
    assert {case.provider for case in CASES} >= {
        "openai",
        "azure",
        "anthropic",
        "google_genai",
        "google_vertexai",
        "google_anthropic_vertex",
        "bedrock_converse",
        "anthropic-bedrock",
        "xai",
        "deepseek",
        "mistralai",
        "openrouter",
    }


def test_every_case_has_a_name_of_its_own_and_a_page_to_look_it_up() -> None:
    names = Counter(case.id for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    for case in CASES:
        page = urlsplit(case.source)
        assert (page.scheme, bool(page.hostname), len(page.path) > 1) == ("https", True, True), case.id
