"""An entry as charges of a bill, and a ledger as the sum of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.context import Context
from costtrace.entry import Entry, Kind, Standing
from costtrace.exporters.focus import FocusExport, write_csv
from costtrace.ledger import Selection
from costtrace.messages import Amounts
from costtrace.money import Money
from costtrace.quote import Quote, QuoteLine, QuoteStatus, no_quote
from costtrace.testing import MemoryLedger
from tests.exporters.focus.specification import violations
from tests.factories import NOW, make_basis, make_costs, make_entry, make_quote
from tests.strategies import entries


def exported(*recorded: Entry, **options: Any) -> tuple[list[dict[str, str]], FocusExport]:
    """The rows of a CSV file, and the export that wrote them."""
    ledger = MemoryLedger()
    ledger.append(recorded)
    export = FocusExport(ledger, **options)
    stream = io.StringIO(newline="")
    write_csv(export.rows(), stream)
    return list(csv.DictReader(io.StringIO(stream.getvalue(), newline=""))), export


def rows_of(*recorded: Entry, **options: Any) -> list[dict[str, str]]:
    rows, _ = exported(*recorded, **options)
    assert [violations(row) for row in rows] == [[] for _ in rows]
    return rows


def known(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if value}


def billed(rows: Iterable[dict[str, str]]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums = dict(Amounts(sums).plus({row["BillingCurrency"]: Decimal(row["BilledCost"])}))
    return dict(Amounts(sums).without_zeros())


def test_a_call_is_a_charge_for_each_meter_with_the_working_of_its_price() -> None:
    call = make_entry(
        context=Context(
            user_id="u1",
            thread_id="t1",
            channel="sms",
            direction="outbound",
            role="assistant",
            environment="production",
            message_type="chat",
            reply_to="m0",
            tags={"team": "growth"},
        ),
        duration_us=1_200_000,
    )

    first, second = rows_of(call)

    assert known(first) == {
        "BilledCost": "0.001125",
        "BillingAccountId": "openai",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2026-02-01T00:00:00Z",
        "BillingPeriodStart": "2026-01-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeDescription": "openai/gpt-4o: 450 input x 2.5 / 1000000 = 0.001125 USD",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "2026-01-20T09:30:03Z",
        "ChargePeriodStart": "2026-01-20T09:30:01Z",
        "ConsumedQuantity": "450",
        "ConsumedUnit": "Tokens",
        "ContractedCost": "0.001125",
        "ContractedUnitPrice": "2.5",
        "EffectiveCost": "0.001125",
        "InvoiceIssuerName": "OpenAI",
        "ListCost": "0.001125",
        "ListUnitPrice": "2.5",
        "PricingCategory": "Standard",
        "PricingQuantity": "0.00045",
        "PricingUnit": "1000000 Tokens",
        "ProviderName": "OpenAI",
        "PublisherName": "OpenAI",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "OpenAI API",
        "ServiceSubcategory": "Generative AI",
        "SkuId": "openai/gpt-4o",
        "SkuMeter": "input",
        "SkuPriceId": "openai/gpt-4o/input",
        "Tags": '{"team":"growth"}',
        "x_Channel": "sms",
        "x_CostStatus": "exact",
        "x_Direction": "outbound",
        "x_EntryId": "llm/run-1/1",
        "x_Environment": "production",
        "x_Kind": "llm",
        "x_MessageUuid": call.message_uuid,
        "x_MessageType": "chat",
        "x_Model": "gpt-4o",
        "x_OccurredAt": "2026-01-20T09:30:01.000000Z",
        "x_PriceDataHash": "0123456789abcdef",
        "x_PriceSource": "genai-prices",
        "x_PriceVersion": "0.2.3",
        "x_Provider": "openai",
        "x_RecordedAt": "2026-01-20T09:30:01.005000Z",
        "x_ReplyTo": "m0",
        "x_Role": "assistant",
        "x_SourceId": "run-1",
        "x_ThreadId": "t1",
        "x_UserId": "u1",
    }
    assert (second["SkuMeter"], second["BilledCost"], second["ConsumedQuantity"]) == ("output", "0.002", "200")


def test_the_options_that_chose_a_price_make_it_another_price_of_the_same_sku() -> None:
    basis = make_basis(context_used={"service_tier": "flex", "input_tokens": "more than 272000"})
    quote = Quote(
        status=QuoteStatus.EXACT,
        amount=Decimal("0.75"),
        lines=(QuoteLine("input", 300_000, Decimal("2.5"), 1_000_000),),
        basis=basis,
    )

    (row,) = rows_of(make_entry(quote=quote, cost=Money("0.75")))

    assert row["SkuId"] == "openai/gpt-4o"
    assert row["SkuPriceId"] == "openai/gpt-4o/input;input_tokens=more than 272000;service_tier=flex"
    assert row["SkuPriceDetails"] == '{"x_InputTokens":"more than 272000","x_ServiceTier":"flex"}'


def test_what_is_no_token_is_counted_in_units_of_its_meter() -> None:
    lines = (QuoteLine("web_search", 3, Decimal(10), 1_000), QuoteLine("request", 1, Decimal("0.005"), 1))
    quote = Quote(status=QuoteStatus.EXACT, amount=Decimal("0.035"), lines=lines, basis=make_basis())

    searches, request = rows_of(make_entry(kind="tool", quote=quote, cost=Money("0.035")))

    assert (searches["PricingUnit"], searches["PricingQuantity"], searches["ConsumedUnit"]) == (
        "1000 Units",
        "0.003",
        "Units",
    )
    assert (request["PricingUnit"], request["PricingQuantity"], request["BilledCost"]) == ("Units", "1", "0.005")
    assert request["ServiceCategory"] == "Other"


@pytest.mark.parametrize(
    "changes",
    [
        {"quote": Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=Decimal("0.004"), lines=make_quote().lines)},
        {"quote": None},
        {"quote": Quote(status=QuoteStatus.EXACT, amount=Decimal("0.004"), lines=make_quote().lines)},
    ],
    ids=["the provider's own amount", "no quote", "lines that are not the cost"],
)
def test_a_cost_that_is_not_the_sum_of_lines_is_one_charge_of_one_request(changes: dict[str, Any]) -> None:
    (row,) = rows_of(make_entry(cost=Money("0.004"), **changes))

    assert (row["BilledCost"], row["PricingQuantity"], row["PricingUnit"], row["ListUnitPrice"], row["SkuMeter"]) == (
        "0.004",
        "1",
        "Requests",
        "0.004",
        "request",
    )


def sms_price(amount: str | None, number: int = 1, **changes: Any) -> Entry:
    known: dict[str, Any] = {
        "kind": "sms-price",
        "provider": "twilio",
        "model": "sms",
        "replaces": Standing.PENDING,
        "source_id": "SM1",
        "context": Context(direction="outbound", channel="sms"),
    }
    return make_costs(amount, number=number, **{**known, **changes})


def test_an_sms_is_one_charge_once_its_price_is_known() -> None:
    sent = make_costs(estimate="0.0158", kind="sms-send", number=1, provider="twilio", model="sms")
    price = sms_price("0.0166", 2, estimate="-0.0158", details={"num_segments": 2, "corrects": sent.entry_id})

    rows, export = exported(sent, price)

    assert [violations(row) for row in rows] == [[]]
    assert {name: rows[0][name] for name in known(rows[0]) if not name.startswith("x_")} == {
        "BilledCost": "0.0166",
        "BillingAccountId": "twilio",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": "2026-02-01T00:00:00Z",
        "BillingPeriodStart": "2026-01-01T00:00:00Z",
        "ChargeCategory": "Usage",
        "ChargeDescription": "twilio/sms: outbound, cost named as a whole",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": "2026-01-20T09:30:03Z",
        "ChargePeriodStart": "2026-01-20T09:30:02Z",
        "ConsumedQuantity": "2",
        "ConsumedUnit": "Segments",
        "ContractedCost": "0.0166",
        "ContractedUnitPrice": "0.0166",
        "EffectiveCost": "0.0166",
        "InvoiceIssuerName": "Twilio",
        "ListCost": "0.0166",
        "ListUnitPrice": "0.0166",
        "PricingCategory": "Standard",
        "PricingQuantity": "1",
        "PricingUnit": "Messages",
        "ProviderName": "Twilio",
        "PublisherName": "Twilio",
        "ServiceCategory": "Integration",
        "ServiceName": "Twilio Messaging",
        "ServiceSubcategory": "Messaging",
        "SkuId": "twilio/sms",
        "SkuMeter": "outbound",
        "SkuPriceId": "twilio/sms/outbound",
    }
    assert (export.exported.pending, export.exported.complete) == (0, True)


def test_a_correction_of_the_same_month_is_an_adjustment_with_the_signed_difference() -> None:
    correction = make_costs(
        "-0.000125",
        number=2,
        kind=Kind.CORRECTION,
        replaces=Standing.CALCULATED,
        details={"corrects": "llm/run-1/1", "reason": "the rates changed"},
    )

    *_, row = rows_of(make_entry(1), correction)

    assert (row["ChargeCategory"], row["ChargeClass"], row["BilledCost"]) == ("Adjustment", "", "-0.000125")
    assert (row["PricingQuantity"], row["ListUnitPrice"], row["ConsumedQuantity"], row["SkuId"]) == ("", "", "", "")
    assert row["ChargeDescription"] == "correction of llm/run-1/1: the rates changed"
    assert row["x_Corrects"] == "llm/run-1/1"
    assert row["ServiceCategory"] == "AI and Machine Learning"
    assert row["ChargeFrequency"] == "One-Time"


def test_a_correction_learned_in_a_later_month_is_a_correction_in_that_month() -> None:
    correction = sms_price(
        "0.0004",
        2,
        replaces=Standing.SETTLED,
        recorded_at=datetime(2026, 2, 3, tzinfo=UTC),
        details={"corrects": "sms-price/SM1/1"},
    )

    _, row = rows_of(sms_price("0.0079"), correction)

    assert (row["ChargeCategory"], row["ChargeClass"]) == ("Adjustment", "Correction")
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    assert row["ChargePeriodStart"] == "2026-01-20T09:30:02Z"
    assert row["ServiceCategory"] == "Integration"


def test_what_was_priced_late_is_a_usage_of_the_month_it_was_bought_in() -> None:
    unpriced = make_entry(1, quote=no_quote(QuoteStatus.UNPRICED, "no price"), cost=None)
    priced = make_entry(
        2,
        entry_id="correction/1/llm/run-1/1",
        kind=Kind.CORRECTION,
        replaces=Standing.UNPRICED,
        recorded_at=datetime(2026, 3, 1, tzinfo=UTC),
        details={"corrects": "llm/run-1/1", "reason": "rates were added"},
    )

    rows, export = exported(unpriced, priced)

    assert [(row["ChargeCategory"], row["SkuMeter"], row["BillingPeriodStart"]) for row in rows] == [
        ("Usage", "input", "2026-01-01T00:00:00Z"),
        ("Usage", "output", "2026-01-01T00:00:00Z"),
    ]
    assert export.exported.unpriced == 0


def test_what_the_seller_pays_back_is_a_credit() -> None:
    (row,) = rows_of(sms_price("-0.0075"))

    assert (row["ChargeCategory"], row["BilledCost"], row["ListCost"], row["ListUnitPrice"]) == (
        "Credit",
        "-0.0075",
        "-0.0075",
        "",
    )


def test_what_has_no_cost_is_no_row_and_is_counted() -> None:
    free = Quote(status=QuoteStatus.NOT_BILLED, amount=Decimal(0))
    rows, export = exported(
        make_entry(1),
        make_costs(estimate="0.0079", number=2),
        make_entry(3, quote=no_quote(QuoteStatus.UNPRICED, "no price"), cost=None),
        make_entry(4, quote=free, cost=Money(0)),
        make_costs(number=5, kind="sms-status"),
    )

    assert {row["x_EntryId"] for row in rows} == {"llm/run-1/1"}
    assert export.exported.to_dict() == {
        "rows": 2,
        "entries": 1,
        "billed": {"USD": "0.003125"},
        "left_out": {"pending": 1, "unpriced": 1, "free": 1},
        "complete": False,
    }


def test_a_price_of_zero_is_a_charge_of_zero() -> None:
    quote = Quote(
        status=QuoteStatus.EXACT,
        amount=Decimal(0),
        lines=(QuoteLine("input", 5, Decimal(0), 1_000_000),),
        basis=make_basis(),
    )

    (row,) = rows_of(make_entry(quote=quote, cost=Money(0)))

    assert (row["BilledCost"], row["ConsumedQuantity"]) == ("0", "5")


def test_the_billing_account_of_a_provider_can_be_named() -> None:
    rows = rows_of(make_entry(1), sms_price("0.0079", 2), accounts={"twilio": "AC123"})

    assert [row["BillingAccountId"] for row in rows] == ["openai", "openai", "AC123"]


def test_a_provider_nobody_here_knows_goes_by_its_own_name() -> None:
    own, nobody = rows_of(make_costs("1", provider="own-gpu"), make_costs("1", number=2, provider=None))

    assert (own["ProviderName"], own["ServiceName"], own["SkuId"]) == ("own-gpu", "own-gpu", "own-gpu/gpt-4o")
    assert (nobody["ProviderName"], nobody["BillingAccountId"], nobody["x_Provider"]) == ("unknown", "unknown", "")


@pytest.mark.parametrize(
    ("moment", "start", "end"),
    [
        (datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        (datetime(2024, 2, 29, tzinfo=UTC), "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z", "0001-02-01T00:00:00Z"),
        (datetime(9999, 12, 31, 23, 59, 58, tzinfo=UTC), "9999-12-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_billing_period_is_the_month_in_utc(moment: datetime, start: str, end: str) -> None:
    row, _ = rows_of(make_entry(occurred_at=moment, recorded_at=moment, duration_us=None))

    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (start, end)


@pytest.mark.parametrize(
    ("duration_us", "end"),
    [
        (None, "2026-01-20T09:30:01Z"),
        (0, "2026-01-20T09:30:01Z"),
        (999_999, "2026-01-20T09:30:01Z"),
        (1_000_000, "2026-01-20T09:30:01Z"),
        (1_000_001, "2026-01-20T09:30:02Z"),
        (86_400_000_000, "2026-01-21T09:30:00Z"),
    ],
)
def test_a_charge_period_is_the_seconds_that_were_touched(duration_us: int | None, end: str) -> None:
    row, _ = rows_of(make_entry(occurred_at=NOW, recorded_at=NOW, duration_us=duration_us))

    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-01-20T09:30:00Z", end)


def test_only_the_selected_time_is_exported() -> None:
    later = NOW + timedelta(seconds=2)

    rows = rows_of(make_entry(1), make_entry(2), make_entry(3), selection=Selection(since=later))

    assert {row["x_EntryId"] for row in rows} == {"llm/run-2/2", "llm/run-3/3"}


def test_rows_begin_anew_each_time_they_are_asked_for() -> None:
    _, export = exported(make_entry(1), make_entry(2))

    first, second = list(export.rows()), list(export.rows())

    assert first == second
    assert export.exported.rows == 4


@given(st.lists(entries(), max_size=6))
def test_rows_add_up_to_what_the_ledger_owes_to_the_last_digit(recorded: list[Entry]) -> None:
    """Credits, corrections, two currencies, replaced estimates, amounts of forty digits, words nobody has heard of."""
    ledger = MemoryLedger()
    ledger.append(recorded)
    export = FocusExport(ledger)
    stream = io.StringIO(newline="")

    write_csv(export.rows(), stream)

    rows = list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))
    owed = dict(ledger.totals()[()].actual.without_zeros()) if recorded else {}
    assert billed(rows) == owed
    assert dict(export.exported.billed.without_zeros()) == owed
    assert len(rows) == export.exported.rows


@given(entries())
def test_every_row_is_what_the_specification_wants(entry: Entry) -> None:
    rows, _ = exported(entry)

    assert [violations(row) for row in rows] == [[] for _ in rows]
