"""The reports as resources of PostHog's Terraform provider, to be kept with the rest of what is deployed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from costtrace.posthog_reports import payloads
from costtrace.posthog_reports.definitions import REPORTS

_HEAD: Final = """\
terraform {
  required_providers {
    posthog = {
      source  = "PostHog/posthog"
      version = "~> 1.0"
    }
  }
}
"""
_INDENT: Final = "  "


def terraform(*, environment: str | None) -> str:
    """A module of one dashboard, its insights and their places; needs the provider's own variables and nothing else."""
    blocks = [_HEAD, _resource("posthog_dashboard", "costtrace", _texts(payloads.dashboard()))]
    for report in REPORTS:
        body = payloads.insight(report, environment=environment)
        query = _Expression(f"jsonencode({_value(body.pop('query'), 1)})")
        on = _Expression("[posthog_dashboard.costtrace.id]")
        blocks.append(
            _resource("posthog_insight", report.name, {**_texts(body), "query_json": query, "dashboard_ids": on})
        )
    blocks.append(_resource("posthog_dashboard_layout", "costtrace", _places()))
    return "\n".join(blocks)


class _Expression(str):
    """Written as it is."""

    __slots__ = ()


def _texts(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("name", "description", "tags")}


def _places() -> dict[str, Any]:
    tiles = [
        {
            "insight_id": _Expression(f"posthog_insight.{report.name}.id"),
            "layouts_json": _Expression(f"jsonencode({_value(payloads.layouts(position), 3)})"),
        }
        for position, report in enumerate(REPORTS)
    ]
    return {"dashboard_id": _Expression("posthog_dashboard.costtrace.id"), "tiles": tiles}


def _resource(kind: str, name: str, arguments: Mapping[str, Any]) -> str:
    return f'resource "{kind}" "{name}" {{\n{_arguments(arguments, 1)}\n}}\n'


def _arguments(arguments: Mapping[str, Any], depth: int) -> str:
    return "\n".join(_lines(arguments, depth))


def _lines(arguments: Mapping[str, Any], depth: int) -> Iterator[str]:
    """As `terraform fmt` writes them: what fits on one line lines up with its neighbours that do."""
    written = [(name, _value(value, depth)) for name, value in arguments.items()]
    for is_long, group in groupby(written, key=lambda pair: "\n" in pair[1]):
        pairs = list(group)
        width = 0 if is_long else max(len(name) for name, _ in pairs)
        yield from (f"{_INDENT * depth}{name.ljust(width)} = {value}" for name, value in pairs)


def _value(value: Any, depth: int) -> str:
    if isinstance(value, _Expression):
        return value
    if isinstance(value, str):
        return _heredoc(value, depth) if "\n" in value else _quoted(value)
    if isinstance(value, Mapping):
        return f"{{\n{_arguments(value, depth + 1)}\n{_INDENT * depth}}}" if value else "{}"
    if isinstance(value, Sequence):
        return _list(value, depth)
    return json.dumps(value)


def _list(values: Sequence[Any], depth: int) -> str:
    if not any(isinstance(value, Mapping) for value in values):
        return f"[{', '.join(_value(value, depth) for value in values)}]"
    items = "".join(f"{_INDENT * (depth + 1)}{_value(value, depth + 1)},\n" for value in values)
    return f"[\n{items}{_INDENT * depth}]"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")


def _heredoc(text: str, depth: int) -> str:
    """A text of several lines. Terraform takes the common indent away and `chomp` the line break at its end."""
    indent = _INDENT * (depth + 1)
    lines = "\n".join(f"{indent}{line}" if line else "" for line in text.splitlines())
    escaped = lines.replace("${", "$${").replace("%{", "%%{")
    return f"chomp(<<-HOGQL\n{escaped}\n{_INDENT * depth}HOGQL\n{_INDENT * depth})"
