"""Fixtures of the emulators. A conftest that wants them says ``from tests.peers.fixtures import *``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from costtrace.ledger.dynamodb.client import forget_clients
from tests.peers.emulator import Account, Emulator, ministack, moto
from tests.peers.fault_proxy import FaultProxy

__all__ = ["aws", "aws_emulator", "aws_environment", "enforcing_emulator", "fault_proxy", "moto_emulator"]


@pytest.fixture(scope="session")
def aws_emulator() -> Iterator[Emulator]:
    """MiniStack, one for the whole run."""
    with ministack() as running:
        yield running


@pytest.fixture(scope="session")
def enforcing_emulator() -> Iterator[Emulator]:
    """MiniStack that checks signatures and policies."""
    with ministack(enforce_iam=True) as running:
        yield running


@pytest.fixture(scope="session")
def moto_emulator() -> Iterator[Emulator]:
    """Moto."""
    with moto() as running:
        yield running


@pytest.fixture
def aws(aws_emulator: Emulator) -> Account:
    """An account of MiniStack that only this test uses."""
    return aws_emulator.account()


@pytest.fixture
def aws_environment(aws: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """The environment of the process leads to that account, and no client is left that was made for another."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    forget_clients()
    yield aws
    forget_clients()


@pytest.fixture
def fault_proxy(aws_emulator: Emulator) -> Iterator[FaultProxy]:
    """A relay before MiniStack that can be told to fail."""
    proxy = FaultProxy(aws_emulator.endpoint)
    proxy.start()
    yield proxy
    proxy.stop()
