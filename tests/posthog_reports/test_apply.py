"""`apply`: the project becomes what the definitions say, once, and nothing of others is touched."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from costtrace.errors import ConfigurationError, ExporterUnavailable
from costtrace.posthog_reports import payloads
from costtrace.posthog_reports.apply import IdFile, Outcome, apply
from costtrace.posthog_reports.definitions import REPORTS
from costtrace.sandbox.loopback import Response
from tests.posthog_reports.conftest import Client
from tests.posthog_reports.project import PROJECT, Project, Thing, ok, problem

NAMES = [payloads.DASHBOARD, *(report.name for report in REPORTS)]


@pytest.fixture
def ids(tmp_path: Path) -> IdFile:
    return IdFile(tmp_path / "ids.json")


def outcomes(client: Client, ids: IdFile, environment: str = "production") -> dict[str, Outcome]:
    return {one.name: one.outcome for one in apply(client(), ids, environment=environment)}


def insights(project: Project) -> Iterator[Thing]:
    yield from project.things["insights"].values()


def test_the_first_time_everything_is_made(project: Project, client: Client, ids: IdFile) -> None:
    assert outcomes(client, ids) == dict.fromkeys(NAMES, Outcome.CREATED)

    (dashboard,) = project.things["dashboards"].values()
    assert dashboard["name"] == "Cost of messages"
    assert dashboard["tags"] == ["costtrace:dashboard_v1"]
    assert [thing["name"] for thing in insights(project)] == [report.title for report in REPORTS]
    assert [thing["tags"] for thing in insights(project)] == [[f"costtrace:{report.name}_v1"] for report in REPORTS]
    assert [thing["dashboards"] for thing in insights(project)] == [[dashboard["id"]]] * len(REPORTS)


def test_what_was_made_says_where_it_is(project: Project, client: Client, ids: IdFile) -> None:
    first, *_ = apply(client(), ids, environment=None)

    (number,) = project.things["dashboards"]
    assert first.address == f"{project.address}/project/{PROJECT}/dashboard/{number}"


def test_the_second_time_nothing_is_written(project: Project, client: Client, ids: IdFile) -> None:
    apply(client(), ids, environment="production")
    project.asked.clear()

    assert outcomes(client, ids) == dict.fromkeys(NAMES, Outcome.UNCHANGED)
    assert project.writes() == []
    assert len(project.asked) == len(NAMES)


@pytest.mark.parametrize("keeps_tags", [True, False])
def test_without_the_file_what_is_ours_is_found(
    tmp_path: Path, project: Project, client: Client, *, keeps_tags: bool
) -> None:
    project.keeps_tags = keeps_tags
    apply(client(), IdFile(tmp_path / "lost.json"), environment="production")
    project.asked.clear()

    assert outcomes(client, IdFile(tmp_path / "new.json")) == dict.fromkeys(NAMES, Outcome.UNCHANGED)
    assert project.writes() == []


def test_a_query_that_changed_is_patched_and_nothing_else(project: Project, client: Client, ids: IdFile) -> None:
    apply(client(), ids, environment="production")
    project.asked.clear()

    assert outcomes(client, ids, environment="staging") == {
        **dict.fromkeys(NAMES, Outcome.UPDATED),
        payloads.DASHBOARD: Outcome.UNCHANGED,
    }
    assert [(method, set(body)) for method, _, body in project.asked if method != "GET"] == [("PATCH", {"query"})] * 4
    assert all("'staging'" in thing["query"]["source"]["query"] for thing in insights(project))


def test_a_changed_name_is_put_right(project: Project, client: Client, ids: IdFile) -> None:
    apply(client(), ids, environment="production")
    first = next(insights(project))
    first["name"] = "My costs"

    assert outcomes(client, ids)[REPORTS[0].name] is Outcome.UPDATED
    assert first["name"] == REPORTS[0].title


def test_nothing_of_others_is_touched(project: Project, client: Client, ids: IdFile) -> None:
    theirs: list[tuple[str, dict[str, Any]]] = [
        ("dashboards", {"name": "Cost of messages", "description": "the same name"}),
        ("dashboards", {"name": "Revenue", "tags": ["costtrace"]}),
        ("insights", {"name": REPORTS[0].title, "description": "costtrace:ai_cost", "query": {"kind": "X"}}),
        ("insights", {"name": "Copy", "tags": ["costtrace:ai_cost_v2", "costtrace:mine"]}),
    ]
    before = [(place, project.put(place, **thing)) for place, thing in theirs]
    kept = [json.dumps(project.things[place][number]) for place, number in before]

    apply(client(), ids, environment="production")
    outcomes(client, ids, environment="staging")

    assert [json.dumps(project.things[place][number]) for place, number in before] == kept
    assert {method for method, _ in project.writes()} == {"POST", "PATCH"}


def test_other_dashboards_and_tags_of_our_insights_stay(project: Project, client: Client, ids: IdFile) -> None:
    apply(client(), ids, environment="production")
    (dashboard,) = project.things["dashboards"]
    first = next(insights(project))
    first["dashboards"], first["tags"] = [7], ["finance", *first["tags"]]

    apply(client(), ids, environment="staging")

    assert first["dashboards"] == [7, dashboard]
    assert first["tags"] == ["finance", f"costtrace:{REPORTS[0].name}_v1"]


def test_an_insight_that_was_deleted_is_made_anew(project: Project, client: Client, ids: IdFile) -> None:
    apply(client(), ids, environment="production")
    next(insights(project))["deleted"] = True

    assert outcomes(client, ids)[REPORTS[0].name] is Outcome.CREATED
    assert outcomes(client, ids)[REPORTS[0].name] is Outcome.UNCHANGED


def test_an_id_that_became_somebody_elses_is_left_alone(project: Project, client: Client, ids: IdFile) -> None:
    apply(client(), ids, environment="production")
    taken = next(insights(project))
    taken.update(name="Theirs", description="", tags=[])

    assert outcomes(client, ids)[REPORTS[0].name] is Outcome.CREATED
    assert taken["name"] == "Theirs"


def test_what_a_broken_off_run_made_is_found_by_the_next(project: Project, client: Client, ids: IdFile) -> None:
    project.refuses = ("GET", "insights/", problem(403, "API key missing required scope"))
    with pytest.raises(ConfigurationError, match="'insight:write'"):
        apply(client(), ids, environment="production")
    project.refuses = None

    assert outcomes(client, ids)[payloads.DASHBOARD] is Outcome.UNCHANGED
    assert len(project.things["dashboards"]) == 1


def test_a_creation_whose_answer_was_lost_is_not_made_twice(project: Project, client: Client, ids: IdFile) -> None:
    project.refuses = ("POST", "dashboards/", None)
    with pytest.raises(ExporterUnavailable):
        apply(client(), ids, environment="production")
    project.refuses = None

    apply(client(), ids, environment="production")

    assert len(project.things["dashboards"]) == 1


@pytest.mark.parametrize("answer", [ok({}), problem(404, "Not found.")])
def test_something_that_disappears_meanwhile_may_pass(
    project: Project, client: Client, ids: IdFile, answer: Response
) -> None:
    apply(client(), ids, environment="production")
    first = next(insights(project))
    project.refuses = ("PATCH", f"insights/{first['id']}/", answer)

    with pytest.raises(ExporterUnavailable, match="changed while it was brought up to date"):
        apply(client(), ids, environment="staging")


def test_two_projects_share_one_file(project: Project, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    IdFile(path).write("https://eu.posthog.com/project/1", {"dashboard": 5})

    apply(client(), IdFile(path), environment=None)

    known = json.loads(path.read_text())
    assert known["https://eu.posthog.com/project/1"] == {"dashboard": 5}
    assert set(known[f"{project.address}/project/{PROJECT}"]) == set(NAMES)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_a_file_that_is_none_of_ours_is_refused_before_anything_is_asked(
    project: Project, client: Client, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "ids.json"
    path.write_text(text)

    with pytest.raises(ConfigurationError, match=r"name another with --ids"):
        apply(client(), IdFile(path), environment=None)
    assert (project.asked, path.read_text()) == ([], text)
