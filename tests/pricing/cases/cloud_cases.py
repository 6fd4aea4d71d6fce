"""Amazon Bedrock and Azure: routes that change the price, names that hide the model."""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.pricing.cases.case import ESTIMATED, EXACT, PARTIAL, UNPRICED, Case, mtok, tokens

BEDROCK: Final = "https://aws.amazon.com/bedrock/pricing/"
PROFILES: Final = "https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html"
GLOBAL: Final = "https://docs.aws.amazon.com/bedrock/latest/userguide/global-cross-region-inference.html"
SERVICE_TIERS: Final = "https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html"
AZURE: Final = "https://azure.microsoft.com/en-us/pricing/details/azure-openai/"
DEPLOYMENTS: Final = "https://learn.microsoft.com/en-us/azure/ai-foundry/foundry-models/concepts/deployment-types"

converse = partial(Case, provider="bedrock_converse")
azure = partial(Case, provider="azure")

CACHED: Final = {
    "cache_read": 6000,
    "cache_creation": 0,
    "ephemeral_5m_input_tokens": 2000,
    "ephemeral_1h_input_tokens": 1000,
}

ON_BEDROCK: Final = [
    converse(
        "claude-sonnet-4-6, global profile",
        "global.anthropic.claude-sonnet-4-6",
        tokens(10_000, 500, of_input=CACHED),
        mtok("3", 1000) + mtok("0.3", 6000) + mtok("3.75", 2000) + mtok("6", 1000) + mtok("15", 500),
        source=GLOBAL,
    ),
    converse(
        "claude-sonnet-4-6, United States profile",
        "us.anthropic.claude-sonnet-4-6",
        tokens(10_000, 500, of_input=CACHED),
        mtok("3.3", 1000) + mtok("0.33", 6000) + mtok("4.125", 2000) + mtok("6.6", 1000) + mtok("16.5", 500),
        source=GLOBAL,
    ),
    converse(
        "claude-opus-5-5, global profile",
        "global.anthropic.claude-opus-5-5",
        tokens(1000, 500),
        mtok("4", 1000) + mtok("20", 500),
        source=BEDROCK,
    ),
    converse(
        "claude-opus-5-5, European profile",
        "eu.anthropic.claude-opus-5-5",
        tokens(1000, 500),
        mtok("4.4", 1000) + mtok("22", 500),
        source=BEDROCK,
    ),
    converse(
        "claude-haiku-4-5, Japanese profile with version",
        "jp.anthropic.claude-haiku-4-5-20251001-v1:0",
        tokens(1000, 500),
        mtok("1.1", 1000) + mtok("5.5", 500),
        source=GLOBAL,
    ),
    converse(
        "claude-haiku-5-5, United States profile above 100,000 tokens",
        "us.anthropic.claude-haiku-5-5",
        tokens(100_001, 500),
        mtok("0.55", 100_001) + mtok("2.75", 500),
        source=BEDROCK,
    ),
    converse(
        "claude-haiku-5-5, United States profile at 100,000 tokens",
        "us.anthropic.claude-haiku-5-5",
        tokens(100_000, 500),
        mtok("0.11", 100_000) + mtok("0.55", 500),
        source=BEDROCK,
    ),
    converse(
        "claude-sonnet-4 is older than the premium for a geography",
        "us.anthropic.claude-sonnet-4-20250514-v1:0",
        tokens(1000, 500),
        mtok("3", 1000) + mtok("15", 500),
        source=BEDROCK,
    ),
    Case(
        "Anthropic's own client on Bedrock pays Bedrock's price",
        "us.anthropic.claude-sonnet-4-6",
        tokens(1000, 500),
        mtok("3.3", 1000) + mtok("16.5", 500),
        provider="anthropic-bedrock",
        source=BEDROCK,
    ),
    Case(
        "the older integration",
        "global.anthropic.claude-sonnet-4-6",
        tokens(1000, 500),
        mtok("3", 1000) + mtok("15", 500),
        provider="amazon_bedrock",
        source=GLOBAL,
    ),
    converse(
        "the ARN of an inference profile",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6",
        tokens(1000, 500),
        mtok("3.3", 1000) + mtok("16.5", 500),
        source=PROFILES,
    ),
    converse(
        "a bare Claude id hides the route",
        "anthropic.claude-sonnet-4-6",
        tokens(1000, 500),
        None,
        source=PROFILES,
        status=(ESTIMATED, PARTIAL),
    ),
    converse(
        "nova-pro",
        "amazon.nova-pro-v1:0",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("0.8", 600) + mtok("0.2", 400) + mtok("3.2", 500),
        source=BEDROCK,
    ),
    converse(
        "nova-pro, United States profile without a premium",
        "us.amazon.nova-pro-v1:0",
        tokens(1000, 500),
        mtok("0.8", 1000) + mtok("3.2", 500),
        source=BEDROCK,
    ),
    converse(
        "nova-lite",
        "amazon.nova-lite-v1:0",
        tokens(1000, 500),
        mtok("0.06", 1000) + mtok("0.24", 500),
        source=BEDROCK,
    ),
    converse(
        "nova-pro, batch at half the price",
        "amazon.nova-pro-v1:0",
        tokens(1000, 500),
        mtok("0.4", 1000) + mtok("1.6", 500),
        source=BEDROCK,
        status=(EXACT, PARTIAL),
        context={"processing": "batch"},
    ),
    converse(
        "nova-pro, flex tier",
        "amazon.nova-pro-v1:0",
        tokens(1000, 500),
        mtok("0.4", 1000) + mtok("1.6", 500),
        source=SERVICE_TIERS,
        status=(EXACT, PARTIAL),
        service_tier="flex",
    ),
    converse(
        "llama3-3-70b",
        "meta.llama3-3-70b-instruct-v1:0",
        tokens(1000, 500),
        mtok("0.72", 1000) + mtok("0.72", 500),
        source=BEDROCK,
    ),
    Case(
        "titan-embed-text-v2",
        "amazon.titan-embed-text-v2:0",
        tokens(8000, 0),
        mtok("0.02", 8000),
        provider="bedrock",
        source=BEDROCK,
    ),
    converse(
        "an application inference profile does not name its model",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
        tokens(1000, 500),
        None,
        source="https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-create.html",
        status=UNPRICED,
    ),
]

ON_AZURE: Final = [
    azure(
        "gpt-4o behind a deployment name",
        "gpt-4o-2024-08-06",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("2.5", 600) + mtok("1.25", 400) + mtok("10", 500),
        source=AZURE,
        status=(EXACT, ESTIMATED),
        response_metadata={"model_name": "gpt-4o-2024-08-06", "model_provider": "openai"},
        context={"azure_deployment": "chat-production"},
    ),
    azure(
        "the date doubled by LangChain",
        "gpt-4o-2024-08-06-2024-08-06",
        tokens(1000, 500),
        mtok("2.5", 1000) + mtok("10", 500),
        source=AZURE,
        status=(EXACT, ESTIMATED),
    ),
    azure(
        "gpt-5.4 at 272,000 tokens",
        "gpt-5.4",
        tokens(272_000, 500),
        mtok("2.5", 272_000) + mtok("15", 500),
        source=AZURE,
        status=(EXACT, ESTIMATED),
    ),
    azure(
        "gpt-5.4 above 272,000 tokens",
        "gpt-5.4",
        tokens(272_001, 500, of_input={"cache_read": 272_001}),
        mtok("0.5", 272_001) + mtok("22.5", 500),
        source=AZURE,
        status=(EXACT, ESTIMATED),
    ),
    azure(
        "Azure's own spelling",
        "gpt-35-turbo",
        tokens(1000, 500),
        mtok("0.5", 1000) + mtok("1.5", 500),
        source=AZURE,
        status=(EXACT, ESTIMATED),
    ),
    Case(
        "azure_openai is Azure too",
        "text-embedding-3-large",
        tokens(8000, 0),
        mtok("0.13", 8000),
        provider="azure_openai",
        source=AZURE,
        status=(EXACT, ESTIMATED),
    ),
    azure(
        "gpt-5.4, batch at half the price",
        "gpt-5.4",
        tokens(1000, 500),
        mtok("1.25", 1000) + mtok("7.5", 500),
        source=AZURE,
        status=(EXACT, ESTIMATED, PARTIAL),
        context={"processing": "batch"},
    ),
    azure(
        "a tier that only OpenAI itself has published",
        "gpt-5.4",
        tokens(1000, 500),
        None,
        source=AZURE,
        status=PARTIAL,
        service_tier="flex",
    ),
    azure(
        "gpt-4o in a data zone costs a tenth more",
        "gpt-4o",
        tokens(1000, 500),
        mtok("2.75", 1000) + mtok("11", 500),
        source=DEPLOYMENTS,
        status=(EXACT, PARTIAL),
        context={"region": "eu"},
    ),
    azure(
        "a deployment name is not a model",
        "chat-production",
        tokens(1000, 500),
        None,
        source=DEPLOYMENTS,
        status=UNPRICED,
        context={"azure_deployment": "chat-production"},
    ),
]

CASES: Final = [*ON_BEDROCK, *ON_AZURE]
