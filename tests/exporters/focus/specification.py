"""The FOCUS 1.2 specification as data, and what it says of rows: what a file has to hold to be one.

Written from https://focus.finops.org/focus-specification/v1-2/, whatever our own columns say. A conditional column is
required here where its condition holds for sellers of model calls and messages: they publish prices by the unit,
measure usage, and their buyers set tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

TEXT, NUMBER, MOMENT, JSON = "text", "number", "moment", "json"

REQUIRED: dict[str, tuple[str, bool]] = {
    "BilledCost": (NUMBER, False),
    "BillingAccountId": (TEXT, False),
    "BillingAccountName": (TEXT, True),
    "BillingCurrency": (TEXT, False),
    "BillingPeriodEnd": (MOMENT, False),
    "BillingPeriodStart": (MOMENT, False),
    "ChargeCategory": (TEXT, False),
    "ChargeClass": (TEXT, True),
    "ChargeDescription": (TEXT, True),
    "ChargePeriodEnd": (MOMENT, False),
    "ChargePeriodStart": (MOMENT, False),
    "ConsumedQuantity": (NUMBER, True),
    "ConsumedUnit": (TEXT, True),
    "ContractedCost": (NUMBER, False),
    "ContractedUnitPrice": (NUMBER, True),
    "EffectiveCost": (NUMBER, False),
    "InvoiceIssuerName": (TEXT, False),
    "ListCost": (NUMBER, False),
    "ListUnitPrice": (NUMBER, True),
    "PricingCategory": (TEXT, True),
    "PricingQuantity": (NUMBER, True),
    "PricingUnit": (TEXT, True),
    "ProviderName": (TEXT, False),
    "PublisherName": (TEXT, False),
    "ServiceCategory": (TEXT, False),
    "ServiceName": (TEXT, False),
    "SkuId": (TEXT, True),
    "SkuMeter": (TEXT, True),
    "SkuPriceDetails": (JSON, True),
    "SkuPriceId": (TEXT, True),
    "Tags": (JSON, True),
}
"""Type, and whether it may be null."""
RECOMMENDED: dict[str, tuple[str, bool]] = {
    "ChargeFrequency": (TEXT, False),
    "InvoiceId": (TEXT, True),
    "ServiceSubcategory": (TEXT, False),
}
ALLOWED: dict[str, frozenset[str]] = {
    "ChargeCategory": frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"}),
    "ChargeClass": frozenset({"Correction"}),
    "ChargeFrequency": frozenset({"One-Time", "Recurring", "Usage-Based"}),
    "PricingCategory": frozenset({"Standard", "Dynamic", "Committed", "Other"}),
    "ServiceCategory": frozenset(
        {
            "AI and Machine Learning",
            "Analytics",
            "Business Applications",
            "Compute",
            "Databases",
            "Developer Tools",
            "Identity",
            "Integration",
            "Internet of Things",
            "Management and Governance",
            "Media",
            "Migration",
            "Mobile",
            "Multicloud",
            "Networking",
            "Other",
            "Security",
            "Storage",
            "Web",
        }
    ),
}
SUBCATEGORIES: dict[str, frozenset[str]] = {
    "AI and Machine Learning": frozenset(
        {
            "Bots",
            "Generative AI",
            "Machine Learning",
            "Natural Language Processing",
            "Other (AI and Machine Learning)",
        }
    ),
    "Integration": frozenset({"API Management", "Messaging", "Workflow Automation", "Other (Integration)"}),
    "Other": frozenset({"Other (Other)"}),
}
"""Of the categories that we use."""
UNIT = re.compile(r"([1-9][0-9]* )?[A-Z][A-Za-z]*")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_MOMENT = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z")
_BOTH_OR_NONE = (("PricingQuantity", "PricingUnit"), ("ConsumedQuantity", "ConsumedUnit"))
_ALWAYS_WITH_USAGE = (
    "PricingQuantity",
    "PricingUnit",
    "PricingCategory",
    "ListUnitPrice",
    "ContractedUnitPrice",
    "ConsumedQuantity",
    "ConsumedUnit",
    "SkuId",
    "SkuMeter",
    "SkuPriceId",
)

Cells = Mapping[str, str]
"""A row of a CSV file, null as the empty text."""


def violations(row: Cells) -> list[str]:
    """What the specification has against a row."""
    return [text for rule in _RULES for text in rule(row)]


def _columns(row: Cells) -> Iterator[str]:
    yield from (f"{name} is missing" for name in {**REQUIRED, **RECOMMENDED} if name not in row)
    known = [name for name in row if name in REQUIRED or name in RECOMMENDED]
    yield from (f"{name} is no FOCUS column" for name in row if name not in known and not name.startswith("x_"))
    if list(row)[: len(known)] != known:
        yield "columns of FOCUS come first"


def _types(row: Cells) -> Iterator[str]:
    for name, (kind, nullable) in {**REQUIRED, **RECOMMENDED}.items():
        value = row.get(name, "")
        if not value:
            if not nullable:
                yield f"{name} is null"
        elif not _CHECKS[kind](value):
            yield f"{name}: {value!r} is no {kind}"


def _allowed_values(row: Cells) -> Iterator[str]:
    for name, allowed in ALLOWED.items():
        if row[name] and row[name] not in allowed:
            yield f"{name}: {row[name]!r} is not allowed"
    if row["ServiceSubcategory"] not in SUBCATEGORIES[row["ServiceCategory"]]:
        yield f"ServiceSubcategory: {row['ServiceSubcategory']!r} is not one of {row['ServiceCategory']!r}"
    if not re.fullmatch(r"[A-Z]{3}", row["BillingCurrency"]):
        yield "BillingCurrency is no ISO 4217 code"
    yield from (
        f"{name}: {row[name]!r} is no unit"
        for name in ("PricingUnit", "ConsumedUnit")
        if row[name] and not UNIT.fullmatch(row[name])
    )


def _usage(row: Cells) -> Iterator[str]:
    regular = row["ChargeCategory"] == "Usage" and row["ChargeClass"] != "Correction"
    if regular:
        yield from (f"{name} of a usage is null" for name in _ALWAYS_WITH_USAGE if not row[name])
        if row["ConsumedQuantity"] and Decimal(row["ConsumedQuantity"]) <= 0:
            yield "ConsumedQuantity is not positive"
    if row["ChargeCategory"] != "Usage" and (row["ConsumedQuantity"] or row["ConsumedUnit"]):
        yield "something was consumed that is no usage"
    if row["ChargeCategory"] == "Purchase" and row["ChargeFrequency"] == "Usage-Based":
        yield "a purchase is usage-based"
    yield from (f"{one} and {other} stand alone" for one, other in _BOTH_OR_NONE if bool(row[one]) != bool(row[other]))
    if not row["SkuId"] and (row["SkuMeter"] or row["SkuPriceId"]):
        yield "SkuMeter or SkuPriceId without SkuId"
    if not row["SkuPriceId"] and row["SkuPriceDetails"]:
        yield "SkuPriceDetails without SkuPriceId"


def _costs(row: Cells) -> Iterator[str]:
    for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
        if not row[price]:
            if row[cost] != row["BilledCost"]:
                yield f"{cost} without a unit price is not BilledCost"
            continue
        if Decimal(row[price]) < 0:
            yield f"{price} is negative"
        if row["ChargeClass"] != "Correction" and not _is_product(row, price, cost):
            yield f"{price} x PricingQuantity is not {cost}"
    if row["ChargeCategory"] in {"Credit", "Adjustment"} and row["EffectiveCost"] != row["BilledCost"]:
        yield "EffectiveCost is not BilledCost"


def _is_product(row: Cells, price: str, cost: str) -> bool:
    (a, down), (b, also_down), (c, times) = (
        Decimal(row[name]).as_integer_ratio() for name in (price, "PricingQuantity", cost)
    )
    return a * b * times == c * down * also_down


def _periods(row: Cells) -> Iterator[str]:
    yield from (
        f"{period}PeriodStart is not before its end"
        for period in ("Billing", "Charge")
        if row[f"{period}PeriodStart"] >= row[f"{period}PeriodEnd"]
    )
    if not row["BillingPeriodStart"].endswith("-01T00:00:00Z"):
        yield "a billing period that is no month"
    in_period = row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
    if in_period is (row["ChargeClass"] == "Correction"):
        yield "ChargeClass says Correction where, and only where, the charge belongs to an earlier billing period"


_CHECKS: dict[str, Callable[[str], object]] = {
    TEXT: str.strip,
    NUMBER: _NUMBER.fullmatch,
    MOMENT: _MOMENT.fullmatch,
    JSON: lambda text: isinstance(json.loads(text), dict),
}
_RULES: tuple[Callable[[Cells], Iterator[str]], ...] = (
    _columns,
    _types,
    _allowed_values,
    _usage,
    _costs,
    _periods,
)
