"""Every place that something can be delivered to, in turn; the emulator of AWS for the one that is a table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exporters.places import DynamoDBPlace, JsonlPlace, Place, PostHogPlace, SqlitePlace
from tests.peers.fixtures import *  # noqa: F403 - fixtures


@pytest.fixture(params=["jsonl", "sqlite", "dynamodb", "posthog"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty place of each kind."""
    made: Place
    match request.param:
        case "jsonl":
            made = JsonlPlace(tmp_path)
        case "sqlite":
            made = SqlitePlace(tmp_path)
        case "dynamodb":
            made = DynamoDBPlace(request.getfixturevalue("aws"))
        case _:
            made = PostHogPlace()
    yield made
    made.close()
