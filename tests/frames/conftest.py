"""Ledgers of every implementation, as for the ledgers' own tests."""

from tests.ledger.conftest import *  # noqa: F403 - fixtures
