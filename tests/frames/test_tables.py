"""Ledgers as data frames: the same rows from every ledger, and sums that are the ledger's own."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costtrace import frames
from costtrace.context import Context
from costtrace.entry import Entry, SpanRef, Standing
from costtrace.errors import InvalidValue
from costtrace.jsontext import encode
from costtrace.ledger import Ledger, Selection, SqliteLedger
from costtrace.ledger.parts import PAGE
from costtrace.messages import Amounts, Totals
from costtrace.money import EXACT, Money
from costtrace.quote import QuoteStatus, no_quote
from costtrace.testing import MemoryLedger
from costtrace.usage import Usage
from tests.factories import MESSAGE, NOW, make_costs, make_entry, make_quote
from tests.ledger.conftest import NewLedger
from tests.strategies import CURRENCIES, entries

FRESH_EACH = settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""The fixture makes a new ledger for each example, so it may be shared by all of them."""
AMOUNTS = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**9), 10**9),
    st.integers(-18, 0),
)
MONEY = st.builds(Money, AMOUNTS, CURRENCIES)


@st.composite
def priced(draw: st.DrawFn) -> list[Entry]:
    """Entries with costs, estimates, both or neither, some of them in the place of earlier ones."""
    made = []
    for number in range(draw(st.integers(0, 8))):
        cost, estimate = draw(st.none() | MONEY), draw(st.none() | MONEY)
        replaces = draw(st.none() | st.sampled_from([*Standing]))
        if replaces is None and cost is not None:
            estimate = None
        made.append(make_entry(number, quote=None, usage=None, cost=cost, estimate=estimate, replaces=replaces))
    return made


def sums(rows: Iterable[Mapping[str, Any]], amount: str, currency: str) -> Amounts:
    """What a column adds up to by currency, as anybody would add it up."""
    found = Amounts()
    for row in rows:
        if row[amount] is not None:
            found = found.plus({row[currency]: row[amount]})
    return found


def counts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found = Counter(row["standing"] for row in rows)
    found.subtract(row["replaces"] for row in rows)
    return {word: found[word] for word in Standing}


class TestRows:
    def test_hold_everything_there_is_to_know_of_an_entry(self, ledger: Ledger) -> None:
        usage = Usage(
            buckets={"input": 300, "cache_read": 100, "cache_write_1h": 50, "output": 200, "web_search": 2},
            reasoning_tokens=80,
        )
        entry = make_entry(
            1,
            usage=usage,
            model="gpt-4o-2024-08-06",
            context=Context(
                user_id="u1",
                thread_id="t1",
                channel="sms",
                direction="outbound",
                role="assistant",
                environment="production",
                message_type="chat",
                reply_to="m0",
                tags={"team": "a", "plan": "gold"},
            ),
            span=SpanRef(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331"),
            details={"attempt": 2},
        )
        ledger.append([entry])

        table = frames.to_arrow(ledger)

        assert table.column_names == list(frames.COLUMNS)
        [row] = table.to_pylist()
        assert row.pop("seq") > 0
        assert row == {
            "entry_id": "llm/run-1/1",
            "message_uuid": MESSAGE,
            "kind": "llm",
            "status": "completed",
            "occurred_at": NOW + timedelta(seconds=1),
            "recorded_at": NOW + timedelta(seconds=1, milliseconds=5),
            "duration_us": 5000,
            "provider": "openai",
            "model": "gpt-4o-2024-08-06",
            "requested_model": "gpt-4o",
            "source_id": "run-1",
            "cost": Decimal("0.003125"),
            "currency": "USD",
            "estimate": None,
            "estimate_currency": None,
            "standing": "calculated",
            "replaces": None,
            "corrects": None,
            "cost_status": "exact",
            "reason": None,
            "input_tokens": 450,
            "output_tokens": 200,
            "cache_read_tokens": 100,
            "cache_write_tokens": 50,
            "reasoning_tokens": 80,
            "usage": [*usage.buckets.items()],
            "user_id": "u1",
            "thread_id": "t1",
            "channel": "sms",
            "direction": "outbound",
            "role": "assistant",
            "environment": "production",
            "message_type": "chat",
            "reply_to": "m0",
            "tags": [("team", "a"), ("plan", "gold")],
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "span_id": "b7ad6b7169203331",
            "error": None,
            "details": '{"attempt":2}',
        }

    def test_leave_empty_what_is_not_known_rather_than_zero(self, ledger: Ledger) -> None:
        reason = "no price for model 'own-1' (provider 'openai') on 2026-01-20"
        unpriced = no_quote(QuoteStatus.UNPRICED, reason)
        ledger.append([make_entry(1, usage=None, quote=unpriced, cost=None, duration_us=None, context=Context())])

        [row] = frames.to_arrow(ledger).to_pylist()

        known = {name for name, value in row.items() if value is not None}
        assert known == {
            *("seq", "entry_id", "message_uuid", "kind", "status", "occurred_at", "recorded_at"),
            *("provider", "model", "requested_model", "source_id", "standing", "cost_status", "reason"),
        }
        assert row["reason"] == reason

    def test_of_an_entry_that_replaces_another_name_it_and_hold_the_difference(self, ledger: Ledger) -> None:
        expected = make_costs(estimate="0.0079", number=1, kind="sms", entry_id="sms/SM1")
        price = make_costs(
            "0.0083",
            number=2,
            estimate="-0.0079",
            kind="sms-price",
            entry_id="sms-price/SM1/1",
            replaces="pending",
            details={"corrects": "sms/SM1"},
        )
        ledger.append([expected, price])

        rows = frames.to_arrow(ledger, columns=["corrects", "cost", "estimate", "replaces"]).to_pylist()

        assert rows == [
            {"corrects": None, "cost": None, "estimate": Decimal("0.0079"), "replaces": None},
            {
                "corrects": "sms/SM1",
                "cost": Decimal("0.0083"),
                "estimate": Decimal("-0.0079"),
                "replaces": "pending",
            },
        ]

    @pytest.mark.parametrize("stray", [5, True, ["sms/SM1"], {"a": 1}])
    def test_name_no_entry_where_an_applications_own_details_use_that_word(self, ledger: Ledger, stray: object) -> None:
        ledger.append([make_entry(1, details={"corrects": stray})])

        [row] = frames.to_arrow(ledger, columns=["corrects", "details"]).to_pylist()

        assert row == {"corrects": None, "details": encode({"corrects": stray})}

    def test_come_in_the_order_of_storage_over_any_number_of_pages(self, sqlite: SqliteLedger) -> None:
        many = 2 * PAGE + 10
        sqlite.append(make_costs("0.000001", number=many - number) for number in range(many))

        table = sqlite.to_arrow(columns=["seq", "source_id", "cost", "model", "tags"])

        assert table["seq"].to_pylist() == list(range(1, many + 1))
        assert table["source_id"].to_pylist() == [f"run-{many - number}" for number in range(many)]
        assert pc.sum(table["cost"]).as_py() == Decimal("0.000001") * many

    def test_do_not_include_what_is_stored_while_they_are_read(self, sqlite: SqliteLedger) -> None:
        sqlite.append(make_entry(number) for number in range(PAGE + 1))

        reading = sqlite.pages(["entry_id"])
        first = next(reading)
        sqlite.append([make_entry(PAGE + 1)])

        assert [len(page[0]) for page in (first, *reading)] == [PAGE, 1]

    def test_include_what_was_only_spooled(self, sqlite: SqliteLedger) -> None:
        sqlite.spool(make_entry(1))

        assert sqlite.to_arrow().num_rows == 1

    @FRESH_EACH
    @given(st.lists(entries(), max_size=5, unique_by=lambda entry: entry.entry_id))
    def test_of_any_entries_are_those_of_a_ledger_in_memory(self, sqlite: SqliteLedger, made: list[Entry]) -> None:
        before = sqlite.last_seq()
        sqlite.append(made)
        memory = MemoryLedger()
        memory.append(entry for seq, entry in sqlite.entries(after=before))
        columns = [name for name in frames.COLUMNS if name not in ("seq", "cost", "estimate", "cost_status", "reason")]

        rows = sqlite.to_arrow(columns=columns).to_pylist()

        assert rows[before:] == memory.to_arrow(columns=columns).to_pylist()


class TestAmounts:
    @FRESH_EACH
    @given(priced())
    def test_add_up_to_the_totals_of_the_ledger(self, new_ledger: NewLedger, made: list[Entry]) -> None:
        ledger = new_ledger()
        ledger.append(made)

        rows = frames.to_arrow(ledger).to_pylist()

        total = ledger.totals().get((), Totals())
        assert sums(rows, "cost", "currency") == total.actual
        assert sums(rows, "estimate", "estimate_currency").without_zeros() == total.pending
        assert counts(rows) == total.coverage

    @FRESH_EACH
    @given(priced())
    def test_add_up_to_the_same_in_arrow_pandas_and_polars(self, made: list[Entry]) -> None:
        ledger = MemoryLedger()
        ledger.append(made)
        actual = ledger.totals().get((), Totals()).actual

        in_arrow = ledger.to_arrow().group_by("currency").aggregate([("cost", "sum")]).to_pylist()
        in_pandas = ledger.to_pandas().groupby("currency", observed=True)["cost"].sum()
        in_polars = ledger.to_polars().group_by("currency").agg(pl.col("cost").sum())

        assert {row["currency"]: row["cost_sum"] for row in in_arrow if row["currency"]} == actual
        assert dict(in_pandas.items()) == actual
        assert {currency: cost for currency, cost in in_polars.rows() if currency} == actual

    @pytest.mark.parametrize("amount", ["1E-18", "-0.000000000000000001", "9999999999.999999999999999999", "0.0000"])
    def test_that_fit_38_digits_are_what_every_reader_takes(self, amount: str) -> None:
        ledger = MemoryLedger()
        ledger.append([make_costs(amount)])

        column = ledger.to_arrow()["cost"]

        assert (column.type, column.to_pylist()) == (pa.decimal128(38, 18), [Decimal(amount)])

    @pytest.mark.parametrize("amount", ["1E-19", "-1E-38", "1E+10", "-9999999999999999999999999999"])
    def test_are_wider_where_one_of_them_needs_it(self, amount: str) -> None:
        ledger = MemoryLedger()
        ledger.append([make_entry(1), make_costs(amount, number=2)])

        column = ledger.to_arrow()["cost"]

        assert (column.type, column.to_pylist()) == (pa.decimal256(76, 38), [Decimal("0.003125"), Decimal(amount)])
        assert ledger.to_pandas()["cost"].sum() == EXACT.add(Decimal("0.003125"), Decimal(amount))

    @pytest.mark.parametrize(("amount", "seen"), [("1E-39", "1E-39"), ("-1E+28", "-10000000000000000000000000000")])
    def test_are_refused_rather_than_rounded(self, ledger: Ledger, amount: str, seen: str) -> None:
        ledger.append([make_entry(1), make_costs(amount, number=2)])

        with pytest.raises(InvalidValue) as refused:
            frames.to_arrow(ledger)

        assert str(refused.value) == (
            "cost of entry 'llm/run-2/2': expected at most 38 digits after the point and 28 before it; use JSON lines,"
            f" got Decimal('{seen}')"
        )

    def test_leave_room_for_their_sum(self) -> None:
        """A sum that does not fit its digits wraps around in Arrow without a word."""
        ledger = MemoryLedger()
        ledger.append(make_costs("9999999999.999999999999999999", number=number) for number in range(100))

        assert pc.sum(ledger.to_arrow()["cost"]).as_py() == Decimal("999999999999.999999999999999900")

    def test_that_polars_cannot_hold_are_refused_by_it_alone(self) -> None:
        ledger = MemoryLedger()
        ledger.append([make_costs("1E-19")])

        with pytest.raises(InvalidValue, match=r"cost of entry 'llm/run-1/1': .* use to_arrow\(\), got Decimal"):
            ledger.to_polars()


class TestSelections:
    @pytest.fixture
    def ledger(self, new_ledger: NewLedger) -> Ledger:
        ledger = new_ledger()
        ledger.append(
            [
                make_entry(1, context=Context(user_id="u1", channel="sms", tags={"team": "a"})),
                make_entry(2, context=Context(user_id="u2", channel="web")),
                make_entry(3, context=Context(user_id="u1", channel="web")),
                make_entry(4, context=Context()),
            ]
        )
        return ledger

    @pytest.mark.parametrize(
        ("selection", "chosen"),
        [
            (Selection(since=NOW + timedelta(seconds=2)), [2, 3, 4]),
            (Selection(until=NOW + timedelta(seconds=2)), [1]),
            (Selection(since=NOW + timedelta(seconds=2), until=NOW + timedelta(seconds=4)), [2, 3]),
            (Selection(where={"user": "u1"}), [1, 3]),
            (Selection(where={"user": None}), [4]),
            (Selection(where={"user": "u1", "channel": "web"}), [3]),
            (Selection(where={"tag:team": "a"}), [1]),
            (Selection(where={"channel": "web"}, until=NOW + timedelta(seconds=3)), [2]),
            (Selection(where={"message": MESSAGE}), [1, 2, 3, 4]),
            (Selection(where={"user": "nobody"}), []),
            (Selection(since=NOW + timedelta(days=1)), []),
        ],
    )
    def test_are_those_of_reports(self, ledger: Ledger, selection: Selection, chosen: list[int]) -> None:
        table = frames.to_arrow(ledger, selection, ["source_id", "cost"])

        assert sorted(table["source_id"].to_pylist()) == [f"run-{number}" for number in chosen]
        total = ledger.totals(selection=selection).get((), Totals())
        assert sum(table["cost"].to_pylist()) == total.actual.usd

    def test_of_a_time_do_not_search_the_whole_time_again_for_every_page(self, sqlite: SqliteLedger) -> None:
        """SQLite would find all of the selection by its index, and sort it, for each page of it."""
        sqlite.append([make_entry(1)])
        plans: list[str] = []
        with sqlite._database.reading() as connection:
            connection.set_trace_callback(plans.append)
        list(sqlite.pages(["cost"], Selection(since=NOW)))
        with sqlite._database.reading() as connection:
            connection.set_trace_callback(None)
            page = next(sql for sql in plans if "ORDER BY seq LIMIT" in sql)
            steps = [step for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {page}")]

        assert steps == ["SEARCH entries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"]


class TestColumns:
    def test_are_those_asked_for_in_their_order_and_once(self) -> None:
        ledger = MemoryLedger()
        ledger.append([make_entry(1)])

        table = ledger.to_arrow(columns=["model", "cost", "model"])

        assert table.to_pylist() == [{"model": "gpt-4o", "cost": Decimal("0.003125")}]

    @pytest.mark.parametrize(
        ("columns", "sentence"),
        [
            (["cost", "price"], r"columns: expected names out of seq, entry_id, .*, details, got 'price'"),
            ("cost", r"columns: expected a list of names, such as \['cost'\], got 'cost'"),
            ([], r"columns: expected one name at least, or None for all columns, got \[\]"),
        ],
    )
    def test_that_there_are_not_are_refused(self, columns: Any, sentence: str) -> None:
        with pytest.raises(InvalidValue, match=sentence):
            MemoryLedger().to_arrow(columns=columns)

    def test_say_what_they_mean(self) -> None:
        schema = MemoryLedger().to_arrow().schema

        assert schema.metadata == {b"costtrace.schema_version": b"1"}
        assert schema.field("currency").metadata == {b"description": b"Currency of `cost`."}
        assert all(field.metadata[b"description"] for field in schema)

    def test_read_nothing_but_what_they_are_made_of(self, sqlite: SqliteLedger) -> None:
        sqlite.append([make_entry(1)])
        statements: list[str] = []
        with sqlite._database.reading() as connection:
            connection.set_trace_callback(statements.append)

        sqlite.to_arrow(columns=["currency"])

        assert [sql for sql in statements if "NOT INDEXED" in sql] == [
            "SELECT seq, cost, currency FROM entries NOT INDEXED WHERE seq > 0 AND seq <= 1  ORDER BY seq LIMIT 8192"
        ]

    def test_of_few_words_are_dictionaries_of_one_kind(self, sqlite: SqliteLedger) -> None:
        sqlite.append(make_entry(number, model=f"model-{number % 3}") for number in range(PAGE + 2))

        column = sqlite.to_arrow(columns=["model"])["model"]

        assert column.type == pa.dictionary(pa.int32(), pa.string())
        assert {chunk.dictionary.to_pylist().__repr__() for chunk in column.chunks} == {
            "['model-0', 'model-1', 'model-2']"
        }


class TestFrames:
    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        ledger = MemoryLedger()
        ledger.append([make_entry(1), make_entry(2, quote=make_quote()), make_costs(number=3, currency="EUR")])
        return ledger

    def test_of_pandas_keep_decimals_exact_and_moments_aware(self, ledger: MemoryLedger) -> None:
        frame = ledger.to_pandas()

        assert isinstance(frame, pd.DataFrame)
        assert str(frame["cost"].dtype) == "decimal128(38, 18)[pyarrow]"
        assert str(frame["occurred_at"].dtype) == "timestamp[us, tz=UTC][pyarrow]"
        assert str(frame["kind"].dtype) == "category"
        assert frame["cost"].sum() == Decimal("0.00625")
        assert frame["cost"].isna().tolist() == [False, False, True]
        assert frame["input_tokens"].sum() == 900

    def test_of_polars_keep_decimals_exact_and_moments_aware(self, ledger: MemoryLedger) -> None:
        frame = ledger.to_polars()

        assert frame.schema["cost"] == pl.Decimal(38, 18)
        assert frame.schema["occurred_at"] == pl.Datetime("us", "UTC")
        assert frame["cost"].sum() == Decimal("0.00625")
        assert frame["cost"].null_count() == 1
        assert frame.filter(pl.col("model") == "gpt-4o").height == 3

    def test_of_an_empty_ledger_have_their_columns(self, ledger: MemoryLedger) -> None:
        nothing = Selection(where={"user": "nobody"})

        assert ledger.to_pandas(nothing).columns.tolist() == list(frames.COLUMNS)
        assert ledger.to_polars(nothing).schema == ledger.to_polars().schema
        assert ledger.to_arrow(nothing).schema == ledger.to_arrow().schema

    @pytest.mark.parametrize(
        ("package", "code", "feature"),
        [
            ("pyarrow", "MemoryLedger().to_arrow()", "Data frames"),
            ("pandas", "MemoryLedger().to_pandas()", "to_pandas"),
            ("polars", "MemoryLedger().to_polars()", "to_polars"),
        ],
    )
    def test_without_their_package_say_what_to_install(self, package: str, code: str, feature: str) -> None:
        program = f"import sys; sys.modules[{package!r}] = None\nfrom costtrace.testing import MemoryLedger\n{code}"

        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)

        assert done.stderr.splitlines()[-1] == (
            f"costtrace.errors.MissingExtra: {feature} needs the package {package!r}:"
            " pip install 'langchain-costtrace[frames]'"
        )
