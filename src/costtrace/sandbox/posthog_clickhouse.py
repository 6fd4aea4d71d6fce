"""HogQL on a ClickHouse within this process (chdb): what PostHog would answer, for a stand-in and for tests.

Only what the reports are written in is translated, and by rule, not by meaning: properties are taken out of the stored
JSON text as PostHog does it, `toInt` and `toDateTime` are the functions PostHog puts in their place.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID, uuid5

from costtrace.errors import MissingExtra

_ONE_AT_A_TIME: Final = threading.Lock()
"""A process has one chdb session at most."""
_PERSONS: Final = UUID("11a1bb58-9a7b-4a0c-9f8a-0c1f44c9b5a3")
_PROPERTY: Final = re.compile(r"properties\.(\$?[A-Za-z_][A-Za-z0-9_]*)")
_EXTRACTED: Final = "replaceRegexpAll(nullIf(nullIf(JSONExtractRaw(p, n), ''), 'null'), '^\"|\"$', '')"
_FUNCTIONS: Final = (
    "CREATE FUNCTION IF NOT EXISTS toInt AS (x) -> accurateCastOrNull(x, 'Int64')",
    f"CREATE FUNCTION IF NOT EXISTS property AS (p, n) -> {_EXTRACTED}",
)
_TABLE: Final = """
CREATE TABLE events (
  uuid UUID, event String, properties String, timestamp DateTime64(6, 'UTC'), distinct_id String, person_id UUID,
  _timestamp UInt64
)
ENGINE = ReplacingMergeTree(_timestamp)
ORDER BY (toDate(timestamp), event, cityHash64(distinct_id), cityHash64(uuid))
"""
"""PostHog's events table, as far as queries see it: copies with the same key are merged, some day."""


def run(
    hogql: str,
    events: Iterable[Mapping[str, Any]],
    *,
    merged: bool = False,
    persons: Mapping[str, str] | None = None,
    numeric: Collection[str] = (),
) -> dict[str, Any]:
    """The answer of PostHog's query API over these events: columns, types and rows.

    An event has ``uuid``, ``event``, ``distinct_id``, ``timestamp`` (ISO 8601) and ``properties``. With `merged`,
    copies have been merged already. `persons` are the uuids of people by distinct_id; other ids are people of their
    own. `numeric` are the properties that PostHog's definitions call numbers: those it reads as floats.

    Raises MissingExtra without chdb, and RuntimeError, with ClickHouse's own words, for a query it refuses.
    """
    try:
        import chdb.session  # noqa: PLC0415 - a ClickHouse; only a query needs it
    except ImportError:
        raise MissingExtra(package="chdb", feature="a stand-in for PostHog's queries", extra="dev") from None
    with _ONE_AT_A_TIME, TemporaryDirectory() as folder, closing(_session(chdb.session)) as session:
        for statement in (*_FUNCTIONS, _TABLE):
            session.query(statement)
        stored = Path(folder, "events.jsonl")
        stored.write_text("".join(_line(event, number, persons or {}) for number, event in enumerate(events)))
        if stored.stat().st_size:
            session.query(f"INSERT INTO events SELECT * FROM file('{stored}', 'JSONEachRow')")  # noqa: S608 - our file
        if merged:
            session.query("OPTIMIZE TABLE events FINAL")
        answer = json.loads(session.query(translated(hogql, numeric), "JSONCompact").bytes())
    return {
        "columns": [column["name"] for column in answer["meta"]],
        "types": [[column["name"], column["type"]] for column in answer["meta"]],
        "results": answer["data"],
        "hogql": hogql,
        "hasMore": False,
    }


def query_runner(body: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `PostHogServer` answers queries with: the body of the request and the stored copies in, the answer out.

    Raises ValueError for a body without HogQL and for a query that ClickHouse refuses.
    """
    query = body.get("query")
    if not isinstance(query, Mapping) or query.get("kind") != "HogQLQuery" or not isinstance(query.get("query"), str):
        raise ValueError("expected a HogQLQuery")
    try:
        return run(query["query"], events)
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def translated(hogql: str, numeric: Collection[str] = ()) -> str:
    """The query in ClickHouse's own SQL; ``{filters}`` outside a dashboard lets everything pass."""
    sql = hogql.replace("{filters}", "true").replace("toDateTime(", "parseDateTime64BestEffortOrNull(")
    return _PROPERTY.sub(lambda found: _extracted(found[1], is_number=found[1] in numeric), sql)


def _extracted(name: str, *, is_number: bool) -> str:
    text = f"property(events.properties, '{name}')"
    return f"accurateCastOrNull({text}, 'Float64')" if is_number else text


def _session(module: Any) -> Any:
    """Chdb ships no types."""
    return module.Session()


def _line(event: Mapping[str, Any], number: int, persons: Mapping[str, str]) -> str:
    moment = datetime.fromisoformat(event["timestamp"]).astimezone(UTC)
    name = event["distinct_id"]
    row = {
        "uuid": event["uuid"],
        "event": event["event"],
        "properties": json.dumps(event["properties"]),
        "timestamp": f"{moment:%Y-%m-%d %H:%M:%S.%f}",
        "distinct_id": name,
        "person_id": persons.get(name) or str(uuid5(_PERSONS, name)),
        "_timestamp": number,
    }
    return json.dumps(row) + "\n"
