"""Route: where a call went, as far as prices care."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

AS_ASKED: Final = "exact name"
"""The rule of a name nothing was done to."""

SNAPSHOT_NOT_LISTED: Final = "snapshot not listed"
"""The rule of a name whose date was cut off: snapshots of a model usually share its price, but not always."""

BARE_BEDROCK_ID: Final = "bare Bedrock id"
"""The rule of a Bedrock model id without a geography, where regional and global profiles cost differently. The overlay
says what is assumed of it, and with which bounds."""

GEOGRAPHY_NOT_LISTED: Final = "geography not listed"
"""The rule of a Bedrock inference profile whose geography the list does not tell apart; its rates are those of us."""

_ASSUMED: Final[Mapping[str, str]] = {
    SNAPSHOT_NOT_LISTED: "model={model}, snapshot not listed",
    GEOGRAPHY_NOT_LISTED: "region=us, geography not listed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The provider that bills a call, the names its price may stand under, and what else may select a rate."""

    provider: str
    """A price list's id, such as ``aws`` or ``x-ai``; the caller's own word where the provider is not known."""
    names: tuple[tuple[str, str], ...]
    """Model names with the rule that made each, best first; the first one is the name as asked."""
    asked_provider: str
    asked_model: str
    context: Mapping[str, str]
    """What may select a rate: ``service_tier``, ``region``, ``inference_geo``, ``speed``, ``processing``, …

    ``region`` is that of the endpoint or the resource name, as they write it, else what the caller said."""
    used: Mapping[str, str]
    """Context that resolution itself consumed. Of ``base_url`` only the host is kept, for the rest may hold secrets;
    ``region`` is here where a Bedrock inference profile names the geography that is billed."""
    assumptions: tuple[str, ...] = ()
    problem: str | None = None
    """Why no published price list may be used; your own rates may still know the provider and the model."""

    @property
    def certain_names(self) -> tuple[str, ...]:
        """The names that mean this very model: what a list that lies above others should know it by."""
        return tuple(name for name, rule in self.names if rule not in _ASSUMED)


def assumption(model: str, rule: str) -> str | None:
    """What is assumed by whoever prices a call at that model's rates by that rule; None where nothing is."""
    text = _ASSUMED.get(rule)
    return text.format(model=model) if text else None
