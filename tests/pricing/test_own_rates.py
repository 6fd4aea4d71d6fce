"""Your own rates: read exactly as written, above every list price, for the calls and times they name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from costtrace.pricing import Catalog, Quote
from costtrace.quote import QuoteStatus
from costtrace.usage import Usage

APRIL = datetime(2026, 4, 1, 12, tzinfo=UTC)

RATES = """
[[rate]]
provider = "openai"
model = "gpt-4o"
source = "contract of March"
effective_from = 2026-03-01
input = 2.25
output = 9

[[rate]]
provider = "openai"
model = "gpt-4o"
effective_from = 2026-06-01
input = 2.0000000000000000000000000001
output = 8

[[rate]]
provider = "openai"
model = "gpt-4o"
service_tier = "flex"
input = 1.1
output = 4.4

[[rate]]
provider = "openai"
model = "ft:gpt-4o*"
input = 3.75
output = 15

[[rate]]
provider = "acme"
model = "*"
input = 0
output = 0.01
"""


def mtok(rate: str, tokens: int) -> Decimal:
    """What that many tokens cost at a rate in USD per million."""
    return Decimal(rate) * tokens / 1_000_000


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "rates.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def catalog(written: Callable[[str], Path]) -> Catalog:
    return Catalog.default(written(RATES))


def price(
    catalog: Catalog, model: str, at: datetime = APRIL, *, provider: str = "openai", tier: str | None = None
) -> Quote:
    usage = Usage(buckets={"input": 450, "output": 200})
    return catalog.quote(provider=provider, model=model, usage=usage, service_tier=tier, at=at)


def test_an_own_rate_wins_over_the_list_price_and_says_where_it_stands(catalog: Catalog) -> None:
    quote = price(catalog, "gpt-4o")
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == mtok("2.25", 450) + mtok("9", 200)
    assert quote.basis is not None
    assert (quote.basis.rule, quote.basis.source, quote.basis.version) == (
        "own rates",
        "contract of March",
        "rates.toml",
    )
    assert quote.basis.to_dict()["effective_from"] == "2026-03-01"


def test_what_the_file_does_not_name_costs_the_list_price(catalog: Catalog) -> None:
    quote = price(catalog, "gpt-4o-mini")
    assert quote.amount == mtok("0.15", 450) + mtok("0.6", 200)
    assert quote.basis is not None
    assert quote.basis.source == "genai-prices"


@pytest.mark.parametrize(
    ("at", "amount"),
    [
        (datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC), mtok("2.5", 450) + mtok("10", 200)),
        (datetime(2026, 3, 1, tzinfo=UTC), mtok("2.25", 450) + mtok("9", 200)),
        (datetime(2026, 5, 31, 23, 59, 59, tzinfo=UTC), mtok("2.25", 450) + mtok("9", 200)),
        (datetime(2026, 6, 1, tzinfo=UTC), Decimal("0.002500000000000000000000000000045")),
    ],
)
def test_an_own_rate_holds_from_its_first_utc_day_and_until_the_next(
    catalog: Catalog, at: datetime, amount: Decimal
) -> None:
    """The rate of June has more digits than a Decimal computes with unless told to, and all of them count."""
    assert price(catalog, "gpt-4o", at).amount == amount


def test_a_rate_of_a_tier_is_only_for_that_tier(catalog: Catalog) -> None:
    flex = price(catalog, "gpt-4o", tier="flex")
    assert flex.amount == mtok("1.1", 450) + mtok("4.4", 200)
    assert flex.basis is not None
    assert flex.basis.context_used == {"service_tier": "flex"}
    assert price(catalog, "gpt-4o", tier="default").amount == mtok("2.25", 450) + mtok("9", 200)


def test_a_tier_that_the_file_does_not_name_is_not_exact(catalog: Catalog) -> None:
    """A contract that names no tier says nothing of what priority costs."""
    quote = price(catalog, "gpt-4o", tier="priority")
    assert not quote.is_actual
    assert "priority" in str(quote.reason)


def test_a_star_matches_any_ending(catalog: Catalog) -> None:
    assert price(catalog, "ft:gpt-4o-mini:us::1").amount == mtok("3.75", 450) + mtok("15", 200)
    assert price(catalog, "anything", provider="acme").amount == mtok("0", 450) + mtok("0.01", 200)
    assert price(catalog, "ft:gpt-3.5", provider="acme2").status is QuoteStatus.UNPRICED


def test_a_bucket_without_a_rate_is_partial_and_not_guessed_from_the_list(catalog: Catalog) -> None:
    usage = Usage(buckets={"input": 450, "cache_read": 100})
    quote = catalog.quote(provider="openai", model="gpt-4o", usage=usage, at=APRIL)
    assert quote.status is QuoteStatus.PARTIAL
    assert quote.amount == mtok("2.25", 450)
    assert quote.reason == "no rate for cache_read of model 'gpt-4o'"


def test_two_files_with_different_rates_have_different_hashes(written: Callable[[str], Path]) -> None:
    first = price(Catalog.default(written(RATES)), "gpt-4o").basis
    second = price(Catalog.default(written(RATES.replace("2.25", "2.26"))), "gpt-4o").basis
    assert first is not None
    assert second is not None
    assert first.data_hash != second.data_hash


def own(written: Callable[[str], Path], rates: str) -> Catalog:
    return Catalog.default(written(rates))


def test_a_rate_asks_for_options_of_the_call_and_more_options_win(written: Callable[[str], Path]) -> None:
    catalog = own(
        written,
        """
        [[rate]]
        provider = "openai"
        model = "gpt-4o"
        input = 4

        [[rate]]
        provider = "openai"
        model = "gpt-4o"
        when = { region = ["eu", "us"] }
        input = 3

        [[rate]]
        provider = "openai"
        model = "gpt-4o"
        when = { region = "eu", processing = "batch" }
        input = 2

        [[rate]]
        provider = "openai"
        model = "gpt-4o"
        when = { region = "!global" }
        effective_from = 2030-01-01
        input = 1
        """,
    )

    def cost(**context: str) -> Quote:
        return catalog.quote(
            provider="openai", model="gpt-4o", usage=Usage(buckets={"input": 1000}), at=APRIL, context=context
        )

    assert cost().amount == mtok("4", 1000)
    assert cost(region="us").amount == mtok("3", 1000)
    batch = cost(region="eu", processing="batch")
    assert (batch.status, batch.amount) == (QuoteStatus.EXACT, mtok("2", 1000))
    assert batch.basis is not None
    assert batch.basis.context_used == {"region": "eu", "processing": "batch"}
    unnamed = cost(region="jp")
    assert (unnamed.status, unnamed.amount) == (QuoteStatus.PARTIAL, mtok("4", 1000))


def test_a_long_request_costs_the_rates_of_its_band_and_keeps_the_others(written: Callable[[str], Path]) -> None:
    catalog = own(
        written,
        """
        [[rate]]
        provider = "acme"
        model = "m"
        input = 1
        output = 3
        [[rate.band]]
        above = 1000
        input = 2
        """,
    )

    def cost(tokens: int) -> Decimal | None:
        usage = Usage(buckets={"input": tokens, "output": 10})
        return catalog.quote(provider="acme", model="m", usage=usage, at=APRIL).amount

    assert cost(1000) == mtok("1", 1000) + mtok("3", 10)
    assert cost(1001) == mtok("2", 1001) + mtok("3", 10)


NIGHTS = """
[[rate]]
provider = "acme"
model = "m"
input = 2

[[rate]]
provider = "acme"
model = "m"
hours = ["22:00-06:00"]
days = ["mon", "tue", "wed", "thu", "fri"]
except_on = ["2026-04-02..2026-04-03", "2026-05-01"]
utc_offset = "-03:00"
input = 1
"""


@pytest.mark.parametrize(
    ("at", "rate"),
    [
        ("2026-04-01T01:00", "1"),  # Tuesday 22:00 by the clock of the row
        ("2026-04-01T00:59", "2"),
        ("2026-04-01T08:59", "1"),  # Wednesday 05:59
        ("2026-04-01T09:00", "2"),
        ("2026-04-02T02:59", "1"),  # Wednesday 23:59
        ("2026-04-02T03:00", "2"),  # Thursday 00:00, excepted
        ("2026-04-04T02:00", "2"),  # Friday 23:00, excepted
        ("2026-04-05T02:00", "2"),  # Saturday 23:00
        ("2026-05-01T02:00", "1"),  # Thursday 23:00
        ("2026-05-01T03:00", "2"),  # Friday 00:00, excepted
    ],
)
def test_a_rate_of_some_hours_holds_in_them_by_its_own_clock(
    written: Callable[[str], Path], at: str, rate: str
) -> None:
    catalog = own(written, NIGHTS)
    # Asked at noon first: a card made then must not answer for the night.
    for moment in ("2026-04-01T12:00", at):
        quote = catalog.quote(
            provider="acme",
            model="m",
            usage=Usage(buckets={"input": 1000}),
            at=datetime.fromisoformat(moment).replace(tzinfo=UTC),
        )
    assert quote.amount == mtok(rate, 1000)


def test_rates_for_other_hours_are_no_answer(written: Callable[[str], Path]) -> None:
    catalog = own(written, NIGHTS.split("[[rate]]", 2)[0] + "[[rate]]" + NIGHTS.split("[[rate]]", 2)[2])

    def cost(at: str) -> Quote:
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        return catalog.quote(provider="acme", model="m", usage=Usage(buckets={"input": 1000}), at=moment)

    noon = cost("2026-04-01T12:00")
    assert (noon.status, noon.amount) == (QuoteStatus.PARTIAL, None)
    assert "for other times only" in str(noon.reason)
    assert cost("2026-04-01T02:00").amount == mtok("1", 1000)


def test_rates_past_their_last_day_are_an_estimate_unless_others_follow(written: Callable[[str], Path]) -> None:
    rates = """
    [[rate]]
    provider = "acme"
    model = "m"
    source = "contract"
    effective_from = 2026-01-01
    effective_until = 2026-03-31
    input = 1
    """
    usage = Usage(buckets={"input": 1000})
    last = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
    held = own(written, rates)
    assert held.quote(provider="acme", model="m", usage=usage, at=last).status is QuoteStatus.EXACT
    after = held.quote(provider="acme", model="m", usage=usage, at=APRIL)
    assert (after.status, after.amount) == (QuoteStatus.ESTIMATED, mtok("1", 1000))
    assert after.assumptions == ("rates of contract held until 2026-03-31",)
    before = datetime(2025, 12, 31, tzinfo=UTC)
    assert held.quote(provider="acme", model="m", usage=usage, at=before).status is QuoteStatus.UNPRICED
    followed = own(written, rates + '[[rate]]\nprovider = "acme"\nmodel = "*"\ninput = 7\n')
    assert followed.quote(provider="acme", model="m", usage=usage, at=APRIL).amount == mtok("7", 1000)


def test_a_discount_is_taken_from_what_the_lists_say(written: Callable[[str], Path]) -> None:
    catalog = own(
        written,
        """
        [[adjust]]
        provider = "openai"
        model = "*"
        source = "framework contract"
        discount = "15%"

        [[adjust]]
        provider = "openai"
        model = "gpt-4o"
        discount = "20%"
        """,
    )
    mini = price(catalog, "gpt-4o-mini")
    assert mini.amount == mtok("0.1275", 450) + mtok("0.51", 200)
    assert mini.basis is not None
    assert mini.basis.source == "genai-prices"
    assert mini.basis.adjustments[-1] == "rates.toml: x 0.85 (framework contract)"
    assert mini.basis.rates["input"] == "input_mtok, rates.toml x 0.85"
    assert price(catalog, "gpt-4o").amount == mtok("2", 450) + mtok("8", 200)
    assert price(catalog, "no-such-model").status is QuoteStatus.UNPRICED


def test_adjustments_of_different_names_follow_one_another(written: Callable[[str], Path]) -> None:
    catalog = own(
        written,
        """
        [[adjust]]
        name = "token discount"
        provider = "openai"
        model = "gpt-4o"
        factor = 0.5
        buckets = "tokens"

        [[adjust]]
        name = "fees"
        provider = "openai"
        model = "gpt-4o"
        web_search = 8
        request = 0.001
        per_call = { weather = 0.02 }
        """,
    )
    usage = Usage(buckets={"input": 1000, "web_search": 2, "weather": 1})
    quote = catalog.quote(provider="openai", model="gpt-4o", usage=usage, at=APRIL)
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == mtok("1.25", 1000) + Decimal("0.008") * 2 + Decimal("0.001") + Decimal("0.02")


def test_an_adjustment_says_within_which_bounds_it_is_a_guess(written: Callable[[str], Path]) -> None:
    catalog = own(
        written,
        """
        [[adjust]]
        provider = "openai"
        model = "gpt-4o"
        factor = 0.9
        low = 0.8
        high = 1
        assume = "rebate=10%, not yet confirmed"
        """,
    )
    quote = price(catalog, "gpt-4o")
    assert quote.status is QuoteStatus.ESTIMATED
    assert quote.amount == mtok("2.25", 450) + mtok("9", 200)
    assert quote.low == mtok("2", 450) + mtok("8", 200)
    assert quote.high == mtok("2.5", 450) + mtok("10", 200)
    assert quote.assumptions == ("rebate=10%, not yet confirmed",)


def test_a_deployment_is_priced_as_the_model_behind_it(written: Callable[[str], Path]) -> None:
    catalog = own(
        written,
        """
        [[alias]]
        provider = "azure_openai"
        model = "our-chat"
        priced_as = { model = "gpt-4o" }

        [[adjust]]
        provider = "azure"
        model = "our-chat"
        discount = "10%"
        """,
    )
    quote = price(catalog, "our-chat", provider="azure")
    assert quote.status is QuoteStatus.EXACT
    assert quote.amount == mtok("2.25", 450) + mtok("9", 200)
    assert quote.basis is not None
    assert quote.basis.adjustments[0] == "our-chat is priced as azure_openai gpt-4o by rates.toml"


def test_an_inference_profile_is_priced_as_the_model_it_stands_for(written: Callable[[str], Path]) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    rates = f"""
    [[alias]]
    provider = "bedrock"
    model = "{arn}"
    priced_as = {{ model = "us.anthropic.claude-sonnet-4-6" }}
    """
    quote = price(own(written, rates), arn, provider="bedrock_converse")
    assert (quote.status, quote.amount) == (QuoteStatus.EXACT, mtok("3.3", 450) + mtok("16.5", 200))


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)])
def test_the_ends_of_the_calendar_have_rates_too(written: Callable[[str], Path], at: datetime) -> None:
    """Far from the clock of a row the moment would leave the calendar."""
    for offset in ("+14:00", "-14:00"):
        rates = f'[[rate]]\nprovider = "acme"\nmodel = "m"\nutc_offset = "{offset}"\ninput = 1\noutput = 1\n'
        assert price(own(written, rates), "m", at, provider="acme").amount == mtok("1", 650)


def test_a_self_hosted_model_behind_an_unknown_address_has_the_price_you_name(written: Callable[[str], Path]) -> None:
    catalog = own(written, '[[rate]]\nprovider = "openai"\nmodel = "llama-*"\ncurrency = "EUR"\ninput = 0.1\n')
    usage, context = Usage(buckets={"input": 1000}), {"base_url": "http://127.0.0.1:8000/v1"}
    quote = catalog.quote(provider="openai", model="llama-3", usage=usage, at=APRIL, context=context)
    assert (quote.amount, quote.currency) == (mtok("0.1", 1000), "EUR")
    assert quote.status is QuoteStatus.EXACT
    assert quote.basis is not None
    assert quote.basis.rule == "own rates for llama-*"


def test_a_rate_of_a_model_is_that_of_the_snapshots_that_cost_the_same(catalog: Catalog) -> None:
    """The list knows that one snapshot of gpt-4o is another model, with a price of its own."""
    assert price(catalog, "gpt-4o-2024-08-06").amount == mtok("2.25", 450) + mtok("9", 200)
    assert price(catalog, "gpt-4o-2024-05-13").amount == mtok("5", 450) + mtok("15", 200)


def test_a_snapshot_that_no_list_knows_is_assumed_to_cost_what_its_model_costs(
    written: Callable[[str], Path],
) -> None:
    catalog = own(written, '[[rate]]\nprovider = "openai"\nmodel = "gpt-99"\ninput = 1\n')
    usage = Usage(buckets={"input": 1000})
    quote = catalog.quote(provider="openai", model="gpt-99-2031-01-01", usage=usage, at=APRIL)
    assert (quote.status, quote.amount) == (QuoteStatus.ESTIMATED, mtok("1", 1000))
    assert quote.assumptions == ("model=gpt-99, snapshot not listed",)


def test_bounds_of_two_guesses_are_multiplied_and_lost_where_one_has_none(written: Callable[[str], Path]) -> None:
    """Anthropic's streams do not say how long a cache write is kept: 3.75 or 6 a million for claude-sonnet-4-6."""
    rebate = """
    [[adjust]]
    provider = "anthropic"
    model = "claude-sonnet-4-6"
    factor = 0.9
    assume = "rebate=10%"
    """
    usage = Usage(buckets={"cache_write": 1_000_000})

    def cost(rates: str) -> Quote:
        return own(written, rates).quote(provider="anthropic", model="claude-sonnet-4-6", usage=usage, at=APRIL)

    bounded = cost(rebate + "low = 0.8\nhigh = 1\n")
    assert (bounded.low, bounded.amount, bounded.high) == (Decimal(3), Decimal("3.375"), Decimal(6))
    open_ended = cost(rebate)
    assert (open_ended.low, open_ended.amount, open_ended.high) == (None, Decimal("3.375"), None)
    known = cost(rebate.replace('assume = "rebate=10%"', ""))
    assert (known.low, known.amount, known.high) == (Decimal("3.375"), Decimal("3.375"), Decimal("5.4"))


def test_an_adjustment_that_ended_is_an_estimate_between_its_rates_and_those_after(
    written: Callable[[str], Path],
) -> None:
    row = """
    [[adjust]]
    provider = "openai"
    model = "gpt-4o"
    source = "spring offer"
    effective_until = 2026-03-31
    factor = 0.5
    """
    silent = price(own(written, row), "gpt-4o")
    assert (silent.status, silent.amount) == (QuoteStatus.ESTIMATED, mtok("1.25", 450) + mtok("5", 200))
    assert (silent.low, silent.assumptions) == (None, ("rates of spring offer held until 2026-03-31",))
    bounded = price(own(written, row + "afterwards = { input = 2.5, output = { times = 2 } }"), "gpt-4o")
    assert (bounded.low, bounded.high) == (bounded.amount, mtok("2.5", 450) + mtok("10", 200))
    ended = price(own(written, row + 'afterwards = "list"'), "gpt-4o")
    assert (ended.status, ended.amount) == (QuoteStatus.EXACT, mtok("2.5", 450) + mtok("10", 200))


def test_what_a_row_says_is_not_the_whole_cost_is_partial(written: Callable[[str], Path]) -> None:
    rates = '[[{}]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput = 1\noutput = 1\npartial = "seats are billed too"\n'
    for kind in ("rate", "adjust"):
        quote = price(own(written, rates.format(kind)), "gpt-4o")
        assert (quote.status, quote.amount) == (QuoteStatus.PARTIAL, mtok("1", 650))
        assert quote.reason == "seats are billed too"


def test_a_rate_may_be_a_guess_of_your_own(written: Callable[[str], Path]) -> None:
    rates = '[[rate]]\nprovider = "acme"\nmodel = "m"\ninput = {}\n'
    usage = Usage(buckets={"input": 1_000_000})

    def cost(rate: str) -> Quote:
        return own(written, rates.format(rate)).quote(provider="acme", model="m", usage=usage, at=APRIL)

    guess = cost('{ price = 2, low = 1, high = "7/3", assume = "GPU hours=spread evenly" }')
    assert (guess.status, guess.amount, guess.low) == (QuoteStatus.ESTIMATED, Decimal(2), Decimal(1))
    assert guess.high == Decimal("2.333333333333333333333333333")
    whole = cost('1\nassume = "electricity=0.30 a kWh"')
    assert (whole.status, whole.assumptions) == (QuoteStatus.ESTIMATED, ("electricity=0.30 a kWh",))
