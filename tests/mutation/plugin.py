"""A pytest plugin for mutation runs, in which every mutant is tested in a copy of one process that has imported all.

What that process has kept was computed by unchanged code, and what one test has kept spares the next one the function
that computes it. So each test starts without: it then reaches, and is known to reach, all that it depends on. Each
property is tried with few examples, because every mutant pays for all of them.
"""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings

from costtrace.pricing import Catalog, genai_names

MAX_EXAMPLES = 10


def pytest_sessionstart() -> None:
    """Runs after the profile of tests/conftest.py was loaded, and before the tests that read it are collected."""
    settings.register_profile("mutation", settings.get_profile("costtrace"), max_examples=MAX_EXAMPLES)
    settings.load_profile("mutation")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Empties what functions, indexes and the test's catalogs have kept."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "costtrace":
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
    genai_names._INDEXES.clear()
    if isinstance(item, pytest.Function):
        for value in vars(item.module).values():
            if isinstance(value, Catalog):
                value._cards.clear()
