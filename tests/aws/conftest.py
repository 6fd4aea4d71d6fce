"""Emulators of AWS for the parts behind the functions."""

from tests.peers.fixtures import *  # noqa: F403 - fixtures
