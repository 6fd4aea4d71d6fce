"""Which LangChain run the code here is inside of: LangChain tells what it runs, by a context variable of its own.

That variable is internal to LangChain, so nobody else reads it; where it is silent, nothing is current.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from langchain_core.runnables.config import var_child_runnable_config


def current_config() -> Mapping[str, Any]:
    """The configuration that runs started here are given; empty outside of any run."""
    return var_child_runnable_config.get() or {}


def run_of(config: Mapping[str, Any]) -> UUID | None:
    """The run whose children that configuration is for."""
    run_id = getattr(config.get("callbacks"), "parent_run_id", None)
    return run_id if isinstance(run_id, UUID) else None


def current_run_id() -> UUID | None:
    """The innermost run around the code that asks."""
    return run_of(current_config())
