"""The columns of a FOCUS 1.2 dataset that have something to say of model calls and messages, then our own.

Columns for what such sellers do not have, or a ledger does not know (regions, resources, sub accounts, commitment
discounts, capacity reservations, a pricing currency beside the billing currency), are conditional there and left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

Row = Mapping[str, str | Decimal | datetime | None]
"""One charge: a value for each column that has one, by the column's name."""


class Type(StrEnum):
    """What a column holds."""

    TEXT = "text"
    DECIMAL = "decimal"
    MOMENT = "moment"
    """A moment in UTC, to the second."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    type: Type
    nullable: bool = True


def _text(name: str) -> Column:
    return Column(name, Type.TEXT)


def _known(name: str, type_: Type = Type.TEXT) -> Column:
    return Column(name, type_, nullable=False)


COLUMNS: Final = (
    _known("BilledCost", Type.DECIMAL),
    _known("BillingAccountId"),
    _text("BillingAccountName"),
    _known("BillingCurrency"),
    _known("BillingPeriodEnd", Type.MOMENT),
    _known("BillingPeriodStart", Type.MOMENT),
    _known("ChargeCategory"),
    _text("ChargeClass"),
    _text("ChargeDescription"),
    _known("ChargeFrequency"),
    _known("ChargePeriodEnd", Type.MOMENT),
    _known("ChargePeriodStart", Type.MOMENT),
    Column("ConsumedQuantity", Type.DECIMAL),
    _text("ConsumedUnit"),
    _known("ContractedCost", Type.DECIMAL),
    Column("ContractedUnitPrice", Type.DECIMAL),
    _known("EffectiveCost", Type.DECIMAL),
    _text("InvoiceId"),
    _known("InvoiceIssuerName"),
    _known("ListCost", Type.DECIMAL),
    Column("ListUnitPrice", Type.DECIMAL),
    _text("PricingCategory"),
    Column("PricingQuantity", Type.DECIMAL),
    _text("PricingUnit"),
    _known("ProviderName"),
    _known("PublisherName"),
    _known("ServiceCategory"),
    _known("ServiceName"),
    _known("ServiceSubcategory"),
    _text("SkuId"),
    _text("SkuMeter"),
    _text("SkuPriceDetails"),
    _text("SkuPriceId"),
    _text("Tags"),
    _text("x_Channel"),
    _text("x_Corrects"),
    _text("x_CostStatus"),
    _text("x_Direction"),
    _known("x_EntryId"),
    _text("x_Environment"),
    _known("x_Kind"),
    _known("x_MessageUuid"),
    _text("x_MessageType"),
    _text("x_Model"),
    _known("x_OccurredAt"),
    _text("x_PriceDataHash"),
    _text("x_PriceSource"),
    _text("x_PriceVersion"),
    _text("x_Provider"),
    _known("x_RecordedAt"),
    _text("x_ReplyTo"),
    _text("x_Role"),
    _text("x_SourceId"),
    _text("x_ThreadId"),
    _text("x_UserId"),
)
"""In the order of the file: those of the specification, then those of the ledger, which it wants to begin with ``x_``.
"""
