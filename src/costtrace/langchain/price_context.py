"""What request and answer say together of what was bought; the answer knows better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costtrace.entry import NO_DETAILS
from costtrace.langchain.requests import Asked
from costtrace.langchain.results import Answer
from costtrace.usage import Usage, flagged


def usage_of(asked: Asked | None, answer: Answer) -> Usage | None:
    """The usage of the answer, with what the request tells its reader to know."""
    usage = answer.usage
    if usage is None or asked is None or asked.flag is None:
        return usage
    return flagged(usage, asked.flag)


def price_context(asked: Asked | None, answer: Answer) -> Mapping[str, Any]:
    """What selects a rate, as `Catalog.quote` takes it."""
    if asked is None and not answer.context and not answer.reported:
        return NO_DETAILS
    said: dict[str, Any] = {}
    if asked is not None:
        said.update(asked.context)
        if answer.service_tier is None and asked.service_tier is not None:
            said["requested_service_tier"] = asked.service_tier
    said.update(answer.context)
    if answer.reported:
        said["provider_reported"] = answer.reported
    if "cache_ttl" in said and (answer.usage is None or "cache_write" not in answer.usage.buckets):
        del said["cache_ttl"]  # the answer says itself how long each write is kept, or nothing was written
    return said
