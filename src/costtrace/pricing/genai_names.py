"""Finding a model of genai-prices by name, strictly.

The list matches many models by what their names start with or contain, so that ``claude-opus-4-5-turbo`` would cost
what ``claude-opus-4-5`` costs. Here a clause of the list must hold, and what follows the name it knows must be a date
or a version, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from genai_prices.data_snapshot import DataSnapshot
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    MatchLogic,
    ModelInfo,
    Provider,
)

from costtrace.pricing.model_names import GEOGRAPHIES, iso_date
from costtrace.pricing.route import AS_ASKED, BARE_BEDROCK_ID, GEOGRAPHY_NOT_LISTED

ALSO_CALLED: Final[Mapping[str, Mapping[str, str]]] = {
    "openai": {
        "computer-use-preview": "computer-use",
        "computer-use-preview-2025-03-11": "computer-use",
        "omni-moderation-latest": "moderation",
        "omni-moderation-2024-09-26": "moderation",
        "text-moderation-latest": "moderation",
        "text-moderation-stable": "moderation",
        "text-moderation-007": "moderation",
    },
    "anthropic": {"claude-2.0": "claude-2", "claude-2.1": "claude-2"},
}
"""By provider: names in use that the list knows only by a part of them, and its ids."""

_DATE: Final = r"(?:-(?P<dashed>20\d{2}-\d{2}-\d{2})|[-@](?P<compact>20\d{6}))"
_TAIL: Final = rf"{_DATE}|-latest"
_TAILS: Final[Mapping[str, re.Pattern[str]]] = {
    "aws": re.compile(rf"{_DATE}?(?:-v\d+)?(?::\d+)?"),
    # Vertex writes versions as @20241022, @default or -001, Gemini previews carry month and day or month and year, and
    # one row stands for all sizes of Gemma.
    "google": re.compile(
        rf"(?:-v\d+)?(?:{_TAIL})|@default|-0\d{{2}}|-e?\d+b-it"
        r"|-preview(?:-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]|20\d{2}))?"
    ),
    "mistral": re.compile(rf"{_TAIL}|-2\d(?:0[1-9]|1[0-2])"),
}
"""By provider: what may follow a name that its list knows by a part."""
_OTHER_TAIL: Final = re.compile(_TAIL)
_ANY_DATE: Final = re.compile(r"20\d{2}-\d{2}-\d{2}|20\d{6}")
_OPEN_END: Final = re.compile(r"(?:-20\d{2})?[-@]$|-20\d{2}$|-0$")
"""Ends of the list's own clauses that stand for a date or version still to come: ``ft:gpt-4o-2024-``."""
_GEOGRAPHY: Final = re.compile(rf"(?P<geo>{'|'.join(GEOGRAPHIES)})\.(?P<id>.+)")
_VERSION: Final = re.compile(r"(?:-v\d+)?:\d+$|-v\d+$")
"""The end of a Bedrock id."""
_WHOLE: Final = re.compile(r"\^(?:(?!\.[*+]|\(\?[!=<]).)+\$")
"""A regular expression anchored at both ends, without room for just anything in between."""
_REGIONAL, _GLOBAL = "regional.", "global."
_GOVCLOUD: Final = "us-gov."
"""GovCloud has prices of its own; the list takes its profiles for those of any region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """A model that its list knows by parts of names, too."""

    info: ModelInfo
    stems: frozenset[str]
    """What a name may begin with, before its date and version."""
    patterns: tuple[re.Pattern[str], ...]
    """For names that are matched from end to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    names: Mapping[str, ModelInfo]
    """Ids and names that the list gives in full, lower case."""
    forms: tuple[_Form, ...]
    """In the order of the list."""


_MAX_INDEXES: Final = 256
_INDEXES: Final[dict[int, tuple[Provider, _Index]]] = {}
"""By identity of the provider, which is kept with its index so that no other can take its place in memory."""


def find(snapshot: DataSnapshot, provider: str, names: Iterable[tuple[str, str]]) -> tuple[ModelInfo, str, str] | None:
    """The first of the names that the provider's list knows: the model, the id of the list that holds it, the rule.

    That list may be another provider's, where the provider sells its models (OpenAI's on Azure): context that selects
    a rate in it does not hold here. None where no list knows any of the names.
    """
    by_id = {source.id: source for source in snapshot.providers}
    source = by_id.get(provider.strip().lower())
    if source is None:
        return None
    owners = (source, *(by_id[owner] for owner in source.fallback_model_providers or () if owner in by_id))
    for name, rule in names:
        for owner in owners:
            if found := _in_list(owner, name.lower()):
                info, own_rule = found
                return info, owner.id, own_rule if rule == AS_ASKED or own_rule == GEOGRAPHY_NOT_LISTED else rule
    return None


def listed_names(info: ModelInfo) -> frozenset[str]:
    """The names, lower case, that the list gives the model in full, its id among them."""
    return frozenset({info.id.lower(), *_texts(info.match, ClauseEquals)})


def _in_list(source: Provider, name: str) -> tuple[ModelInfo, str] | None:
    if source.id == "aws" and name.startswith(_GOVCLOUD):
        return None
    index = _index(source)
    info = index.names.get(name)
    if info is not None:
        return info, AS_ASKED if info.id.lower() == name else _bedrock_rule(source, info, name) or "listed name"
    for form in index.forms:
        if _is_form_of(source, form, name):
            return form.info, _bedrock_rule(source, form.info, name) or "listed form"
    return None


def _index(source: Provider) -> _Index:
    kept = _INDEXES.get(id(source))
    if kept is None:
        if len(_INDEXES) >= _MAX_INDEXES:
            _INDEXES.clear()
        kept = _INDEXES[id(source)] = (source, _indexed(source))
    return kept[1]


def _indexed(source: Provider) -> _Index:
    by_id = {info.id.lower(): info for info in reversed(source.models)}
    also = {name: by_id[known] for name, known in ALSO_CALLED.get(source.id, {}).items() if known in by_id}
    equal = {name: info for info in reversed(source.models) for name in _texts(info.match, ClauseEquals)}
    return _Index(
        names=MappingProxyType({**by_id, **also, **equal}),
        forms=tuple(
            _Form(info=info, stems=frozenset(_stems(source, info)), patterns=tuple(_whole_patterns(info.match)))
            for info in source.models
            if any(_texts(info.match, ClauseStartsWith, ClauseEndsWith, ClauseContains, ClauseRegex))
        ),
    )


def _is_form_of(source: Provider, form: _Form, name: str) -> bool:
    info = form.info
    if not info.match.is_match(name) or _is_fine_tune(name) != _is_fine_tune(info.id.lower()):
        return False
    if any(pattern.search(name) for pattern in form.patterns):
        return True
    if source.id == "aws" and not _same_version(info, name):
        return False
    tails = _TAILS.get(source.id, _OTHER_TAIL)
    return any(
        core.startswith(stem) and _is_tail(tails, stem, core)
        for core in _cores(source, info, name)
        for stem in form.stems
    )


def _is_tail(tails: re.Pattern[str], stem: str, name: str) -> bool:
    found = tails.fullmatch(name, len(stem))
    if found is None:
        return name == stem
    day = found["dashed"] or found["compact"]
    return day is None or (iso_date(day) is not None and not _ANY_DATE.search(stem))


def _same_version(info: ModelInfo, name: str) -> bool:
    """Whether the versions of two Bedrock ids agree as far as both name one: ``-v1:0`` and ``-v1``."""
    listed, named = (found[0] if (found := _VERSION.search(text)) else "" for text in (info.id, name))
    return listed.startswith(named) or named.startswith(listed)


def _stems(source: Provider, info: ModelInfo) -> Iterator[str]:
    loose = _texts(info.match, ClauseEquals, ClauseStartsWith, ClauseEndsWith, ClauseContains)
    texts = {info.id.lower(), *loose}
    for stem in texts | {_OPEN_END.sub("", text) for text in texts}:
        yield stem
        if source.id == "aws":
            # Ids of models that the list leaves without their vendor and version.
            yield _VERSION.sub("", stem)
            vendor = "anthropic" if stem.startswith("claude-") else "amazon" if stem.startswith("titan-") else None
            if vendor:
                yield f"{vendor}.{stem}"


def _cores(source: Provider, info: ModelInfo, name: str) -> Iterator[str]:
    """The name, and the name without what may stand before a model's own."""
    yield name
    if source.id == "google" and name.startswith("anthropic/"):
        yield name.removeprefix("anthropic/")
    found = _GEOGRAPHY.fullmatch(name) if source.id == "aws" else None
    if found and not (found["geo"] == "global" and info.id.startswith(_REGIONAL)):  # it is not the global rate
        yield found["id"]


def _bedrock_rule(source: Provider, info: ModelInfo, name: str) -> str | None:
    if source.id != "aws":
        return None
    if found := _GEOGRAPHY.fullmatch(name):
        told_apart = found["geo"] == "us" or any(f"{found['geo']}." in stem for stem in _stems(source, info))
        return None if told_apart else GEOGRAPHY_NOT_LISTED
    sibling = _GLOBAL + info.id.removeprefix(_REGIONAL)
    return BARE_BEDROCK_ID if info.id != sibling and sibling in _index(source).names else None


def _is_fine_tune(name: str) -> bool:
    return name.startswith("ft:") or ".ft-" in name


def _texts(clause: MatchLogic, *kinds: type[object]) -> Iterator[str]:
    if isinstance(clause, ClauseOr | ClauseAnd):
        for part in clause.or_ if isinstance(clause, ClauseOr) else clause.and_:
            yield from _texts(part, *kinds)
    elif isinstance(clause, kinds):
        yield str(next(iter(vars(clause).values()))).lower()


def _whole_patterns(clause: MatchLogic) -> Iterator[re.Pattern[str]]:
    """Regular expressions that describe a name from end to end: as strict as a name."""
    if isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _whole_patterns(part)
    elif isinstance(clause, ClauseRegex) and _WHOLE.fullmatch(clause.regex):
        yield re.compile(clause.regex)
