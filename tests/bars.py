"""How long something may take at most: the bar itself where COSTTRACE_TEST_BARS is set, for a machine that is idle.

Elsewhere a busy machine is given its time, and what hangs is still found.
"""

from __future__ import annotations

import os


def within(bar_s: float) -> float:
    return bar_s if os.environ.get("COSTTRACE_TEST_BARS") else max(3 * bar_s, bar_s + 1)
