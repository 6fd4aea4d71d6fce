"""What holds for every test: our own fault boundary stays silent, and nothing global is left behind."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

FAULT = "costtrace failed"
"""How the one boundary between costtrace and the host application begins what it logs."""

# Many of the machines this runs on are shared: a slow example is no failure. The examples are the same in every run.
settings.register_profile(
    "costtrace", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("costtrace")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "expects_fault: the test makes costtrace itself fail, and looks at how it copes")


class _Faults(logging.Handler):
    """Collects what the fault boundary logs, whatever the levels of the loggers."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(FAULT):
            self.texts.append(logging.Formatter().format(record))


@pytest.fixture(autouse=True)
def _no_faults(request: pytest.FixtureRequest) -> Iterator[None]:
    """A fault that was kept from the application is still a failure here."""
    faults = _Faults()
    log = logging.getLogger("costtrace")
    log.addHandler(faults)
    try:
        yield
    finally:
        log.removeHandler(faults)
    if faults.texts and request.node.get_closest_marker("expects_fault") is None:
        pytest.fail("\n".join(["costtrace kept a fault of its own from the application:", *faults.texts]))


@pytest.fixture(autouse=True)
def _not_installed() -> Iterator[None]:
    """What `costtrace.install` attached to this process is switched off again."""
    yield
    attach = sys.modules.get("costtrace.langchain.attach")  # not imported for tests that never did
    if attach is not None:
        attach.uninstall()
