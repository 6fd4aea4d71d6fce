"""Pricing: from a usage, a provider, a model and a moment to a quote that shows its working."""

from costtrace.pricing.catalog import Catalog
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus

__all__ = ["Catalog", "PriceBasis", "Quote", "QuoteLine", "QuoteStatus"]
