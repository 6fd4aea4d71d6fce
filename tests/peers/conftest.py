"""The peers prove themselves before they prove anything of ours."""

from tests.peers.fixtures import *  # noqa: F403 - fixtures
