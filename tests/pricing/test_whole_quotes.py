"""Quotes compared as a whole: amount, bounds, lines, reasons, and every part of the working that a reader is shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from costtrace.errors import InvalidValue
from costtrace.pricing import Catalog, Quote
from costtrace.pricing.rate_file import RateFile
from costtrace.quote import PriceBasis, QuoteLine, QuoteStatus
from costtrace.usage import (
    FLAG_CACHE_HIT,
    FLAG_DETAILS_LOST,
    FLAG_INCOMPLETE,
    FLAG_INCONSISTENT,
    FLAG_OVERLAP,
    FLAG_TOOL_FEES,
    FLAG_TOTAL_MISMATCH,
    Usage,
)

APRIL: Final = datetime(2026, 4, 1, 12, tzinfo=UTC)
MILLION: Final = 1_000_000

Written = Callable[[str], Catalog]


@pytest.fixture
def own(tmp_path: Path) -> Written:
    def write(rates: str) -> Catalog:
        path = tmp_path / "rates.toml"
        path.write_text(rates)
        return Catalog(RateFile.own(path))

    return write


def line(bucket: str, quantity: int, rate: str, per: int = MILLION) -> QuoteLine:
    return QuoteLine(bucket, quantity, Decimal(rate), per)


def quoted(
    catalog: Catalog,
    buckets: dict[str, int],
    *flags: str,
    provider: str | None = "acme",
    model: str | None = "m",
    at: datetime = APRIL,
    tier: str | None = None,
    **context: Any,
) -> Quote:
    usage = Usage(buckets=buckets, flags=flags)
    return catalog.quote(provider=provider, model=model, usage=usage, service_tier=tier, at=at, context=context)


def basis_of(quote: Quote) -> PriceBasis:
    assert quote.basis is not None
    return quote.basis


CONTRACT = """
[[rate]]
provider = "acme"
model = "m-*"
source = "https://acme.example/prices"
checked_on = 2026-02-01
effective_from = 2026-01-01
effective_until = 2026-03-31
service_tier = "flex"
currency = "EUR"
input = 1
output = { price = 4, low = 3, high = 5, assume = "output=4" }
file_search = { price = 3, once = true }
request = 0.001
"""


def test_a_quote_at_own_rates_shows_all_of_its_working(own: Written) -> None:
    catalog = own(CONTRACT)
    buckets = {"input": 1000, "output": 10, "file_search": 3}
    quote = quoted(catalog, buckets, model="m-1", tier="flex", at=datetime(2026, 3, 31, tzinfo=UTC))
    page = "https://acme.example/prices"
    assert quote == Quote(
        status=QuoteStatus.ESTIMATED,
        amount=Decimal("0.00504"),
        currency="EUR",
        low=Decimal("0.00503"),
        high=Decimal("0.00505"),
        lines=(line("input", 1000, "1"), line("output", 10, "4"), line("file_search", 1, "3", 1000),
               line("request", 1, "0.001", 1)),
        assumptions=("output=4",),
        basis=PriceBasis(
            provider="acme",
            model="m-1",
            rule="own rates for m-*",
            source="rates.toml",
            version="rates.toml",
            data_hash=basis_of(quote).data_hash,
            url=page,
            effective_from=date(2026, 1, 1),
            effective_until=date(2026, 3, 31),
            checked_on=date(2026, 2, 1),
            context_used={"service_tier": "flex"},
            rates=dict.fromkeys(("input", "output", "file_search", "request"), page),
        ),
    )  # fmt: skip
    later = quoted(catalog, buckets, model="m-1", tier="flex")
    held = f"rates of {page} held until 2026-03-31"
    assert (later.status, later.low, later.high) == (QuoteStatus.ESTIMATED, None, None)
    assert later.assumptions == (held, "output=4")
    assert basis_of(later) == basis_of(quote)


def test_rates_without_source_and_dates_are_those_of_their_file(own: Written) -> None:
    catalog = own('version = "3"\n[[rate]]\nprovider = "acme"\nmodel = "m"\ninput = 1\n')
    quote = quoted(catalog, {"input": 7})
    assert quote == Quote(
        status=QuoteStatus.EXACT,
        amount=Decimal("0.000007"),
        lines=(line("input", 7, "1"),),
        basis=PriceBasis(
            provider="acme",
            model="m",
            rule="own rates",
            source="rates.toml",
            version="3",
            data_hash=basis_of(quote).data_hash,
            rates={"input": "[[rate]]"},
        ),
    )


BASE = """
[[rate]]
provider = "acme"
model = "m"
input = 8
cache_read = 2
output = 40
file_search = { price = 3, once = true }
[[rate.band]]
above = 1000
input = 16
"""


@pytest.fixture
def changed(tmp_path: Path) -> Written:
    """Rates of one file, changed by another that lies above it."""

    def write(rates: str) -> Catalog:
        (tmp_path / "base.toml").write_text(BASE)
        (tmp_path / "mine.toml").write_text(rates)
        return Catalog(RateFile.own(tmp_path / "mine.toml"), RateFile.own(tmp_path / "base.toml"))

    return write


def adjust(text: str, provider: str = "acme", model: str = "m") -> str:
    return f'[[adjust]]\nprovider = "{provider}"\nmodel = "{model}"\n{text}\n'


TEN: Final = {"input": 10, "cache_read": 10, "output": 10}
COST_OF_TEN: Final = Decimal("0.0005")

CHANGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    # what changes: the row, and what it makes of ten tokens each of input (8), cached input (2) and output (40)
    "all rates": (
        adjust('factor = 0.5\nname = "deal"\nsource = "page"\nchecked_on = 2026-03-01\neffective_until = 2026-12-31'),
        {
            "amount": Decimal("0.00025"),
            "sentence": "deal: x 0.5 (page, checked 2026-03-01)",
            "until": date(2026, 12, 31),
            "input": "[[rate]], mine.toml deal x 0.5",
        },
    ),
    "some rates": (
        adjust('factor = 2\nbuckets = ["output"]\nsource = "page"'),
        {"amount": Decimal("0.0009"), "sentence": "mine.toml: x 2 (page)"},
    ),
    "one rate": (
        adjust("input = 1"),
        {"amount": Decimal("0.00043"), "sentence": "mine.toml: input 1", "input": "mine.toml"},
    ),
    "a multiple of itself": (
        adjust("input = { times = 1.25 }"),
        {
            "amount": Decimal("0.00052"),
            "sentence": "mine.toml: input 1.25 x its own rate",
            "input": "[[rate]], mine.toml x 1.25",
        },
    ),
    "a multiple of another": (
        adjust('cache_read = { of = "output", times = 0.5 }'),
        {"amount": Decimal("0.00068"), "sentence": "mine.toml: cache_read 0.5 x output"},
    ),
    "a multiple of nothing": (
        adjust('cache_write_12h = { of = "cache_write", times = 2 }'),
        {"amount": COST_OF_TEN, "sentence": "mine.toml: cache_write_12h 2 x cache_write"},
    ),
    "a guess": (
        adjust('assume = "maybe"\nlow = 0.5\nhigh = 2'),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": COST_OF_TEN,
            "low": Decimal("0.00025"),
            "high": Decimal("0.001"),
            "assumptions": ("maybe",),
            "sentence": "mine.toml: rates unchanged",
            "input": "[[rate]], mine.toml",
        },
    ),
    "a guess without bounds": (
        adjust('assume = "maybe"'),
        {"status": QuoteStatus.ESTIMATED, "amount": COST_OF_TEN, "assumptions": ("maybe",),
         "sentence": "mine.toml: rates unchanged", "input": "[[rate]], mine.toml"},
    ),
    "a guessed price": (
        adjust('input = { price = 9, low = 8, high = "9.5", assume = "input=9" }'),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": Decimal("0.00051"),
            "low": Decimal("0.0005"),
            "high": Decimal("0.000515"),
            "assumptions": ("input=9",),
            "sentence": "mine.toml: input 9",
            "input": "mine.toml",
        },
    ),
    "a guess with one bound": (
        adjust('input = { price = 9, low = 8, assume = "input=9" }'),
        {"status": QuoteStatus.ESTIMATED, "amount": Decimal("0.00051"), "assumptions": ("input=9",),
         "sentence": "mine.toml: input 9", "input": "mine.toml"},
    ),
    "two guesses": (
        adjust('name = "a"\nassume = "a"\nlow = 0.5\nhigh = 2')
        + adjust('name = "b"\nfactor = 2\nassume = "b"\nhigh = 4\nlow = 1'),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": Decimal("0.001"),
            "low": Decimal("0.00025"),
            "high": Decimal("0.004"),
            "assumptions": ("a; b",),
            "sentence": "a: rates unchanged",
            "input": "[[rate]], mine.toml a, mine.toml b x 2",
        },
    ),
    "a guess and then a fact": (
        adjust('name = "a"\nassume = "a"\nlow = 0.5\nhigh = 2') + adjust('name = "b"\nfactor = 2'),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": Decimal("0.001"),
            "low": Decimal("0.0005"),
            "high": Decimal("0.002"),
            "assumptions": ("a",),
            "sentence": "a: rates unchanged",
            "input": "[[rate]], mine.toml a, mine.toml b x 2",
        },
    ),
    "a fact about what was a guess": (
        adjust('name = "a"\nassume = "a"\nbuckets = "input"\nlow = 0.5\nhigh = 2')
        + adjust('name = "b"\ninput = { times = 2 }'),
        {
            "amount": Decimal("0.00058"),
            "sentence": "a: rates unchanged",
            "input": "[[rate]], mine.toml a, mine.toml b x 2",
        },
    ),
    "only long requests": (
        adjust("above = 1000\nfactor = 2"),
        {"amount": COST_OF_TEN, "sentence": "mine.toml: x 2"},
    ),
    "something else is billed": (
        adjust('partial = "seats are billed too"'),
        {
            "status": QuoteStatus.PARTIAL,
            "amount": COST_OF_TEN,
            "reason": "seats are billed too",
            "sentence": "mine.toml: rates unchanged",
        },
    ),
    "what has ended": (
        adjust('factor = 0.5\nname = "offer"\neffective_until = 2026-03-31'),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": Decimal("0.00025"),
            "assumptions": ("rates of offer held until 2026-03-31",),
            "sentence": "offer: x 0.5",
            "until": date(2026, 3, 31),
            "input": "[[rate]], mine.toml offer x 0.5",
        },
    ),
    "what has ended, by its page": (
        adjust('factor = 0.5\nname = "offer"\nsource = "page"\neffective_until = 2026-03-31'),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": Decimal("0.00025"),
            "assumptions": ("rates of page held until 2026-03-31",),
            "sentence": "offer: x 0.5 (page)",
            "until": date(2026, 3, 31),
            "input": "[[rate]], mine.toml offer x 0.5",
        },
    ),
    "what has ended, with known prices after it": (
        adjust(
            "factor = 0.5\neffective_until = 2026-03-31\n"
            'afterwards = { input = 8, output = { times = 0.5 }, cache_read = { of = "input", times = 0.5 }, '
            "web_search = 1 }"
        ),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": Decimal("0.00025"),
            "low": Decimal("0.00015"),
            "high": Decimal("0.0003"),
            "assumptions": ("rates of mine.toml held until 2026-03-31",),
            "sentence": "mine.toml: x 0.5",
            "until": date(2026, 3, 31),
            "input": "[[rate]], mine.toml x 0.5",
        },
    ),
    "what has ended, and was a guess": (
        adjust(
            'input = { price = 6, low = 5, high = 7, assume = "input=6" }\neffective_until = 2026-03-31\n'
            "afterwards = { input = 8 }"
        ),
        {
            "status": QuoteStatus.ESTIMATED,
            "amount": Decimal("0.00048"),
            "low": Decimal("0.00047"),
            "high": Decimal("0.0005"),
            "assumptions": ("input=6; rates of mine.toml held until 2026-03-31",),
            "sentence": "mine.toml: input 6",
            "until": date(2026, 3, 31),
            "input": "mine.toml",
        },
    ),
    "what has ended, where the list is right again": (
        adjust('factor = 0.5\neffective_until = 2026-03-31\nafterwards = "list"'),
        {"amount": COST_OF_TEN, "sentence": None},
    ),
    "what has not ended": (
        adjust("factor = 0.5\neffective_until = 2026-04-01\nafterwards = { input = 100 }"),
        {
            "amount": Decimal("0.00025"),
            "sentence": "mine.toml: x 0.5",
            "until": date(2026, 4, 1),
            "input": "[[rate]], mine.toml x 0.5",
        },
    ),
    "two ends": (
        adjust('factor = 0.5\nname = "a"\neffective_until = 2026-06-30')
        + adjust('input = 8\nname = "b"\neffective_until = 2026-12-31'),
        {
            "amount": Decimal("0.00029"),
            "sentence": "a: x 0.5",
            "until": date(2026, 6, 30),
            "input": "mine.toml b",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_a_row_changes_is_shown_whole(changed: Written, rows: str, expected: dict[str, Any]) -> None:
    quote = quoted(changed(rows), TEN)
    basis = basis_of(quote)
    assert {
        "status": quote.status,
        "amount": quote.amount,
        "low": quote.low,
        "high": quote.high,
        "reason": quote.reason,
        "assumptions": quote.assumptions,
        "sentence": basis.adjustments[0] if basis.adjustments else None,
        "until": basis.effective_until,
        "input": basis.rates["input"],
    } == {
        "status": QuoteStatus.EXACT,
        "low": None,
        "high": None,
        "reason": None,
        "assumptions": (),
        "until": None,
        "input": "[[rate]]",
        **expected,
    }


def test_an_adjustment_keeps_what_is_charged_once(changed: Written) -> None:
    catalog = changed(adjust("factor = 2") + adjust('name = "fee"\nfile_search = { times = 3 }'))
    quote = quoted(catalog, {"file_search": 5})
    assert quote.lines == (line("file_search", 1, "18", 1000),)
    once = quoted(changed(adjust("web_search = { price = 5, once = true }")), {"web_search": 4})
    assert once.lines == (line("web_search", 1, "5", 1000),)
    made_so = quoted(changed(adjust('web_search = { of = "file_search", times = 2 }')), {"web_search": 4})
    assert made_so.amount == Decimal("0.006")
    made_once = changed(adjust("output = { times = 1, once = true }"))
    assert quoted(made_once, {"output": 4}).lines == (line("output", 1, "40"),)


def test_what_changed_a_price_is_named_with_each_part_and_its_version(changed: Written) -> None:
    row = adjust("factor = 2\ninput = 1\noutput = { times = 0.5 }")
    unnamed, named = quoted(changed(row), TEN), quoted(changed('version = "7"\n' + row), TEN)
    assert basis_of(unnamed).adjustments == ("mine.toml: x 2, input 1, output 0.5 x its own rate",)
    assert basis_of(unnamed).version == "base.toml, mine.toml"
    assert basis_of(named).version == "base.toml, mine.toml 7"


def test_a_long_request_is_priced_and_said_to_be_so(changed: Written) -> None:
    plain = changed(adjust("above = 1000\nfactor = 2"))
    short, long = quoted(plain, {"input": 1000}), quoted(plain, {"input": 1001})
    assert (short.lines, long.lines) == ((line("input", 1000, "8"),), (line("input", 1001, "32"),))
    assert (basis_of(short).context_used, basis_of(long).context_used) == ({}, {"input_tokens": "more than 1000"})


def test_a_threshold_of_nothing_is_exceeded_by_one_token(own: Written) -> None:
    rates = '[[rate]]\nprovider = "acme"\nmodel = "m"\ninput = 1\noutput = 1\n'
    bands = "[[rate.band]]\nabove = 0\ninput = 2\n[[rate.band]]\nabove = 5\ninput = 3\n"
    catalog = own(rates + bands)
    assert [quoted(catalog, {"input": tokens, "output": 1}).lines[0].rate for tokens in (1, 5, 6, 99)] == [2, 2, 3, 3]
    assert basis_of(quoted(catalog, {"output": 1})).context_used == {}
    assert basis_of(quoted(catalog, {"input": 1})).context_used == {"input_tokens": "more than 0"}


OPTIONS: Final[dict[str, tuple[str, dict[str, str], str | None, dict[str, str]]]] = {
    # which row, which options of the call: why the quote is partial, and which options were used
    "a factor settles": ('when = { region = "eu" }\nfactor = 2', {"region": "eu"}, None, {"region": "eu"}),
    "input settles": ('when = { region = "eu" }\ninput = 2', {"region": "eu"}, None, {"region": "eu"}),
    "a note settles": (
        'when = { region = "eu" }\npartial = "more"',
        {"region": "eu"},
        "more",
        {"region": "eu"},
    ),
    "cached input does not": (
        'when = { region = "eu" }\ncache_read = 2',
        {"region": "eu"},
        "no rate of its own is known for region=eu of model 'm' at that time",
        {},
    ),
    "nothing asks for it": (
        "factor = 2",
        {"region": "eu", "speed": "fast"},
        "no rate of its own is known for speed=fast, region=eu of model 'm' at that time",
        {},
    ),
    "it is the standard": (
        "factor = 2",
        {"region": "global", "speed": "standard", "processing": "standard", "inference_geo": "not_available"},
        None,
        {},
    ),
}


@pytest.mark.parametrize(("row", "context", "reason", "used"), OPTIONS.values(), ids=OPTIONS)
def test_an_option_selects_a_rate_or_makes_the_quote_partial(
    changed: Written, row: str, context: dict[str, Any], reason: str | None, used: dict[str, str]
) -> None:
    quote = quoted(changed(adjust(row)), TEN, **context)
    assert quote.status is (QuoteStatus.EXACT if reason is None else QuoteStatus.PARTIAL)
    assert quote.reason == reason
    assert basis_of(quote).context_used == used
    standard = {"global", "standard", "not_available"}
    ignored = {key: value for key, value in context.items() if key not in used and value not in standard}
    assert basis_of(quote).context_ignored == ignored


AUDIO = """
[[rate]]
provider = "acme"
model = "m"
input = 2
cache_read = 1
input_audio = 10
cache_read_audio = 4
output = 5
"""

FLAGS: Final[dict[str, tuple[str, dict[str, int], str, dict[str, Any]]]] = {
    "details lost": (
        FLAG_DETAILS_LOST,
        {"input": 1000, "output": 100},
        AUDIO,
        {
            "amount": Decimal("0.0025"),
            "low": Decimal("0.0015"),
            "high": Decimal("0.0105"),
            "assumptions": ("cached_and_audio_tokens=0",),
        },
    ),
    "details lost, and no input": (
        FLAG_DETAILS_LOST,
        {"output": 100},
        AUDIO,
        {
            "amount": Decimal("0.0005"),
            "low": Decimal("0.0005"),
            "high": Decimal("0.0005"),
            "assumptions": ("cached_and_audio_tokens=0",),
        },
    ),
    "details lost, and one rate only": (
        FLAG_DETAILS_LOST,
        {"output": 100},
        '[[rate]]\nprovider = "acme"\nmodel = "m"\noutput = 5\n',
        {
            "amount": Decimal("0.0005"),
            "low": Decimal("0.0005"),
            "high": Decimal("0.0005"),
            "assumptions": ("cached_and_audio_tokens=0",),
        },
    ),
    "overlap that would cost less": (
        FLAG_OVERLAP,
        {"input": 100, "input_audio": 300, "cache_read": 200},
        AUDIO,
        {
            "amount": Decimal("0.0034"),
            "low": Decimal("0.0024"),
            "high": Decimal("0.0034"),
            "assumptions": ("cached_audio_tokens=0",),
        },
    ),
    "overlap that would cost more": (
        FLAG_OVERLAP,
        {"input": 100, "input_audio": 200, "cache_read": 300},
        AUDIO.replace("cache_read_audio = 4", "cache_read_audio = 12"),
        {
            "amount": Decimal("0.0025"),
            "low": Decimal("0.0025"),
            "high": Decimal("0.0031"),
            "assumptions": ("cached_audio_tokens=0",),
        },
    ),
    "overlap of nothing": (
        FLAG_OVERLAP,
        {"input": 100},
        AUDIO,
        {
            "amount": Decimal("0.0002"),
            "low": Decimal("0.0002"),
            "high": Decimal("0.0002"),
            "assumptions": ("cached_audio_tokens=0",),
        },
    ),
    "overlap whose price nobody knows": (
        FLAG_OVERLAP,
        {"input": 100, "input_audio": 300, "cache_read": 200},
        AUDIO.replace("cache_read_audio = 4\n", ""),
        {"amount": Decimal("0.0034"), "assumptions": ("cached_audio_tokens=0",)},
    ),
    "details cut": (
        FLAG_INCONSISTENT,
        {"input": 100},
        AUDIO,
        {"amount": Decimal("0.0002"), "assumptions": ("details=cut to their total",)},
    ),
    "another total": (
        FLAG_TOTAL_MISMATCH,
        {"input": 100},
        AUDIO,
        {"amount": Decimal("0.0002"), "assumptions": ("total=input+output",)},
    ),
    "incomplete": (
        FLAG_INCOMPLETE,
        {"input": 100},
        AUDIO,
        {
            "status": QuoteStatus.PARTIAL,
            "amount": Decimal("0.0002"),
            "reason": "the provider bills more than it reported for this call",
        },
    ),
    "fees of tools": (
        FLAG_TOOL_FEES,
        {"input": 100, "web_search": 1, "my_tool": 2},
        AUDIO,
        {
            "status": QuoteStatus.PARTIAL,
            "amount": Decimal("0.0002"),
            "reason": (
                "no rate for web_search, my_tool of model 'm'; the provider's own tools are billed beside the tokens, "
                "and their fees are not known here"
            ),
        },
    ),
}


@pytest.mark.parametrize(("flag", "buckets", "rates", "expected"), FLAGS.values(), ids=FLAGS)
def test_what_is_known_of_a_usage_bounds_its_price(
    own: Written, flag: str, buckets: dict[str, int], rates: str, expected: dict[str, Any]
) -> None:
    quote = quoted(own(rates), buckets, flag)
    assert {
        "status": quote.status,
        "amount": quote.amount,
        "low": quote.low,
        "high": quote.high,
        "reason": quote.reason,
        "assumptions": quote.assumptions,
    } == {
        "status": QuoteStatus.ESTIMATED,
        "low": None,
        "high": None,
        "reason": None,
        "assumptions": (),
        **expected,
    }


def test_a_usage_none_of_which_has_a_price_has_no_amount(own: Written) -> None:
    catalog = own(AUDIO + 'assume = "power"\n')
    unpriced = quoted(catalog, {"web_search": 1})
    assert (unpriced.status, unpriced.amount, unpriced.lines) == (QuoteStatus.PARTIAL, None, ())
    assert unpriced.reason == "no rate for web_search of model 'm'"
    empty = quoted(catalog, {})
    assert (empty.status, empty.amount, empty.low, empty.high) == (QuoteStatus.ESTIMATED, None, None, None)
    assert (empty.reason, empty.assumptions) == ("no unit that has a price was reported", ("power",))


def test_a_request_is_charged_once_whether_counted_or_not(own: Written) -> None:
    catalog = own('[[rate]]\nprovider = "acme"\nmodel = "m"\ninput = 1\nrequest = 0.5\n')
    for buckets in ({"input": 2}, {"input": 2, "request": 1}):
        quote = quoted(catalog, buckets)
        assert (quote.status, quote.amount) == (QuoteStatus.EXACT, Decimal("0.500002"))
        assert quote.lines == (line("input", 2, "1"), line("request", 1, "0.5", 1))
    guessed = own(
        '[[rate]]\nprovider = "acme"\nmodel = "m"\ninput = 1\n'
        'request = { price = 0.5, low = 0.25, high = 1, assume = "request=0.5" }\n'
    )
    quote = quoted(guessed, {"input": 2})
    assert (quote.status, quote.low, quote.amount, quote.high) == (
        QuoteStatus.ESTIMATED,
        Decimal("0.250002"),
        Decimal("0.500002"),
        Decimal("1.000002"),
    )


def test_rates_for_other_times_only_price_nothing(own: Written) -> None:
    catalog = own('[[rate]]\nprovider = "acme"\nmodel = "m"\nhours = ["22:00-23:00"]\ninput = 1\nsource = "page"\n')
    quote = quoted(catalog, {"input": 2})
    assert (quote.status, quote.amount, quote.reason) == (
        QuoteStatus.PARTIAL,
        None,
        "rates.toml has rates of model 'm' for other times only; no rate for input of model 'm'",
    )
    assert (basis_of(quote).source, basis_of(quote).model) == ("page", "m")
    assert quoted(catalog, {"input": 2}, at=APRIL.replace(hour=22)).amount == Decimal("0.000002")


def test_an_alias_says_where_it_leads_and_what_it_used(changed: Written) -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"
    catalog = changed(
        f'[[alias]]\nprovider = "bedrock"\nmodel = "{arn}"\nsource = "page"\nwhen = {{ speed = "fast" }}\n'
        'priced_as = { provider = "acme", model = "m" }\n'
        '[[adjust]]\nprovider = "acme"\nmodel = "m"\nfactor = 2\n'
    )
    quote = quoted(catalog, TEN, provider="bedrock", model=arn, speed="fast", region="us-east-1")
    basis = basis_of(quote)
    assert quote.amount == 2 * COST_OF_TEN
    assert basis.adjustments == (f"{arn} is priced as acme m by mine.toml (page)", "mine.toml: x 2")
    assert (basis.provider, basis.model) == ("acme", "m")
    assert basis.context_used["speed"] == "fast"
    slow = quoted(catalog, TEN, provider="bedrock", model=arn, region="us-east-1")
    assert slow.status is QuoteStatus.UNPRICED


FLEX = """
[[rate]]
provider = "acme"
model = "m"
input = 4
cache_write = 6

[[rate]]
provider = "acme"
model = "m"
service_tier = "flex"
input = 2
cache_write = 3
"""


def test_a_tier_that_was_asked_for_and_not_confirmed_is_an_estimate_between_both(own: Written) -> None:
    catalog = own(FLEX)
    asked = quoted(catalog, {"input": 1000}, requested_service_tier="flex")
    assert (asked.status, asked.low, asked.amount, asked.high, asked.assumptions) == (
        QuoteStatus.ESTIMATED,
        Decimal("0.002"),
        Decimal("0.002"),
        Decimal("0.004"),
        ("service_tier=flex, as requested",),
    )
    for settled in ("auto", "default", "standard"):
        assert quoted(catalog, {"input": 1000}, requested_service_tier=settled).status is QuoteStatus.EXACT
    served = quoted(catalog, {"input": 1000}, tier="default", requested_service_tier="flex")
    assert (served.status, served.amount) == (QuoteStatus.EXACT, Decimal("0.004"))
    unknown = quoted(catalog, {"input": 1000}, requested_service_tier="priority")
    assert (unknown.status, unknown.low, unknown.high) == (QuoteStatus.PARTIAL, None, None)
    assert unknown.assumptions == ("service_tier=priority, as requested",)
    nobody = quoted(catalog, {"input": 1}, model="x", requested_service_tier="flex")
    assert (nobody.status, nobody.assumptions) == (QuoteStatus.UNPRICED, ())
    hit = quoted(catalog, {}, FLAG_CACHE_HIT, requested_service_tier="flex")
    assert (hit.status, hit.assumptions) == (QuoteStatus.NOT_BILLED, ())
    guess = quoted(catalog, {"input": 1000}, FLAG_TOTAL_MISMATCH, requested_service_tier="flex")
    assert (guess.status, guess.low, guess.high) == (QuoteStatus.ESTIMATED, None, None)
    assert guess.assumptions == ("total=input+output", "service_tier=flex, as requested")


def test_a_time_to_live_that_nobody_sells_is_partial(own: Written) -> None:
    catalog = own(FLEX)
    odd = quoted(catalog, {"cache_write": 1000}, cache_ttl="24h")
    assert (odd.status, odd.amount, odd.low, odd.high, odd.reason) == (
        QuoteStatus.PARTIAL,
        Decimal("0.006"),
        None,
        None,
        "no rate of its own is known for cache_ttl=24h",
    )
    both = quoted(catalog, {"cache_write": 1000}, cache_ttl="24h", speed="fast")
    assert both.reason == (
        "no rate of its own is known for speed=fast of model 'm' at that time; "
        "no rate of its own is known for cache_ttl=24h"
    )
    assert quoted(catalog, {"input": 1}, cache_ttl="24h").status is QuoteStatus.EXACT
    assert quoted(catalog, {"cache_write": 1}, model="x", cache_ttl="24h").status is QuoteStatus.UNPRICED
    known = quoted(catalog, {"cache_write": 1000, "cache_write_5m": 1}, cache_ttl="5m")
    assert known.reason == "no rate for cache_write_5m of model 'm'"


def test_an_amount_that_the_provider_names_stands_before_what_is_computed(own: Written) -> None:
    catalog = own(CONTRACT.replace("effective_until = 2026-03-31\n", ""))
    quote = quoted(catalog, {"output": 10}, model="m-1", tier="flex", provider_reported={"cost": "0.5"})
    assert (quote.status, quote.amount, quote.currency) == (QuoteStatus.PROVIDER_REPORTED, Decimal("0.5"), "USD")
    assert (quote.low, quote.high, quote.computed) == (None, None, Decimal("0.00104"))
    assert quote.lines == (line("output", 10, "4"), line("request", 1, "0.001", 1))
    unpriced = quoted(catalog, {"output": 10}, model="x", provider_reported={"cost": "0.5"})
    assert (unpriced.status, unpriced.amount, unpriced.computed) == (
        QuoteStatus.PROVIDER_REPORTED,
        Decimal("0.5"),
        None,
    )
    hit = quoted(catalog, {}, FLAG_CACHE_HIT, provider_reported={"cost": "0.5"})
    assert (hit.status, hit.amount) == (QuoteStatus.NOT_BILLED, Decimal(0))


def test_what_cannot_be_priced_says_why_in_one_sentence(own: Written) -> None:
    catalog = own(FLEX)

    def why(**call: Any) -> tuple[QuoteStatus, str | None, Decimal | None]:
        quote = catalog.quote(**{"provider": "acme", "model": "m", "usage": Usage(buckets={}), "at": APRIL, **call})
        return quote.status, quote.reason, quote.amount

    unpriced = QuoteStatus.UNPRICED
    assert why(usage=None) == (QuoteStatus.USAGE_MISSING, "no usage was reported for this call", None)
    assert why(usage=None, context={"cache_ttl": "24h"})[0] is QuoteStatus.USAGE_MISSING
    assert why(usage=Usage(buckets={}, problem="odd")) == (QuoteStatus.INVALID_USAGE, "odd", None)
    assert why(usage=Usage(buckets={}, problem="odd"), context={"tool_calls": {"t": 1}})[1] == "odd"
    assert why(provider=None) == (unpriced, "the provider of this call is not known", None)
    assert why(provider="") == (unpriced, "the provider of this call is not known", None)
    assert why(model=None) == (unpriced, "the model of this call is not known", None)
    assert why(model="x") == (
        unpriced,
        "no price for model 'x' (provider 'acme') on 2026-04-01; add it to your rates file",
        None,
    )
    assert why(usage=Usage(buckets={}, flags=(FLAG_CACHE_HIT,))) == (
        QuoteStatus.NOT_BILLED,
        "LangChain answered from its own cache; no call was made",
        Decimal(0),
    )
    assert why(provider="openai-codex", model="x") == (
        unpriced,
        "calls through a Codex subscription are not billed at the API's prices; add yours to your own rates",
        None,
    )
    assert why(model="x", context={"base_url": "https://user@llm.example:8/v1"}) == (
        unpriced,
        "nobody is known to bill calls to llm.example at published prices; add its price to your own rates",
        None,
    )
    assert why(model="x", context={"base_url": "http://[::1"})[1] == (
        "nobody is known to bill calls to the base URL at published prices; add its price to your own rates"
    )


def test_a_moment_without_a_time_zone_is_refused_and_none_is_now(own: Written, tmp_path: Path) -> None:
    catalog = own(FLEX)
    with pytest.raises(InvalidValue) as refused:
        quoted(catalog, {"input": 1}, at=datetime(2026, 4, 1))  # noqa: DTZ001 - that is what is refused
    assert str(refused.value).startswith("at: ")
    (tmp_path / "dated.toml").write_text(FLEX + "effective_from = 2026-04-01\n")
    dated = RateFile.own(tmp_path / "dated.toml")
    usage = Usage(buckets={"input": 1})

    def on(moment: datetime) -> QuoteStatus:
        clocked = Catalog(dated, clock=lambda: moment)
        return clocked.quote(provider="acme", model="m", usage=usage, service_tier="flex").status

    assert on(APRIL) is QuoteStatus.EXACT
    assert on(datetime(2026, 3, 31, tzinfo=UTC)) is not QuoteStatus.EXACT


def test_a_file_of_rates_says_how_many_rows_it_has_and_how_new_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rates.toml"
    path.write_text(
        CONTRACT + adjust("factor = 2\nchecked_on = 2026-02-15") + '[[alias]]\nprovider = "a"\nmodel = "b"\n'
        'effective_from = 2026-05-01\npriced_as = { model = "m" }\n'
    )
    rates = RateFile.own(path)
    assert (rates.rows, rates.name, rates.version) == (3, "rates.toml", "rates.toml")
    newest = {day: rates.newest(date.fromisoformat(day)) for day in ("2026-12-31", "2026-04-30", "2026-02-14")}
    assert newest == {
        "2026-12-31": date(2026, 5, 1),
        "2026-04-30": date(2026, 2, 15),
        "2026-02-14": date(2026, 2, 1),
    }
    assert (rates.newest(date(2026, 1, 1)), rates.newest(date(2025, 12, 31))) == (date(2026, 1, 1), None)
    overlay = RateFile.overlay()
    assert (overlay.name, overlay.rows > 10) == ("overlay", True)
