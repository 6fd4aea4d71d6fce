"""What a rates file says, row by row: every key, in every form it may take, read as it is written."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import pytest

from costtrace.errors import InvalidRates
from costtrace.pricing.rate_parser import RateRows, parse_rates
from costtrace.pricing.rate_rows import AdjustRow, AliasRow, Change, RateRow, Scope, Window
from costtrace.pricing.rate_table import Table
from costtrace.pricing.sheet import Band, Rate

WORDS: Final = {"bedrock": "aws"}
NEVER_BEFORE, NEVER_AFTER = date.min, date.max

WHOLE = b"""\
version = "7"

[[rate]]
provider = "bedrock"
model = ["m", "n-*"]
name = "nights"
source = "contract of March"
checked_on = 2026-02-01
effective_from = 2026-03-01
effective_until = 2026-12-31
when = { region = ["us", "eu-*"], speed = "fast" }
service_tier = "flex"
hours = ["22:00-06:30", "00:00-24:00"]
days = ["mon", "sun"]
except_on = ["2026-10-01..2026-10-03", "2026-12-25"]
utc_offset = "-03:30"
input = 2.50
output = { price = 10, low = 8, high = "32/3", assume = "output=10" }
code_execution = 50
web_search = 10
file_search = { price = 3, once = true }
request = 0.001
per_call = { my_tool = 0.02, other_tool = { price = 1, once = false } }
currency = "EUR"
assume = "power=0.30 a kWh"
partial = "seats are billed too"
[[rate.band]]
above = 1000
input = 5
[[rate.band]]
above = 2_000
cache_read = 1
per_call = { my_tool = 0.03 }

[[adjust]]
provider = "openai"
model = "*"
name = "framework contract"
source = "page"
discount = "12.5%"
buckets = ["web_search", "tokens"]
low = "10/11"
high = 1.1
assume = "rebate=12.5%"
above = 0
cache_read = 0.2
cache_write_12h = { of = "cache_write", times = "2.5", low = 1, high = 4, assume = "twice" }
afterwards = { input = { times = 1.25 }, output = 3 }
partial = "rebates follow"

[[adjust]]
provider = "openai"
model = "m"
factor = "0.9"
afterwards = "list"

[[adjust]]
provider = "openai"
model = "n"
assume = "nobody knows"

[[adjust]]
provider = "openai"
model = "o"
partial = "seats"

[[alias]]
provider = "azure"
model = "my-deployment"
priced_as = { model = "gpt-4o" }

[[alias]]
provider = "azure"
model = "other"
priced_as = { provider = "bedrock", model = "nova" }
"""


def read(content: bytes, *, sourced: bool = False) -> RateRows:
    return parse_rates(content, "my.toml", provider_id=lambda word: WORDS.get(word, word), sourced=sourced)


def scope(line: int, provider: str, model: str, **changes: Any) -> Scope:
    known: dict[str, Any] = {
        "line": line,
        "provider": WORDS.get(provider, provider),
        "written_provider": provider,
        "model": model,
        "when": {},
        "window": Window(),
        "utc_offset": timedelta(),
        "effective_from": NEVER_BEFORE,
        "effective_until": NEVER_AFTER,
    }
    return Scope(**{**known, **changes})


def test_every_key_of_a_rate_is_read_as_it_is_written() -> None:
    def rate(price: str, per: int, **more: Any) -> Rate:
        return Rate(price=Decimal(price), per=per, source="contract of March", **more)

    million = 1_000_000
    first = {
        "input": rate("2.50", million),
        "output": rate(
            "10", million, assumption="output=10", low=Decimal(8), high=Decimal("10.66666666666666666666666667")
        ),
        "code_execution": rate("50", 1000),
        "web_search": rate("10", 1000),
        "file_search": rate("3", 1000, once=True),
        "request": rate("0.001", 1),
        "my_tool": rate("0.02", 1),
        "other_tool": rate("1", 1),
    }
    second = {**first, "input": rate("5", million)}
    third = {**second, "cache_read": rate("1", million), "my_tool": rate("0.03", 1)}
    rows = [
        RateRow(
            scope=scope(
                3,
                "bedrock",
                model,
                when={"region": ("us", "eu-*"), "speed": ("fast",), "service_tier": ("flex",)},
                window=Window(
                    hours=((1320, 390), (0, 1440)),
                    days=frozenset({0, 6}),
                    except_on=frozenset({date(2026, 10, 1), date(2026, 10, 2), date(2026, 10, 3), date(2026, 12, 25)}),
                ),
                utc_offset=-timedelta(hours=3, minutes=30),
                effective_from=date(2026, 3, 1),
                effective_until=date(2026, 12, 31),
                name="nights",
                source="contract of March",
                checked_on=date(2026, 2, 1),
            ),
            bands=(Band(above=-1, rates=first), Band(above=1000, rates=second), Band(above=2000, rates=third)),
            currency="EUR",
            assume="power=0.30 a kWh",
            partial="seats are billed too",
        )
        for model in ("m", "n-*")
    ]
    assert read(WHOLE).rates == tuple(rows)


def test_every_key_of_an_adjustment_is_read_as_it_is_written() -> None:
    tokens = {
        "input", "input_audio", "input_image", "input_video", "cache_read", "cache_read_audio", "cache_write",
        "cache_write_5m", "cache_write_1h", "cache_write_12h", "output", "output_audio", "output_image",
    }  # fmt: skip
    million = 1_000_000
    plain: dict[str, Any] = {
        "factor": None,
        "buckets": frozenset(),
        "changes": {},
        "above": -1,
        "afterwards": None,
        "partial": None,
    }
    assert read(WHOLE).adjusts == (
        AdjustRow(
            scope=scope(35, "openai", "*", name="framework contract", source="page"),
            factor=Change(times=Decimal("0.875"), low=Fraction(10, 11), high=Fraction(11, 10), assume="rebate=12.5%"),
            buckets=frozenset({*tokens, "web_search"}),
            changes={
                "cache_read": Change(price=Decimal("0.2"), per=million),
                "cache_write_12h": Change(
                    per=million,
                    of="cache_write",
                    times=Decimal("2.5"),
                    low=Fraction(1),
                    high=Fraction(4),
                    assume="twice",
                ),
            },
            above=0,
            afterwards={
                "input": Change(per=million, times=Decimal("1.25")),
                "output": Change(price=Decimal(3), per=million),
            },
            partial="rebates follow",
        ),
        AdjustRow(
            scope=scope(51, "openai", "m"), **{**plain, "factor": Change(times=Decimal("0.9")), "afterwards": {}}
        ),
        AdjustRow(scope=scope(57, "openai", "n"), **{**plain, "factor": Change(assume="nobody knows")}),
        AdjustRow(scope=scope(62, "openai", "o"), **{**plain, "partial": "seats"}),
    )


def test_an_alias_and_the_file_itself_are_read_as_they_are_written() -> None:
    rows = read(WHOLE)
    assert rows.aliases == (
        AliasRow(scope=scope(67, "azure", "my-deployment"), provider="azure", model="gpt-4o"),
        AliasRow(scope=scope(72, "azure", "other"), provider="bedrock", model="nova"),
    )
    assert (rows.version, rows.data_hash) == ("7", hashlib.sha256(WHOLE).hexdigest()[:16])


def test_a_rate_that_names_no_source_is_that_of_its_table_in_dollars() -> None:
    [row] = read(b'[[rate]]\nprovider = "a"\nmodel = "m"\ninput = 0\n').rates
    assert row == RateRow(
        scope=scope(1, "a", "m"),
        bands=(Band(above=-1, rates={"input": Rate(price=Decimal(0), per=1_000_000, source="[[rate]]")}),),
        currency="USD",
        assume=None,
        partial=None,
    )


ROW: Final = '[[{kind}]]\nprovider = "a"\nmodel = "m"\n{text}\n'
SOURCED: Final = 'source = "https://a.example"\nchecked_on = 2026-01-01\neffective_from = 2026-01-01\n'
ALL_BUCKETS: Final = (
    "cache_read, cache_read_audio, cache_write, cache_write_12h, cache_write_1h, cache_write_5m, code_execution, "
    "file_search, input, input_audio, input_image, input_video, output, output_audio, output_image, request, web_search"
)
REFUSALS: Final = {
    # what is written: what is said of it, whole
    "rate|": "line 1: input is missing: name a price for at least one usage bucket",
    "rate|input = { price = 1, of = 'output' }": "line 4: price cannot stand beside times or of",
    "rate|input = { of = 'output' }": "line 4: input must name a price",
    "rate|input = { price = 1, x = 2 }": (
        "line 4: x is not a known key of [[rate.input]]; known are assume, high, low, of, once, price, times"
    ),
    "rate|input = { price = 1, once = 1 }": "line 4: once must be true or false, got 1",
    "rate|input = { price = 1, low = -1 }": "line 4: low must be zero or more, such as 1.1 or '10/11', got -1",
    "rate|input = { price = 1, high = '-1/2' }": (
        "line 4: high must be zero or more, such as 1.1 or '10/11', got '-1/2'"
    ),
    "rate|input = 1\nband = 1": "line 5: band must be [[band]] tables, got 1",
    "rate|input = 1\nband = [{ above = -1 }]": "line 5: above must be a whole number of tokens, got -1",
    "rate|input = 1\nband = [{ input = 1 }]": "line 5: above must be there, and higher than in the band before",
    "rate|input = 1\nper_call = 1": "line 5: per_call must be a table, got 1",
    "rate|input = 1\nper_call = { input = 1 }": (
        "line 5: input must be the name of a tool, made of letters, digits and underscores"
    ),
    "rate|input = 1\nhours = ['12:60-13:00']": (
        "line 5: hours must be times such as ['09:00-12:00', '14:00-18:00'], got ['12:60-13:00']"
    ),
    "rate|input = 1\nhours = ['12:00-24:01']": (
        "line 5: hours must be times such as ['09:00-12:00', '14:00-18:00'], got ['12:00-24:01']"
    ),
    "rate|input = 1\ndays = ['Mon']": "line 5: days must be among mon, tue, wed, thu, fri, sat, sun, got ['Mon']",
    "rate|input = 1\nutc_offset = '+14:01'": (
        "line 5: utc_offset must be an offset from UTC such as '+08:00', got '+14:01'"
    ),
    "rate|input = 1\nutc_offset = '+08:000'": (
        "line 5: utc_offset must be an offset from UTC such as '+08:00', got '+08:000'"
    ),
    "rate|input = 1\nutc_offset = '08:00'": (
        "line 5: utc_offset must be an offset from UTC such as '+08:00', got '08:00'"
    ),
    "rate|input = 1\nexcept_on = ['2026-01-01..2027-01-02']": (
        "line 5: except_on must be dates or ranges of dates such as ['2026-10-01..2026-10-07', '2026-12-25'], "
        "got ['2026-01-01..2027-01-02']"
    ),
    "rate|input = 1\neffective_until = 'soon'": "line 5: effective_until must be a date such as 2026-03-01, got 'soon'",
    "rate|input = 1\nchecked_on = 1": "line 5: checked_on must be a date such as 2026-03-01, got 1",
    "rate|input = 1\nassume = ''": "line 5: assume must be a text, got ''",
    "rate|input = 1\npartial = 1": "line 5: partial must be a text, got 1",
    "rate|input = 1\nname = 1": "line 5: name must be a text, got 1",
    "rate|input = 1\nwhen = { region = [''] }": "line 5: region must be a text or a list of texts, got ['']",
    "rate|input = 1\ncurrency = 'usd'": "line 5: currency must be an ISO 4217 code such as 'USD', got 'usd'",
    "adjust|": "line 1: factor is missing: name a factor, a discount or a price",
    "adjust|factor = true": "line 4: factor must be a factor such as 1.1, got True",
    "adjust|discount = '100.1%'": "line 4: discount must be a discount such as '15%', of at most 100%, got '100.1%'",
    "adjust|discount = '15'": "line 4: discount must be a discount such as '15%', of at most 100%, got '15'",
    "adjust|factor = 1\nhigh = 2": "line 1: assume is missing: say what the bounds leave open",
    "adjust|factor = 1\nabove = 1.5": "line 5: above must be a whole number of tokens, got Decimal('1.5')",
    "adjust|factor = 1\nbuckets = ['words']": (
        f"line 5: buckets must be among tokens, {ALL_BUCKETS}, got 'words'"
    ),
    "adjust|input = { of = 'words' }": f"line 4: of must be a bucket: {ALL_BUCKETS}",
    "adjust|factor = 1\nafterwards = 'never'": "line 5: afterwards must be 'list' or a table of prices",
    "adjust|factor = 1\nafterwards = { factor = 1 }": (
        "line 5: factor is not a known key of [[adjust.afterwards]]; known are "
        + ALL_BUCKETS.replace("output_image, request", "output_image, per_call, request")
    ),
    "alias|": "line 1: priced_as is missing from this [[alias]]",
    "alias|priced_as = { model = 'x', tier = 'y' }": (
        "line 4: tier is not a known key of [[alias.priced_as]]; known are model, provider"
    ),
    "alias|priced_as = { provider = 'x' }": "line 4: model is missing from this [[alias.priced_as]]",
    "alias|input = 1": (
        "line 4: input is not a known key of [[alias]]; known are checked_on, days, effective_from, effective_until, "
        "except_on, hours, model, name, priced_as, provider, service_tier, source, utc_offset, when"
    ),
}  # fmt: skip


@pytest.mark.parametrize(("written", "said"), REFUSALS.items())
def test_a_refusal_is_one_sentence_with_line_key_expectation_and_value(written: str, said: str) -> None:
    kind, _, text = written.partition("|")
    with pytest.raises(InvalidRates) as refused:
        read(ROW.format(kind=kind, text=text).encode())
    assert str(refused.value) == f"rates file 'my.toml', {said}"


@pytest.mark.parametrize("missing", ["source", "checked_on", "effective_from"])
def test_a_published_row_says_where_and_when_it_was_read(missing: str) -> None:
    rest = "\n".join(line for line in SOURCED.splitlines() if not line.startswith(missing))
    with pytest.raises(InvalidRates) as refused:
        read(ROW.format(kind="rate", text=f"input = 1\n{rest}").encode(), sourced=True)
    assert str(refused.value) == f"rates file 'my.toml', line 1: {missing} is missing from this [[rate]]"
    assert len(read(ROW.format(kind="rate", text=f"input = 1\n{SOURCED}").encode(), sourced=True).rates) == 1


@pytest.mark.parametrize("content", [b"", b'version = "1"\n'])
def test_a_file_without_a_row_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRates) as refused:
        read(content)
    assert str(refused.value) == "rates file 'my.toml' has no [[rate]], [[adjust]] or [[alias]] table"


TWIN = '[[{kind}]]\nprovider = "a"\nmodel = "m"\n{price}\n'


@pytest.mark.parametrize(
    "apart",
    [
        'provider = "b"', 'model = "n"', 'when = { region = "eu" }', 'hours = ["09:00-10:00"]', 'utc_offset = "+01:00"',
        "effective_from = 2026-01-01", 'name = "n"',
    ],
)  # fmt: skip
def test_two_rows_are_told_apart_by_each_thing_that_says_when_they_hold(apart: str) -> None:
    key = apart.partition(" ")[0]
    row = '[[rate]]\nprovider = "a"\nmodel = "m"\ninput = 1\n'
    other = "\n".join(line for line in row.splitlines() if not line.startswith(key)) + f"\n{apart}\n"
    assert len(read((row + other).encode()).rates) == 2
    with pytest.raises(InvalidRates) as refused:
        read((row + row + 'source = "another"\n').encode())
    assert str(refused.value) == ("rates file 'my.toml', line 5: says the same calls as line 1: one of the two must go")


def test_adjustments_are_told_apart_by_the_length_they_start_at_and_from_other_kinds_of_rows() -> None:
    row = '[[adjust]]\nprovider = "a"\nmodel = "m"\nfactor = 2\n'
    kinds = row + row.replace("[[adjust]]", "[[rate]]").replace("factor", "input")
    rows = read((kinds + row + "above = 5\n").encode())
    assert (len(rows.rates), [each.above for each in rows.adjusts]) == (1, [-1, 5])


@pytest.mark.parametrize(("text", "offset"), [("+08:00", 480), ("-03:30", -210), ("+14:00", 840), ("-14:00", -840)])
def test_a_clock_is_ahead_of_utc_by_hours_and_minutes(text: str, offset: int) -> None:
    assert Table({"utc_offset": text}, (), {}, "f").offset("utc_offset") == timedelta(minutes=offset)


def test_what_is_not_there_is_nothing() -> None:
    table = Table({}, ("rate", 0), {(): 1, ("rate", 0): 9}, "f")
    assert (table.text("x"), table.day("x"), table.count("x"), table.price("x"), table.bound("x")) == (None,) * 5
    assert (table.flag("x"), table.texts("x"), table.hours("x"), table.weekdays("x"), table.dates("x")) == (
        False, (), (), frozenset(), frozenset(),
    )  # fmt: skip
    assert (table.offset("x"), table.sub("x"), list(table.array("x"))) == (timedelta(), None, [])
    assert (table.line, table.line_of("x"), Table({}, (), {}, "f").line_of("x")) == (9, 9, 1)
