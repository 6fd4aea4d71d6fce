"""For a conftest: ``from tests.otlp.fixtures import otlp`` makes the fixture known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.otlp.capture import CaptureServer


@pytest.fixture
def otlp() -> Iterator[CaptureServer]:
    """A receiver for this test; whatever reached it must have been well-formed."""
    with CaptureServer() as server:
        yield server
        server.spans()
