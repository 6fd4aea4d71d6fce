"""A project to report on, and a client for it that never really waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from costtrace.posthog_reports.api import PostHogApi
from tests.posthog_reports.project import KEY, PROJECT, Project, serving

Client = Callable[..., PostHogApi]


@pytest.fixture
def project() -> Iterator[Project]:
    standin = Project()
    with serving(standin):
        yield standin


class Time:
    """Seconds that pass when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def passing() -> Time:
    return Time()


@pytest.fixture
def client(project: Project, passing: Time) -> Client:
    def make(*, project_id: str = PROJECT, personal_key: str = KEY) -> PostHogApi:
        return PostHogApi(
            project.address,
            project_id=project_id,
            personal_key=personal_key,
            sleep=passing.sleep,
            clock=passing.clock,
        )

    return make
