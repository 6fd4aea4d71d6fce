"""What PostHog's server makes of the cost properties of an event: a model of its rule, for four generations of it.

Read from the published source of its ingestion. The order is: costs of input and output that are both there and not
zero are kept; the two newer generations then keep any number that comes with ``$ai_cost_passthrough``; then prices on
the event, then PostHog's price list. The last two never overwrite a number, fill in what is missing, and make a total
of everything where none was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PARTS = ("$ai_input_cost_usd", "$ai_output_cost_usd", "$ai_request_cost_usd", "$ai_web_search_cost_usd")
TOTAL = "$ai_total_cost_usd"
GENERATIONS = (1, 2, 3, 4)

LIST = {"input": 5e-6, "output": 15e-6, "request": 0.01, "web_search": 0.025}
"""Prices unlike any of ours, so that an estimate cannot be mistaken for our cost."""


def shown(properties: Mapping[str, Any], generation: int) -> dict[str, Any]:
    """The costs on the stored event, and under ``source`` who had the last word."""
    known = {name: properties[name] for name in (*PARTS, TOTAL) if isinstance(properties.get(name), (int, float))}
    if known.get(PARTS[0]) and known.get(PARTS[1]):
        return {"source": "client", **known, TOTAL: known.get(TOTAL, sum(known[name] for name in PARTS[:2]))}
    if generation >= 3 and properties.get("$ai_cost_passthrough") is True and TOTAL in known:
        return {"source": "passthrough", **known}
    if "$ai_model" not in properties:
        return {"source": "none", **known}
    estimate = {
        PARTS[0]: properties.get("$ai_input_tokens", 0) * LIST["input"],
        PARTS[1]: properties.get("$ai_output_tokens", 0) * LIST["output"],
        PARTS[2]: properties.get("$ai_request_count", 1) * LIST["request"],
        PARTS[3]: properties.get("$ai_web_search_count", 0) * LIST["web_search"],
    }
    filled = {**estimate, **known}
    return {"source": "openrouter", **filled, TOTAL: known.get(TOTAL, sum(filled[name] for name in PARTS))}
