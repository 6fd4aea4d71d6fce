"""How long to leave alone what failed."""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 1.0
LONGEST_S: Final = 300.0
_DAY_S: Final = 86_400.0
"""Whoever asks for more than that is tried again all the same."""
_DOUBLINGS: Final = 20
"""More would change nothing but the size of the number."""


def pause_s(failures: int, chance: float, *, at_least: float = 0.0) -> float:
    """Seconds until the next attempt after so many failures in a row.

    Up to 1 s after the first, up to 5 minutes after the ninth; `chance` in [0, 1) says how much of it, so that many
    who failed together do not come back together. `at_least` is what the other side asked for.
    """
    longest = min(FIRST_S * (1 << min(failures - 1, _DOUBLINGS)), LONGEST_S)
    return min(max(longest * chance, at_least), _DAY_S)  # in this order, a NaN asks for nothing
