"""A rates file that is wrong is refused with the file, the line, the key and the value; and nothing else is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.errors import ConfigurationError, InvalidRates
from costtrace.pricing.rate_file import RateFile
from costtrace.pricing.toml_lines import locate

ROW = 'provider = "openai"\nmodel = "gpt-4o"\n'


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "rates.toml"
        path.write_text(text)
        return path

    return write


def refusal_of(path: Path) -> str:
    with pytest.raises(InvalidRates) as refusal:
        RateFile.own(path)
    assert isinstance(refusal.value, ConfigurationError)
    start = f"rates file {str(path)!r}, "
    text = str(refusal.value)
    assert text.startswith(start)
    return text.removeprefix(start)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW + "inptu = 1", "line 9: inptu is not a known key of [[rate]]; known are assume, band,"),
        (ROW + 'input = "2.50"', "line 9: input must be a price of zero or more, got '2.50'"),
        (ROW + "input = -1", "line 9: input must be a price of zero or more, got -1"),
        (ROW + "input = nan", "line 9: input must be a price of zero or more, got Decimal('NaN')"),
        (ROW + "input = inf", "line 9: input must be a price of zero or more, got Decimal('Infinity')"),
        (ROW + "input = true", "line 9: input must be a price of zero or more, got True"),
        (ROW + "input = 1e999", "line 9: input must be a price of zero or more"),
        (ROW + "input = 1e-99", "line 9: input must be a price of zero or more"),
        (ROW + "input = [1]", "line 9: input must be a price of zero or more, got [1]"),
        (ROW, "line 6: input is missing: name a price for at least one usage bucket"),
        ('provider = "openai"\ninput = 1', "line 6: model is missing from this [[rate]]"),
        ('model = "gpt-4o"\ninput = 1', "line 6: provider is missing from this [[rate]]"),
        ('provider = ""\nmodel = "x"\ninput = 1', "line 7: provider must be a text, got ''"),
        ('provider = "openai"\nmodel = 4\ninput = 1', "line 8: model must be a text or a list of texts, got 4"),
        ('provider = "openai"\nmodel = "a*b"\ninput = 1', "line 8: model may have a * at its end only, got 'a*b'"),
        (ROW + 'input = 1\neffective_from = "2026-03-01"', "line 10: effective_from must be a date such as 2026-03-01"),
        (ROW + "input = 1\neffective_from = 2026-03-01T00:00:00Z", "line 10: effective_from must be a date such as"),
        (
            ROW + "input = 1\neffective_from = 2026-03-01\neffective_until = 2026-02-28",
            "line 11: effective_until must not be before effective_from, got 2026-02-28",
        ),
        (ROW + "input = 1\nservice_tier = 1", "line 10: service_tier must be a text, got 1"),
        (ROW + "input = 1\nsource = []", "line 10: source must be a text, got []"),
        (ROW + "input = 1\ncurrency = 'Euro'", "line 10: currency must be an ISO 4217 code such as 'USD', got 'Euro'"),
        (ROW + "input = 1\nwhen = 'eu'", "line 10: when must be a table, got 'eu'"),
        (ROW + "input = 1\nwhen = { region = 1 }", "line 10: region must be a text or a list of texts, got 1"),
        (ROW + "input = 1\n[rate.when]\n\nregion = 1", "line 12: region must be a text or a list of texts, got 1"),
        (ROW + "input = 1\nhours = ['9-12']", "line 10: hours must be times such as ['09:00-12:00', '14:00-18:00']"),
        (ROW + "input = 1\nhours = ['09:00-25:00']", "line 10: hours must be times such as"),
        (ROW + "input = 1\nhours = []", "line 10: hours must be times such as"),
        (ROW + "input = 1\ndays = ['monday']", "line 10: days must be among mon, tue, wed, thu, fri, sat, sun"),
        (ROW + "input = 1\nutc_offset = 'Asia/Shanghai'", "line 10: utc_offset must be an offset from UTC such as"),
        (ROW + "input = 1\nutc_offset = ''", "line 10: utc_offset must be an offset from UTC such as"),
        (ROW + "input = 1\nexcept_on = ['2026-10-07..2026-10-01']", "line 10: except_on must be dates or ranges"),
        (ROW + "input = { price = 1, times = 2 }", "line 9: price cannot stand beside times or of"),
        (ROW + "input = { times = 2 }", "line 9: input must name a price"),
        (ROW + "input = { price = 1, lowest = 2 }", "line 9: lowest is not a known key"),
        (ROW + "input = 1\nper_call = { 'my tool' = 1 }", "line 10: my tool must be the name of a tool"),
        (
            ROW + "input = 1\n[[rate.band]]\ninput = 2",
            "line 10: above must be there, and higher than in the band before",
        ),
        (
            ROW + "input = 1\n[[rate.band]]\nabove = 5\ninput = 2\n[[rate.band]]\nabove = 5\ninput = 3",
            "line 14: above must be there, and higher than in the band before",
        ),
        (
            ROW + "input = 1\n[[rate.band]]\nabove = 5\noutptu = 2",
            "line 12: outptu is not a known key of [[rate.band]]",
        ),
    ],
)
def test_a_wrong_rate_is_refused_by_line_and_key(written: Callable[[str], Path], row: str, said: str) -> None:
    path = written(f'[[rate]]\nprovider = "acme"\nmodel = "a"\ninput = 1\n\n[[rate]]\n{row}\n')
    assert refusal_of(path).startswith(said)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW, "line 1: factor is missing: name a factor, a discount or a price"),
        (ROW + "factor = -1", "line 4: factor must be a factor such as 1.1, got -1"),
        (ROW + "factor = 'half'", "line 4: factor must be a factor such as 1.1, got 'half'"),
        (ROW + "discount = 15", "line 4: discount must be a discount such as '15%', of at most 100%, got 15"),
        (ROW + "discount = '101%'", "line 4: discount must be a discount such as '15%', of at most 100%"),
        (ROW + "factor = 1\ndiscount = '5%'", "line 5: discount cannot stand beside factor"),
        (ROW + "factor = 1\nlow = 0.5", "line 1: assume is missing: say what the bounds leave open"),
        (ROW + "factor = 1\nassume = 'x'\nlow = '1/0'", "line 6: low must be zero or more, such as 1.1 or '10/11'"),
        (ROW + "factor = 1\nbuckets = ['words']", "line 5: buckets must be among tokens, cache_read"),
        (ROW + "input = { of = 'words', times = 2 }", "line 4: of must be a bucket: "),
        (ROW + "factor = 1\nafterwards = 'never'", "line 5: afterwards must be 'list' or a table of prices"),
        (ROW + "factor = 1\nband = []", "line 5: band is not a known key of [[adjust]]"),
    ],
)
def test_a_wrong_adjustment_is_refused_by_line_and_key(written: Callable[[str], Path], row: str, said: str) -> None:
    assert refusal_of(written(f"[[adjust]]\n{row}\n")).startswith(said)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW, "line 1: priced_as is missing from this [[alias]]"),
        (ROW + 'priced_as = "gpt-4o"', "line 4: priced_as must be a table, got 'gpt-4o'"),
        (ROW + "priced_as = { modle = 'x' }", "line 4: modle is not a known key"),
        (ROW + "priced_as = { provider = 'x' }", "line 4: model is missing from this"),
    ],
)
def test_a_wrong_alias_is_refused_by_line_and_key(written: Callable[[str], Path], row: str, said: str) -> None:
    assert refusal_of(written(f"[[alias]]\n{row}\n")).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[rate]\nprovider = 'a'", "line 1: rate must be [[rate]] tables, got {'provider': 'a'}"),
        ("\nrate = 1", "line 2: rate must be [[rate]] tables, got 1"),
        ("rate = [1, 2]", "line 1: must be a [[rate]] table"),
        (f"[[rate]]\n{ROW}input = 1\n[other]\n", "line 5: other is not a known key"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_line(written: Callable[[str], Path], text: str, said: str) -> None:
    assert refusal_of(written(text)).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[[rate]\n", "is not TOML: "),
        (b"\xff\xfe\x00", "is not TOML: "),
        (b"", "has no [[rate]], [[adjust]] or [[alias]] table"),
    ],
)
def test_a_file_that_holds_no_rates_is_refused_by_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "rates.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidRates) as refusal:
        RateFile.own(path)
    assert str(refusal.value).startswith(f"rates file {str(path)!r} {said}")


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InvalidRates, match="cannot be read: " + why):
            RateFile.own(path)


def test_two_rows_about_the_same_calls_are_refused_with_both_lines(written: Callable[[str], Path]) -> None:
    row = f"[[rate]]\n{ROW}input = 1\nwhen = {{ region = 'eu' }}\n"
    assert refusal_of(written(row + row)) == "line 6: says the same calls as line 1: one of the two must go"
    RateFile.own(written(row + row.replace("'eu'", "'us'") + row.replace("[[rate]]", "[[adjust]]")))


def test_a_provider_has_one_price_under_all_its_names(written: Callable[[str], Path]) -> None:
    one = '[[rate]]\nprovider = "azure"\nmodel = "m"\ninput = 1\n'
    twice = one + one.replace('"azure"', '"azure_openai"')
    assert refusal_of(written(twice)) == "line 5: says the same calls as line 1: one of the two must go"


TEXT = '''\
version = "1"

[[rate]]
provider = "a"   # [[rate]] in a comment
"model" = """
[[rate]]
input = 3
"""
when.region = "eu"

  [[rate.band]]
  above = 5
  [rate.band.input]
  price = 1
[[rate]]
[rate.when]
region = "us"
[[rate.band]]
above = 7
'''


def test_lines_are_counted_by_table_and_index() -> None:
    assert locate(TEXT) == {
        (): 1,
        ("version",): 1,
        ("rate", 0): 3,
        ("rate", 0, "provider"): 4,
        ("rate", 0, "model"): 5,
        ("rate", 0, "when"): 9,
        ("rate", 0, "band", 0): 11,
        ("rate", 0, "band", 0, "above"): 12,
        ("rate", 0, "band", 0, "input"): 13,
        ("rate", 0, "band", 0, "input", "price"): 14,
        ("rate", 1): 15,
        ("rate", 1, "when"): 16,
        ("rate", 1, "when", "region"): 17,
        ("rate", 1, "band", 0): 18,
        ("rate", 1, "band", 0, "above"): 19,
    }


def test_keys_in_quotes_and_texts_of_several_lines_have_their_lines() -> None:
    text = "'a b' = 1\n\"c\" = '''\n[x]\nd = 1\n'''\ne = \"\"\"one\"\"\"\nf.g = 2\n[x.y]\nh = 3\n"
    assert locate(text) == {
        (): 1,
        ("a b",): 1,
        ("c",): 2,
        ("e",): 6,
        ("f",): 7,
        ("x", "y"): 8,
        ("x", "y", "h"): 9,
    }


@given(st.text(max_size=300))
def test_any_text_is_located_without_an_error(text: str) -> None:
    assert locate(text)[()] == 1


VALUES = st.one_of(
    st.sampled_from(['"eu"', "1", "-1", "0.5", "nan", "[]", "{}", "true", "2026-01-01", '"*"', '["a", "b*"]', '"15%"']),
    st.sampled_from(["{ price = 1 }", "{ times = 2 }", '{ of = "input" }', "07:32:00", '["09:00-12:00"]', '"+08:00"']),
)
PLAIN_KEYS = ("provider", "model", "input", "output", "effective_from", "effective_until", "per_call", "band", "when")
OTHER_KEYS = (
    "hours",
    "days",
    "except_on",
    "utc_offset",
    "factor",
    "discount",
    "above",
    "afterwards",
    "priced_as",
    "low",
)
KEYS = st.sampled_from((*PLAIN_KEYS, *OTHER_KEYS))


@given(
    st.lists(
        st.tuples(st.sampled_from(["rate", "adjust", "alias"]), st.dictionaries(KEYS, VALUES, max_size=6)), max_size=3
    )
)
def test_whatever_is_written_is_either_read_or_refused_as_rates(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, dict[str, str]]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("".join(f"[[{kind}]]\n" + "".join(f"{k} = {v}\n" for k, v in row.items()) for kind, row in rows))
    with contextlib.suppress(InvalidRates):
        RateFile.own(path)
