"""A browser, for tests of what is seen; a receiver of spans, for what is exported."""

from tests.browser import browser, visit
from tests.otlp.fixtures import otlp

__all__ = ["browser", "otlp", "visit"]
