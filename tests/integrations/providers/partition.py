"""What must hold of every usage, whichever package reported it."""

from costtrace import Entry
from costtrace.usage import DIRECTIONS, Usage


def usage_of(entry: Entry) -> Usage:
    """The entry's usage, once its token buckets are seen to add up to LangChain's own totals."""
    usage = entry.usage
    assert usage is not None
    assert usage.problem is None
    reported = usage.raw["usage_metadata"]
    assert _tokens(usage, "input") == usage.input_tokens == reported["input_tokens"]
    assert _tokens(usage, "output") == usage.output_tokens == reported["output_tokens"]
    return usage


def _tokens(usage: Usage, direction: str) -> int:
    return sum(count for bucket, count in usage.buckets.items() if DIRECTIONS.get(bucket) == direction)
