"""JSON on the hot path.

Every installation of langchain-core on CPython brings orjson along (langsmith requires it there); it writes in a tenth
of the time that the standard library takes, and writing is most of what recording an entry costs. Elsewhere the
standard library does the same work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]  # absence is the value

_standard = json.JSONEncoder(separators=(",", ":"), default=str, allow_nan=False).encode


def _encode_fast(value: Any) -> str:
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:  # an integer beyond 64 bits, or keys that are no text
        return _standard(value)


encode: Callable[[Any], str] = _standard if orjson is None else _encode_fast
"""Compact JSON text without line breaks. What JSON has no word for is written as its `str`; raises TypeError or
ValueError for what cannot be written at all."""

decode: Callable[[str | bytes], Any] = json.loads if orjson is None else orjson.loads
"""The value of a JSON text; raises ValueError."""
