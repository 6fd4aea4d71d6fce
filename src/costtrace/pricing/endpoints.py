"""Endpoints: which provider answers, and bills, at a base URL.

An OpenAI-compatible client says that its provider is OpenAI, wherever it sends its calls. Only the host tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What a base URL says."""

    host: str
    """Lower case, without port and credentials; empty where the URL names none."""
    provider: str | None
    """The price list's id; None for a host that no known provider runs."""
    region: str | None
    """As the host writes it: ``eu``, ``us-east-1``."""


_AWS_REGION: Final = r"(?P<region>[a-z]{2,3}(?:-[a-z]+)+-\d)"
_GOOGLE_REGION: Final = r"(?P<region>[a-z]+-[a-z]+\d+)"

_HOSTS: Final = tuple(
    (provider, re.compile(pattern))
    for provider, pattern in (
        ("openai", r"(?:(?P<region>[a-z]{2})\.)?api\.openai\.com"),
        ("anthropic", r"api\.anthropic\.com"),
        ("openrouter", r"(?:(?P<region>eu)\.|api\.)?openrouter\.ai"),
        ("x-ai", r"(?:(?P<region>[a-z]{2}(?:-[a-z]+-\d)?)\.)?api\.x\.ai"),
        ("azure", r"[a-z0-9-]+\.(?:openai|services\.ai|cognitiveservices)\.azure\.com"),
        ("azure", r"[a-z0-9-]+\.azure-api\.net"),
        ("azure", r"(?P<region>[a-z0-9]+)\.api\.cognitive\.microsoft\.com"),
        ("aws", rf"bedrock-(?:runtime|runtime-fips)\.{_AWS_REGION}\.(?:amazonaws\.com|api\.aws)"),
        ("aws", rf"vpce-[a-z0-9-]+\.bedrock-runtime\.{_AWS_REGION}\.vpce\.amazonaws\.com"),
        ("aws", rf"bedrock-mantle\.{_AWS_REGION}\.api\.aws"),
        ("google", r"generativelanguage\.googleapis\.com|aiplatform\.googleapis\.com"),
        ("google", rf"{_GOOGLE_REGION}-aiplatform\.googleapis\.com"),
        ("google", r"aiplatform\.(?P<region>us|eu)\.rep\.googleapis\.com"),
        ("deepseek", r"api\.deepseek\.com"),
        ("groq", r"api\.groq\.com"),
        ("mistral", r"api\.mistral\.ai"),
        ("cohere", r"api\.cohere\.(?:ai|com)"),
        ("together", r"api\.together\.(?:xyz|ai)"),
        ("fireworks", r"api\.fireworks\.ai"),
        ("perplexity", r"api\.perplexity\.ai"),
        ("cerebras", r"api\.cerebras\.ai"),
        ("baseten", r"inference\.baseten\.co"),
        ("moonshotai", r"api\.moonshot\.ai"),
        ("minimax", r"api\.minimaxi?\.(?:com|io)"),
        ("zai", r"api\.z\.ai"),
        ("zhipuai", r"open\.bigmodel\.cn"),
        ("novita", r"api\.novita\.ai"),
        ("meta", r"api\.meta\.ai"),
        ("voyageai", r"api\.voyageai\.com"),
        ("github-copilot", r"api\.githubcopilot\.com"),
    )
)
"""Whole hosts, never parts of one: ``api.openai.com.example.net`` belongs to somebody else."""


def endpoint(base_url: str) -> Endpoint:
    """Who stands behind a base URL; a missing scheme is allowed, a text that is no URL has no host."""
    host = _host(base_url)
    for provider, pattern in _HOSTS:
        if found := pattern.fullmatch(host):
            return Endpoint(host=host, provider=provider, region=found.groupdict().get("region"))
    return Endpoint(host=host, provider=None, region=None)


def _host(base_url: str) -> str:
    text = base_url.strip()
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname
    except ValueError:
        return ""
    # A backslash ends the host for a browser and not for urllib: whose it is cannot be said.
    return "" if host is None or "\\" in text else host.removesuffix(".")
