"""Bring a PostHog project to what the definitions say: make what is missing, change what differs, delete nothing.

What is ours is known by its tag, or by the same words at the end of its description where the project's plan keeps no
tags. The ids of what was made are remembered in a file beside, so that the usual run needs no search; a wrong or lost
file makes nothing twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from costtrace.errors import ConfigurationError, ExporterUnavailable
from costtrace.posthog_reports import payloads
from costtrace.posthog_reports.api import PostHogApi
from costtrace.posthog_reports.definitions import REPORTS

_SEARCHED: Final = "costtrace"


class Outcome(StrEnum):
    """What was done."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One dashboard or insight, as it stands now."""

    name: str
    """`payloads.DASHBOARD`, or the name of a report."""
    outcome: Outcome
    address: str
    """Its page."""

    def to_dict(self) -> dict[str, str]:
        """The same as JSON objects."""
        return {"name": self.name, "outcome": self.outcome.value, "address": self.address}


class IdFile:
    """Which id each of our things has in each project, as JSON beside what deploys them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, project: str) -> dict[str, int]:
        """The ids in that project; raises ConfigurationError for a file that is none of ours."""
        return {name: number for name, number in self._all().get(project, {}).items() if isinstance(number, int)}

    def write(self, project: str, ids: Mapping[str, int]) -> None:
        """Keep the ids of that project, and those of others as they are. The file is replaced as a whole."""
        text = json.dumps({**self._all(), project: dict(ids)}, indent=2, sort_keys=True)
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            beside.write_text(f"{text}\n", encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            raise ConfigurationError(f"{self._path} cannot be written: {error.strerror}") from None

    def _all(self) -> dict[str, dict[str, Any]]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self._path} cannot be read: {error}; name another with --ids") from None
        if not isinstance(known, dict) or not all(isinstance(ids, dict) for ids in known.values()):
            raise ConfigurationError(f"{self._path} holds no ids of ours; name another with --ids")
        return known


def apply(api: PostHogApi, ids: IdFile, *, environment: str | None) -> list[Applied]:
    """Make the dashboard and its insights be as defined, and say what was done to each.

    What others put on the dashboard stays, as do their tags and the other dashboards that show our insights. Raises
    what `PostHogApi.send` raises; what was done until then stays done and is found again.
    """
    project = f"{api.host}/project/{api.project_id}"
    known = ids.read(project)
    things = _Things(api, known)
    try:
        applied = [things.apply("dashboards", payloads.DASHBOARD, payloads.dashboard())]
        for report in REPORTS:
            body = {**payloads.insight(report, environment=environment), "dashboards": [known[payloads.DASHBOARD]]}
            applied.append(things.apply("insights", report.name, body))
    finally:
        if known != ids.read(project):
            ids.write(project, known)
    return applied


class _Things:
    """Our things in one project; `known` learns their ids."""

    def __init__(self, api: PostHogApi, known: dict[str, int]) -> None:
        self._api = api
        self._known = known

    def apply(self, place: str, name: str, body: dict[str, Any]) -> Applied:
        found = self._remembered(place, name) or self._searched(place, name)
        if found is None:
            found = self._sent("POST", f"{place}/", body)
            outcome = Outcome.CREATED
        elif changes := _changes(found, body):
            found = self._sent("PATCH", f"{place}/{found['id']}/", changes)
            outcome = Outcome.UPDATED
        else:
            outcome = Outcome.UNCHANGED
        self._known[name] = found["id"]
        page = f"dashboard/{found['id']}" if place == "dashboards" else f"insights/{found.get('short_id', found['id'])}"
        return Applied(name=name, outcome=outcome, address=f"{self._api.host}/project/{self._api.project_id}/{page}")

    def _sent(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            found = self._api.send(method, path, body)
        except LookupError:
            found = {}
        if "id" not in found:  # somebody deleted it meanwhile, or the answer is no dashboard or insight
            raise ExporterUnavailable(f"{self._api.host} changed while it was brought up to date; try again")
        return found

    def _remembered(self, place: str, name: str) -> dict[str, Any] | None:
        if name not in self._known:
            return None
        try:
            found = self._api.send("GET", f"{place}/{self._known[name]}/")
        except LookupError:
            return None
        return found if _is_ours(found, name) else None

    def _searched(self, place: str, name: str) -> dict[str, Any] | None:
        """The oldest of ours, since a request whose answer was lost may have made a second one."""
        ours = [thing for thing in self._api.each(f"{place}/", search=_SEARCHED) if _is_ours(thing, name)]
        if not ours:
            return None
        return self._sent("GET", f"{place}/{min(thing['id'] for thing in ours)}/")


def _is_ours(thing: Mapping[str, Any], name: str) -> bool:
    mark = payloads.tag(name)
    signed = (thing.get("description") or "").endswith(f"[{mark}]")
    return not thing.get("deleted") and (signed or mark in (thing.get("tags") or ()))


def _changes(found: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What of the body is not so yet. Lists are only added to: what else they hold is somebody else's."""
    changes = {name: body[name] for name in ("name", "description", "query") if name in body}
    changes = {name: value for name, value in changes.items() if not _holds(found.get(name), value)}
    stands_on = _dashboards(found)
    if not stands_on.issuperset(body.get("dashboards", ())):
        changes["dashboards"] = sorted(stands_on.union(body["dashboards"]))
    tags = set(found.get("tags") or ())
    if changes and not tags.issuperset(body["tags"]):
        # On its own no reason to write: a plan without tags would drop them each time.
        changes["tags"] = sorted(tags.union(body["tags"]))
    return changes


def _dashboards(found: Mapping[str, Any]) -> set[int]:
    tiles: Iterable[Mapping[str, Any]] = found.get("dashboard_tiles") or ()
    return {*(found.get("dashboards") or ()), *(tile["dashboard_id"] for tile in tiles if not tile.get("deleted"))}


def _holds(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is there; PostHog may add defaults of its own."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_holds(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(found, list) and len(found) == len(wanted)
        return same and all(_holds(*pair) for pair in zip(found, wanted, strict=True))
    return bool(found == wanted)
