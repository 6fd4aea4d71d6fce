"""What it costs to price one call: costtrace beside genai_prices.calc_price and litellm.cost_per_token, in one run.

    make bench-pricing
    python benchmarks/pricing.py --check        # where the peers are installed; exit 1 when a bar is missed

Every subject prices the same usages, warm, in turns; a figure is the median over the calls of all turns. costtrace
makes the whole quote: a line per bucket, exact, with where each rate comes from. The peers return sums.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from costtrace.pricing import Catalog
from costtrace.usage_metadata import usage_from_metadata

TURNS, CALLS = 20, 300
BAR_US, BAR_RATIO, BAR_BATCH = 6.0, 20.0, 20_000
AT = datetime(2026, 11, 2, 12, tzinfo=UTC)
MODEL = "gpt-5.4"

Call = Callable[[], object]
Subject = Callable[[int, int, int], Call]
"""From uncached, cached and output tokens to the call that prices them."""


def costtrace_subject() -> Subject:
    catalog = Catalog.default()

    def prepare(plain: int, cached: int, output: int) -> Call:
        details = {"input_token_details": {"cache_read": cached}, "output_token_details": {"reasoning": 64}}
        counts = {"input_tokens": plain + cached, "output_tokens": output, "total_tokens": plain + cached + output}
        usage = usage_from_metadata({**counts, **details})
        return lambda: catalog.quote(provider="openai", model=MODEL, usage=usage, at=AT)

    return prepare


def genai_subject() -> Subject:
    import genai_prices  # noqa: PLC0415 - a peer

    def prepare(plain: int, cached: int, output: int) -> Call:
        usage = genai_prices.Usage(input_tokens=plain + cached, cache_read_tokens=cached, output_tokens=output)
        return lambda: genai_prices.calc_price(usage, MODEL, provider_id="openai", genai_request_timestamp=AT)

    return prepare


def litellm_subject() -> Subject | None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it fetches its prices when it is imported
    try:
        from litellm import cost_per_token  # noqa: PLC0415 - a peer that may be missing
    except ImportError:
        return None

    def prepare(plain: int, cached: int, output: int) -> Call:
        return lambda: cost_per_token(
            model=MODEL,
            custom_llm_provider="openai",
            prompt_tokens=plain + cached,
            completion_tokens=output,
            cache_read_input_tokens=cached,
        )

    return prepare


def measure(subjects: dict[str, Subject]) -> dict[str, float]:
    """Median microseconds of one warm call, by subject."""
    inputs = [(1000 + 7 * n, 13 * n, 50 + n) for n in range(CALLS)]
    calls = {name: [prepare(*usage) for usage in inputs] for name, prepare in subjects.items()}
    took: dict[str, list[int]] = {name: [] for name in subjects}
    for _ in range(TURNS):
        for name, priced in calls.items():
            for call in priced:
                start = time.perf_counter_ns()
                call()
                took[name].append(time.perf_counter_ns() - start)
    return {name: statistics.median(times) / 1000 for name, times in took.items()}


def batch_rate(lines: int = 100_000) -> float:
    """Quotes per second of ``costtrace price --batch`` on a pipe, the start of the process left out."""
    command = [sys.executable, "-m", "costtrace", "price", "--batch"]
    text = "".join(json.dumps(_line(number)) + "\n" for number in range(lines))
    seconds = []
    for size in (text[: text.index("\n") + 1], text):
        start = time.perf_counter()
        subprocess.run(command, input=size, text=True, stdout=subprocess.DEVNULL, check=True)
        seconds.append(time.perf_counter() - start)
    return (lines - 1) / (seconds[1] - seconds[0])


def _line(number: int) -> dict[str, Any]:
    cached = 13 * (number % 500)
    return {
        "id": number,
        "provider": "openai",
        "model": MODEL,
        "at": "2026-11-02T12:00:00Z",
        "usage": {
            "input_tokens": 1000 + cached,
            "output_tokens": 50 + number % 300,
            "total_tokens": 1050 + cached + number % 300,
            "input_token_details": {"cache_read": cached},
            "output_token_details": {"reasoning": 0},
        },
        "service_tier": "default",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="What it costs to price one call.")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    check = parser.parse_args().check
    subjects = {"costtrace": costtrace_subject(), "genai_prices": genai_subject()}
    litellm = litellm_subject()
    if litellm is None:
        print("litellm is skipped: pip install litellm")
    else:
        subjects["litellm"] = litellm
    medians = measure(subjects)
    ours = medians["costtrace"]
    print(f"{'subject':<14}{'us per call':>12}{'x ours':>9}")
    for name, micros in medians.items():
        print(f"{name:<14}{micros:>12.1f}{micros / ours:>9.1f}")
    rate = batch_rate()
    print(f"price --batch: {rate:,.0f} quotes/s (bar {BAR_BATCH:,})")
    ratios = [micros / ours for name, micros in medians.items() if name != "costtrace"]
    missed = ours > BAR_US or rate < BAR_BATCH or min(ratios) < BAR_RATIO
    return int(check and missed)


if __name__ == "__main__":
    sys.exit(main())
