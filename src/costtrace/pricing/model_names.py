"""Model names: the names under which the price of a served model may stand, without looking into any list.

Providers and the clients around them write one model in many ways: a resource path, a date twice, a date without
dashes, a fine-tune with its owner. Each rule here undoes one of these and says so. None of them guesses a family: a
suffix that is not known to be free of charge (``:nitro``, ``-fast``) stays, and no list will know the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from costtrace.pricing.route import AS_ASKED, SNAPSHOT_NOT_LISTED
from costtrace.responses import MAX_TEXT

GEOGRAPHIES: Final = ("us-gov", "us", "eu", "apac", "jp", "au", "in", "ca", "sa", "il", "global")
"""Prefixes of Bedrock's cross-region inference profiles."""

_GEOGRAPHY: Final = re.compile(rf"({'|'.join(GEOGRAPHIES)})\.[a-z0-9-]+\..+", re.IGNORECASE)
_ARN: Final = re.compile(r"arn:aws[a-z-]*:bedrock:([a-z0-9-]*):\d*:([a-z-]+)/(.+)", re.IGNORECASE)
_ARN_RULES: Final = {"inference-profile": "inference profile", "foundation-model": "foundation model"}
_PUBLISHED: Final = re.compile(
    r"(?:projects/[^/]+/locations/(?P<region>[^/]+)/)?publishers/[^/]+/models/(?P<name>.+)", re.IGNORECASE
)
_TUNED: Final = re.compile(r"tunedModels/.+|(?:projects/[^/]+/locations/[^/]+/)?endpoints/.+", re.IGNORECASE)
_DATED: Final = re.compile(r"(?P<base>.+?)-(?P<date>20\d{2}-\d{2}-\d{2}|20\d{6})", re.IGNORECASE)
_SHORT_DATED: Final = re.compile(r"(?P<base>.+)-(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_OPENAI_FINE_TUNE: Final = re.compile(r"ft:(?P<base>[^:]+)(?::.*)?", re.IGNORECASE)
_AZURE_FINE_TUNE: Final = re.compile(r"(?P<base>.+?)\.ft-.*", re.IGNORECASE)

Names = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What a model's name says."""

    names: Names
    """Each with the rule that made it, best first; the first one is the name as asked."""
    geography: str | None = None
    """Of a Bedrock inference profile, lower case."""
    region: str | None = None
    """That a resource name carries."""
    problem: str | None = None
    """Why the name says nothing about the model."""


def naming(provider: str, model: str) -> Naming:
    """The names of that model at the provider (a price list's id)."""
    if len(model) > MAX_TEXT:
        return Naming(names=((model, AS_ASKED),))
    if provider == "aws":
        return _bedrock(model)
    if provider == "google":
        return _google(model)
    if provider in {"openai", "azure"}:
        return Naming(names=_openai(model))
    return Naming(names=tuple(_forms(model, AS_ASKED)))


def iso_date(text: str) -> str | None:
    """``20260305`` or ``2026-03-05`` as the latter; None for what is no day of the calendar."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _forms(name: str, rule: str) -> Iterator[tuple[str, str]]:
    yield name, rule
    base, written, day = _split(name)
    if day is None:
        return
    _, _, earlier = _split(base)
    if earlier == day:
        # AzureChatOpenAI(model_version=…) appends the date to a name that may already end with it.
        yield from _forms(base, "doubled date")
    elif earlier is None:
        if written != day:
            yield f"{base}-{day}", "compact date"
        yield base, SNAPSHOT_NOT_LISTED


def _split(name: str) -> tuple[str, str, str | None]:
    """The name before its date, the date as written, and that day; no day where the name does not end with one."""
    found = _DATED.fullmatch(name)
    return (found["base"], found["date"], iso_date(found["date"])) if found else (name, "", None)


def _openai(model: str) -> Names:
    if found := _OPENAI_FINE_TUNE.fullmatch(model) or _AZURE_FINE_TUNE.fullmatch(model):
        return ((model, AS_ASKED), *(form for form in _fine_tuned(found["base"], model) if form[0] != model))
    forms = tuple(_forms(model, AS_ASKED))
    if model.lower().startswith("gpt-35-"):
        return (*forms, *_forms(f"gpt-3.5-{model[len('gpt-35-') :]}", "Azure's spelling"))
    return forms


def _fine_tuned(base: str, model: str) -> Iterator[tuple[str, str]]:
    rule = f"fine-tune of {base}"
    if not model.lower().startswith("ft:"):
        yield f"{base}.ft-", rule
    yield f"ft:{base}", rule
    # One fine-tuned rate holds for all snapshots of a model.
    if found := _DATED.fullmatch(base) or _SHORT_DATED.fullmatch(base):
        yield f"ft:{found['base']}", rule


def _google(model: str) -> Naming:
    if _TUNED.fullmatch(model):
        return Naming(
            names=((model, AS_ASKED),),
            problem="the name of a tuned model or endpoint hides the model behind it; add its price to your own rates",
        )
    if found := _PUBLISHED.fullmatch(model):
        return Naming(names=_renamed(model, found["name"], "resource name"), region=found["region"])
    for prefix in ("models/", "google/"):
        if model.lower().startswith(prefix):
            return Naming(names=_renamed(model, model[len(prefix) :], "resource name"))
    return Naming(names=tuple(_forms(model, AS_ASKED)))


def _bedrock(model: str) -> Naming:
    found = _ARN.fullmatch(model)
    if found is None:
        return Naming(names=tuple(_forms(model, AS_ASKED)), geography=_geography(model))
    region, kind, name = found[1].lower() or None, found[2].lower(), found[3]
    if kind not in _ARN_RULES:
        return Naming(
            names=((model, AS_ASKED),),
            region=region,
            problem=f"the ARN of a Bedrock {kind} hides the model behind it; name that model (base_model_id), "
            "or add the ARN with its price to your own rates",
        )
    return Naming(names=_renamed(model, name, _ARN_RULES[kind]), geography=_geography(name), region=region)


def _renamed(model: str, name: str, rule: str) -> Names:
    return ((model, AS_ASKED), *_forms(name, rule))


def _geography(name: str) -> str | None:
    found = _GEOGRAPHY.fullmatch(name)
    return found[1].lower() if found else None
