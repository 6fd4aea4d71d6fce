"""What spans say of calls that differ from a sample in their counts and costs alone, without an `Entry` of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from costtrace.entry import Entry
from costtrace.tracing import names
from costtrace.tracing.attributes import WRITTEN, outcome_attributes

Costs = tuple[str, float, int | None, float, float]
"""What a call costs in US dollars: exactly, as a double, in whole 1e-9, and the doubles of its parts for input and
output."""

_FILLED_IN: Final = (
    names.INPUT_TOKENS,
    names.OUTPUT_TOKENS,
    names.TOTAL_TOKENS,
    names.CACHE_READ,
    names.CACHE_WRITE_OLD,
    names.CACHE_WRITE,
    names.REASONING,
    names.COST_USD,
    names.OPERATION_COST,
    names.LLM_COST_TOTAL,
    names.USAGE_COST,
    names.LLM_COST_PROMPT,
    names.LLM_COST_COMPLETION,
)
_COST_NANO_USD: Final = names.COST_NANO_USD
_ALWAYS: Final = frozenset({names.RESPONSE_MODEL, names.COST_STATUS, names.PRICE_SOURCE, names.PRICE_VERSION})
"""Nothing else repeats itself: a preset may say costs under names of its own."""


class RepeatedOutcome:
    """What `outcome_attributes` says of each call that is like a sample. Made by `repeated_outcome`."""

    __slots__ = ("_always", "_read", "_written")

    def __init__(self, always: Mapping[str, Any], buckets: Sequence[str]) -> None:
        self._always = dict(always)
        self._read = [at for at, bucket in enumerate(buckets) if bucket == "cache_read"]
        self._written = [at for at, bucket in enumerate(buckets) if bucket in WRITTEN]

    def attributes(
        self,
        counts: Sequence[int],
        totals: tuple[int, int, int],
        costs: Costs,
        shown: Mapping[str, Any] = names.NOTHING,
    ) -> dict[str, Any]:
        """The same of a call with those counts by bucket, in the sample's order; with it what is `shown` besides.

        `totals` are its tokens of input, of output, and of reasoning among these.
        """
        input_tokens, output_tokens, reasoning_tokens = totals
        usd, amount, nano_usd, prompt, completion = costs
        read = counts[self._read[0]] if self._read else 0
        written = sum([counts[at] for at in self._written]) if self._written else 0
        # fmt: off
        values = (
            input_tokens, output_tokens, input_tokens + output_tokens, read, written, written, reasoning_tokens,
            usd, amount, amount, amount, prompt, completion,
        )
        # fmt: on
        found = {**shown, **self._always, **dict(zip(_FILLED_IN, values, strict=True))}
        if nano_usd is not None:
            found[_COST_NANO_USD] = nano_usd
        return found


def repeated_outcome(
    sample: Entry, presets: frozenset[str], counts: Sequence[int], costs: Costs
) -> RepeatedOutcome | None:
    """That of calls like the sample, whose counts and costs these are; None where they do not repeat what it says."""
    usage = sample.usage
    if usage is None:
        return None
    said = outcome_attributes(sample, presets)
    always = {name: value for name, value in said.items() if name in _ALWAYS}
    outcome = RepeatedOutcome(always, tuple(usage.buckets))
    again = outcome.attributes(counts, (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens), costs)
    return outcome if again == said else None
