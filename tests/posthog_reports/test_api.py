"""The client of PostHog's private API: what it asks, how it waits, and what it says when it is refused."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from costtrace.errors import ConfigurationError, ExporterStopped, ExporterUnavailable
from costtrace.exporters.posthog.answers import retry_after_s
from costtrace.posthog_reports.api import PostHogApi, api_host
from costtrace.sandbox.loopback import Response
from tests.posthog_reports.conftest import Client, Time
from tests.posthog_reports.project import KEY, PROJECT, Project, ok, problem

ONE = "SELECT 1 AS one"
UNAVAILABLE = Response(status=503, body=b"")
A_PAGE = Response(status=200, body=b"<html>")


@pytest.fixture
def project(project: Project) -> Project:
    """One that knows an answer without a ClickHouse."""
    project.known[ONE] = {"columns": ["one"], "results": [[1]]}
    return project


@pytest.mark.parametrize(
    ("events_go_to", "queries_go_to"),
    [
        ("https://us.i.posthog.com", "https://us.posthog.com"),
        ("https://eu.i.posthog.com/", "https://eu.posthog.com"),
        ("https://app.posthog.com", "https://us.posthog.com"),
        ("https://eu.posthog.com", "https://eu.posthog.com"),
        ("eu.i.posthog.com", "https://eu.posthog.com"),
        ("https://posthog.example.com:8443/analytics/", "https://posthog.example.com:8443/analytics"),
        ("https://us.i.posthog.com.example.com", "https://us.i.posthog.com.example.com"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000", "http://localhost:8000"),
    ],
)
def test_queries_go_to_the_host_of_the_pages(events_go_to: str, queries_go_to: str) -> None:
    assert api_host(events_go_to) == queries_go_to


@pytest.mark.parametrize(
    ("host", "words"), [("http://posthog.example.com", "plain HTTP"), ("ftp://x", "an address"), ("", "an address")]
)
def test_an_address_that_the_key_must_not_go_to_is_refused(host: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PostHogApi(host, project_id=PROJECT, personal_key=KEY)


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"project_id": None}, "POSTHOG_PROJECT_ID is not set"),
        ({"project_id": "my project"}, "POSTHOG_PROJECT_ID: expected a number such as 12345, got 'my project'"),
        ({"personal_key": None}, "POSTHOG_PERSONAL_API_KEY is not set"),
        ({"personal_key": "phc_abc"}, "holds a project token"),
        ({"personal_key": "phx_a\nX-Evil: 1"}, "holds characters that no key has"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_is_asked(
    known: dict[str, str | None], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PostHogApi(
            "https://eu.posthog.com",
            project_id=known.get("project_id", PROJECT),
            personal_key=known.get("personal_key", KEY),
        )


def test_a_query_is_calculated_now_and_named(project: Project, client: Client) -> None:
    answer = client().query(ONE, name="costtrace ai_cost")

    assert (answer["columns"], answer["results"]) == (["one"], [[1]])
    assert project.asked == [
        (
            "POST",
            "query/",
            {
                "query": {"kind": "HogQLQuery", "query": ONE},
                "refresh": "force_blocking",
                "name": "costtrace ai_cost",
            },
        )
    ]


def test_queries_of_one_client_keep_a_minute_between_them(client: Client, passing: Time) -> None:
    api = client()
    api.query(ONE, name="first")
    passing.now += 20
    api.query(ONE, name="second")

    assert passing.slept == [40.0]


def test_a_request_that_is_put_off_is_sent_again_when_the_answer_says_so(
    project: Project, client: Client, passing: Time
) -> None:
    project.faults = [problem(429, "Request was throttled.", Retry_After="17")]

    assert client().query(ONE, name="again")["results"] == [[1]]
    assert passing.slept == [17.0]


def test_without_a_time_to_wait_a_minute_is_waited(project: Project, client: Client, passing: Time) -> None:
    project.faults = [problem(429, "Request was throttled."), problem(429, "Request was throttled.")]

    client().query(ONE, name="again")

    assert passing.slept == [60.0, 60.0]


@pytest.mark.parametrize("wait", ["3600", "1e9"])
def test_a_wait_that_is_too_long_is_left_to_the_caller(
    project: Project, client: Client, passing: Time, wait: str
) -> None:
    project.faults = [problem(429, "Request was throttled.", Retry_After=wait)]

    with pytest.raises(ExporterUnavailable, match="allows no more requests for now") as caught:
        client().query(ONE, name="once")
    assert (caught.value.retry_after_s, passing.slept) == (float(wait), [])


def test_three_refusals_are_enough(project: Project, client: Client) -> None:
    project.faults = [problem(429, "Request was throttled.", Retry_After="1")] * 3

    with pytest.raises(ExporterUnavailable):
        client().query(ONE, name="never")
    assert len(project.asked) == 3


def test_retry_after_may_be_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)

    assert retry_after_s(soon) == pytest.approx(30, abs=5)
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [retry_after_s(nonsense) for nonsense in ("soon", "inf", "nan")] == [None] * 3


def test_a_key_that_posthog_does_not_know_is_said_so(client: Client) -> None:
    with pytest.raises(
        ConfigurationError, match=r"does not know the key in POSTHOG_PERSONAL_API_KEY \(Invalid API key\)"
    ):
        client(personal_key="phx_other").query(ONE, name="no")


@pytest.mark.parametrize(
    ("path", "scope"), [("query/", "query:read"), ("insights/", "insight:write"), ("dashboards/7/", "dashboard:write")]
)
def test_a_scope_that_is_missing_is_named(project: Project, client: Client, path: str, scope: str) -> None:
    project.faults = [problem(403, "API key missing required scope")]

    with pytest.raises(ConfigurationError, match=f"needs the scope '{scope}' and access to project {PROJECT}"):
        client().send("POST", path, {})


def test_a_project_that_is_not_there_is_said_so(client: Client) -> None:
    with pytest.raises(ConfigurationError, match="has no project 99 for this key"):
        client(project_id="99").query(ONE, name="no")


def test_a_query_that_posthog_does_not_understand_is_refused_with_its_words(project: Project, client: Client) -> None:
    project.faults = [problem(400, "Unable to resolve field: nowhere")]

    with pytest.raises(ExporterStopped, match=r"HTTP status 400 \(.*nowhere"):
        client().query("SELECT nowhere FROM events", name="no")


def test_an_error_of_the_server_may_pass(project: Project, client: Client) -> None:
    project.faults = [UNAVAILABLE]

    with pytest.raises(ExporterUnavailable, match="answers with HTTP status 503; try again later"):
        client().query(ONE, name="later")


def test_an_answer_before_the_end_of_the_query_is_no_answer(project: Project, client: Client) -> None:
    project.faults = [ok({"query_status": {"id": "1", "complete": False}})]

    with pytest.raises(ExporterUnavailable, match="has not finished the query"):
        client().query(ONE, name="later")


def test_something_that_is_no_posthog_is_noticed(project: Project, client: Client) -> None:
    project.faults = [A_PAGE]

    with pytest.raises(ExporterUnavailable, match="is POSTHOG_HOST a PostHog"):
        client().query(ONE, name="later")


def test_the_key_does_not_follow_a_redirect(project: Project, client: Client) -> None:
    project.faults = [problem(302, "", Location=f"{project.address}/api/projects/{PROJECT}/query/")]

    with pytest.raises(ConfigurationError, match="sends elsewhere"):
        client().query(ONE, name="elsewhere")
    assert len(project.asked) == 1


def test_a_connection_that_breaks_may_pass(project: Project, client: Client) -> None:
    project.faults = [None]

    with pytest.raises(ExporterUnavailable, match="cannot be reached"):
        client().query(ONE, name="later")


def test_nobody_at_the_address_may_pass() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"

    with pytest.raises(ExporterUnavailable, match=r"cannot be reached: .*refused"):
        PostHogApi(address, project_id=PROJECT, personal_key=KEY).query(ONE, name="later")
