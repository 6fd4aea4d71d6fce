"""A PostHog on loopback, and an exporter that delivers there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from costtrace.exporters.posthog import PostHogExporter
from costtrace.sandbox.posthog import PostHogServer

NewExporter = Callable[..., PostHogExporter]


@pytest.fixture
def posthog() -> Iterator[PostHogServer]:
    with PostHogServer() as server:
        yield server


@pytest.fixture
def new_exporter(posthog: PostHogServer) -> Iterator[NewExporter]:
    """Makes exporters to that server; what a test does not say has its default."""
    made: list[PostHogExporter] = []

    def make(**options: object) -> PostHogExporter:
        known = {"host": posthog.host, "timeout_s": 5.0, **options}
        made.append(PostHogExporter(posthog.project_token, **known))  # type: ignore[arg-type]  # any of its options
        return made[-1]

    yield make
    for exporter in made:
        exporter.close()


@pytest.fixture
def exporter(new_exporter: NewExporter) -> PostHogExporter:
    return new_exporter()
