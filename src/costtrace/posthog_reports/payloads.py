"""The reports as PostHog's API takes them: one insight each, and the dashboard they stand on.

Every number is a SQL tile. A TrendsQuery sums rows as they were stored, so that an event delivered twice and every
earlier price of an SMS would count again.
"""

from __future__ import annotations

from typing import Any, Final

from costtrace.posthog_reports.definitions import REPORTS, Column, Kind, Report

DASHBOARD: Final = "dashboard"
DASHBOARD_NAME: Final = "Cost of messages"
DASHBOARD_DESCRIPTION: Final = (
    "What messages cost, LLM and SMS together. Kept by costtrace: changes made here are undone by its next run."
)
TILE_HEIGHT: Final = 6
TILE_WIDTH: Final = 12
"""The whole width of PostHog's grid."""


def tag(name: str) -> str:
    """The tag by which the report, or `DASHBOARD`, is known again. PostHog drops tags in plans that have none."""
    return f"costtrace:{name}_v1"


def insight(report: Report, *, environment: str | None) -> dict[str, Any]:
    """The insight that shows the report, without the dashboards it stands on."""
    return {
        "name": report.title,
        "description": _signed(report.description, report.name),
        "query": visualization(report, environment=environment),
        "tags": [tag(report.name)],
    }


def dashboard() -> dict[str, Any]:
    """The dashboard, without what stands on it."""
    return {
        "name": DASHBOARD_NAME,
        "description": _signed(DASHBOARD_DESCRIPTION, DASHBOARD),
        "tags": [tag(DASHBOARD)],
    }


def visualization(report: Report, *, environment: str | None) -> dict[str, Any]:
    """The query of that report as a table whose dates follow the dashboard's."""
    return {
        "kind": "DataVisualizationNode",
        "source": {
            "kind": "HogQLQuery",
            "query": report.for_dashboard(environment=environment),
            "filters": {"dateRange": {"date_from": "-30d"}},
        },
        "display": "ActionsTable",
        "tableSettings": {"columns": [_shown(column) for column in report.columns]},
    }


def layouts(position: int) -> dict[str, dict[str, int]]:
    """Where the tile of that position stands: one below the other, as wide as the dashboard."""
    return {"sm": {"x": 0, "y": position * TILE_HEIGHT, "w": TILE_WIDTH, "h": TILE_HEIGHT}}


def everything(*, environment: str | None) -> dict[str, Any]:
    """The dashboard and its insights, each as a request body."""
    return {
        "dashboard": dashboard(),
        "insights": [insight(report, environment=environment) for report in REPORTS],
    }


def _shown(column: Column) -> dict[str, Any]:
    dollars = {"settings": {"formatting": {"prefix": "$"}}} if column.kind is Kind.USD else {}
    return {"column": column.name, **dollars}


def _signed(description: str, name: str) -> str:
    """The description with the tag in it: what a plan without tags keeps."""
    return f"{description} [{tag(name)}]"
