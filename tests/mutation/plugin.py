"""A pytest plugin for mutation runs, in which every mutant is tested in a copy of one process that has imported all.

What that process has cached was computed by unchanged code, so the caches are emptied; and each property is tried with
few examples, because every mutant pays for all of them.
"""

from __future__ import annotations

import sys

from hypothesis import settings

MAX_EXAMPLES = 10


def pytest_sessionstart() -> None:
    """Runs after the profile of tests/conftest.py was loaded, and before the tests that read it are collected."""
    settings.register_profile("mutation", settings.get_profile("costtrace"), max_examples=MAX_EXAMPLES)
    settings.load_profile("mutation")
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "costtrace":
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
