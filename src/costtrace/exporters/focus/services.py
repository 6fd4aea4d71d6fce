"""What sellers and their services are called in a bill, and which of FOCUS's categories a service is in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from costtrace.entry import Entry, Kind

UNKNOWN: Final = "unknown"
"""The seller of what was recorded without one: the columns that name it must not be empty."""


class Seller(NamedTuple):
    """Who sold it, and under what name."""

    provider: str
    service: str


class Category(NamedTuple):
    """One of the categories that FOCUS 1.2 allows, with its subcategory."""

    category: str
    subcategory: str


_SELLERS: Final[Mapping[str, Seller]] = MappingProxyType(
    {
        "amazon_bedrock": Seller("AWS", "Amazon Bedrock"),
        "anthropic": Seller("Anthropic", "Claude API"),
        "anthropic-bedrock": Seller("AWS", "Amazon Bedrock"),
        "azure": Seller("Microsoft", "Azure OpenAI"),
        "azure_openai": Seller("Microsoft", "Azure OpenAI"),
        "bedrock": Seller("AWS", "Amazon Bedrock"),
        "bedrock_converse": Seller("AWS", "Amazon Bedrock"),
        "cohere": Seller("Cohere", "Cohere API"),
        "deepseek": Seller("DeepSeek", "DeepSeek API"),
        "fireworks": Seller("Fireworks AI", "Fireworks API"),
        "google_anthropic_vertex": Seller("Google Cloud", "Vertex AI"),
        "google_genai": Seller("Google", "Gemini API"),
        "google_vertexai": Seller("Google Cloud", "Vertex AI"),
        "groq": Seller("Groq", "GroqCloud"),
        "mistralai": Seller("Mistral AI", "Mistral API"),
        "openai": Seller("OpenAI", "OpenAI API"),
        "openrouter": Seller("OpenRouter", "OpenRouter API"),
        "perplexity": Seller("Perplexity", "Perplexity API"),
        "together": Seller("Together AI", "Together API"),
        "twilio": Seller("Twilio", "Twilio Messaging"),
        "xai": Seller("xAI", "xAI API"),
    }
)
_GENERATIVE: Final = Category("AI and Machine Learning", "Generative AI")
_MESSAGING: Final = Category("Integration", "Messaging")
_OTHER: Final = Category("Other", "Other (Other)")


def seller_of(provider: str | None) -> Seller:
    """The names for a provider as entries know it; one that is not known here goes by its own name."""
    name = provider or UNKNOWN
    return _SELLERS.get(name, Seller(name, name))


def is_sms(kind: str) -> bool:
    """Whether entries of that kind are about an SMS."""
    return kind == "sms" or kind.startswith("sms-")


def category_of(entry: Entry) -> Category:
    """The category of what was bought; a correction is in that of what it corrects, which its id begins with."""
    kind, corrected = entry.kind, entry.details.get("corrects")
    if kind == Kind.CORRECTION and isinstance(corrected, str):
        kind = corrected.partition("/")[0]
    if is_sms(kind):
        return _MESSAGING
    return _GENERATIVE if kind in {Kind.LLM, Kind.EMBEDDING} else _OTHER
