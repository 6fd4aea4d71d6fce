"""What `docs/traces.md` says of Phoenix and MLflow, asked of those that run here.

Start one on loopback and name it in VIEWER_PHOENIX or VIEWER_MLFLOW, such as ``http://127.0.0.1:6006``. They are not
among the requirements of the tests. Where an answer has changed, the page has to.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from costtrace.ledger import SqliteLedger
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from costtrace.sandbox.demo import scripted

PHOENIX: Final = os.environ.get("VIEWER_PHOENIX", "")
MLFLOW: Final = os.environ.get("VIEWER_MLFLOW", "")
OWN_MODEL: Final = "chat harbor-tone-1"
RATES: Final = """
[[rate]]
provider = "openai"
model = "gpt-4o"
input = 100
output = 400

[[rate]]
provider = "openai"
model = "harbor-tone-1"
input = 10
output = 40
"""
PATIENCE_S: Final = 60.0

needs_phoenix = pytest.mark.skipif(not PHOENIX, reason="no Phoenix is named in VIEWER_PHOENIX")
needs_mlflow = pytest.mark.skipif(not MLFLOW, reason="no MLflow is named in VIEWER_MLFLOW")
pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")


def ask(url: str, body: Mapping[str, Any] | None = None) -> Any:
    with httpx.Client(trust_env=False, timeout=30) as client:
        answer = client.get(url) if body is None else client.post(url, json=body)
    return answer.raise_for_status().json()


def tell(
    directory: Path, endpoint: str, presets: Sequence[str], *, resource: Mapping[str, str], headers: Mapping[str, str]
) -> dict[str, Decimal]:
    """The demo, at rates of its own, told to a viewer; the cost of each entry that has a span, by span id."""
    rates = directory / "rates.toml"
    rates.write_text(RATES)
    ledger = SqliteLedger(directory / "costs.db")
    provider = TracerProvider(resource=Resource.create(resource))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces", headers=dict(headers))))
    recorder = Recorder(ledger, catalog=Catalog.default(rates), tracer_provider=provider, span_presets=presets)
    scripted(recorder)
    recorder.flush()
    provider.shutdown()
    costs = {
        entry.span.span_id: entry.cost.amount for _, entry in ledger.entries() if entry.span and entry.cost is not None
    }
    recorder.close()
    return costs


def waited_for(spans: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The spans of the demo, once the viewer has stored the last of them."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = spans()
        if any(span["name"] == OWN_MODEL for span in found):
            return found
        assert time.monotonic() < deadline, f"{len(found)} spans"
        time.sleep(1)


def kinds(spans: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    """The kinds of the spans, by the first word of their names."""
    words = {span["name"].split()[0] for span in spans}
    return {word: {span["kind"] for span in spans if span["name"].split()[0] == word} for word in words}


def phoenix_spans(project: str) -> list[dict[str, Any]]:
    fields = "name spanKind spanId attributes costSummary { total { cost } }"
    query = f"{{ projects {{ edges {{ node {{ name spans(first: 200) {{ edges {{ node {{ {fields} }} }} }} }} }} }} }}"
    found = ask(f"{PHOENIX}/graphql", {"query": query})["data"]["projects"]["edges"]
    return [
        {
            "name": edge["node"]["name"],
            "id": edge["node"]["spanId"],
            "kind": edge["node"]["spanKind"],
            "attributes": json.loads(edge["node"]["attributes"]),
            "cost": (edge["node"]["costSummary"] or {"total": {"cost": None}})["total"]["cost"],
        }
        for one in found
        if one["node"]["name"] == project
        for edge in one["node"]["spans"]["edges"]
    ]


@needs_phoenix
@pytest.mark.parametrize("presets", [[], ["openinference"]], ids=["no preset", "openinference"])
def test_phoenix_draws_kinds_shows_its_own_costs_and_keeps_ours_as_attributes(
    tmp_path: Path, presets: list[str]
) -> None:
    project = f"costtrace-{uuid4().hex[:8]}"
    costs = tell(tmp_path, PHOENIX, presets, resource={"openinference.project.name": project}, headers={})
    spans = waited_for(lambda: phoenix_spans(project))

    other = {"chain"} if presets else {"unknown"}
    assert kinds(spans) == {
        "chat": {"llm"},
        "invoke_agent": {"agent"},
        "execute_tool": {"tool"},
        **dict.fromkeys(["invoke_workflow", "send", "process", "reconcile"], other),
    }
    calls = [span for span in spans if span["id"] in costs and span["kind"] == "llm"]
    assert calls
    for span in calls:
        assert Decimal(span["attributes"]["costtrace"]["cost"]["usd"]) == costs[span["id"]]
        if span["name"] == OWN_MODEL:
            assert span["cost"] is None
        elif span["name"] == "chat gpt-4o":
            assert 0 < span["cost"] < float(costs[span["id"]]) / 10
    assert {span["cost"] for span in spans if span["name"] in {"send sms", "reconcile sms.price"}} == {None}
    assert not any("link" in json.dumps(span["attributes"]) for span in spans)


def said_in(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes as OTLP has them."""
    values = {pair["key"]: pair["value"] for pair in pairs}
    return {
        key: said_in(value["kvlist_value"]["values"]) if "kvlist_value" in value else next(iter(value.values()))
        for key, value in values.items()
    }


def mlflow_spans(experiment: str) -> list[dict[str, Any]]:
    where = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}]
    found = ask(f"{MLFLOW}/api/3.0/mlflow/traces/search", {"locations": where, "max_results": 200})
    spans = []
    for trace in found.get("traces", []):
        whole = ask(f"{MLFLOW}/api/3.0/mlflow/traces/get?trace_id={trace['trace_id']}")["trace"]
        for span in whole["spans"]:
            said = said_in(span["attributes"])
            known = {"name": span["name"], "attributes": said, "links": span.get("links", [])}
            spans.append({**known, "kind": said.get("mlflow.spanType")})
    return spans


def mlflow_cost(span: Mapping[str, Any]) -> float | None:
    cost: dict[str, float] = span["attributes"].get("mlflow.llm.cost", {})
    return cost.get("total_cost")


@needs_mlflow
@pytest.mark.parametrize("presets", [[], ["mlflow"]], ids=["no preset", "mlflow"])
def test_mlflow_keeps_links_and_with_its_preset_the_cost_of_every_call(tmp_path: Path, presets: list[str]) -> None:
    experiment = ask(f"{MLFLOW}/api/2.0/mlflow/experiments/create", {"name": f"costtrace-{uuid4().hex[:8]}"})
    number = experiment["experiment_id"]
    tell(tmp_path, MLFLOW, presets, resource={}, headers={"x-mlflow-experiment-id": number})
    spans = waited_for(lambda: mlflow_spans(number))

    calls = [span for span in spans if span["name"].startswith("chat") and "costtrace.cost.usd" in span["attributes"]]
    assert {span["kind"] for span in calls} == {"CHAT_MODEL"}
    for span in calls:
        ours = float(span["attributes"]["costtrace.cost.usd"])
        if presets:
            assert mlflow_cost(span) == ours
        elif span["name"] == OWN_MODEL:
            assert mlflow_cost(span) is None
        elif span["name"] == "chat gpt-4o":
            assert 0 < (mlflow_cost(span) or 0) < ours / 10
    for name, links in (("send sms", {1, 2}), ("process sms.status", {1})):
        assert {len(span["links"]) for span in spans if span["name"] == name} == links
    assert {mlflow_cost(span) for span in spans if "sms" in span["name"]} == {None}
