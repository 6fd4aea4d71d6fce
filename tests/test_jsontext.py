"""JSON is the same text with and without orjson: what one process writes, another reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from costtrace.jsontext import decode, encode
from costtrace.ledger import SqliteLedger
from tests.factories import make_costs, make_entry
from tests.ledger.processes import ROOT, TIMEOUT_S
from tests.strategies import JSON_OBJECTS

WITHOUT_ORJSON = """
import sys
sys.modules["orjson"] = None  # as where it is not installed
from pathlib import Path
from costtrace import jsontext
from costtrace.ledger import SqliteLedger
from tests.factories import make_entry

assert jsontext.orjson is None
ledger = SqliteLedger(Path(sys.argv[1]))
assert [entry.details.get("name") for _, entry in ledger.entries()] == ["Zoë 🎈", None]
ledger.spool(make_entry(3, details={"name": "Zoë 🎈"}))
ledger.append([make_entry(4)])
ledger.close()
"""


@given(JSON_OBJECTS)
def test_what_is_written_is_compact_and_any_reader_reads_it(value: dict[str, Any]) -> None:
    text = encode(value)
    assert "\n" not in text
    assert decode(text) == json.loads(text) == value


@pytest.mark.parametrize("text", ["", "{", "nothing", '{"a":}', b"\xff"])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(text)


def test_what_json_has_no_word_for_is_written_as_its_text() -> None:
    assert decode(encode({"path": Path("a/b")})) == {"path": "a/b"}


def test_processes_with_and_without_orjson_share_a_ledger(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    ledger = SqliteLedger(path)
    ledger.append([make_entry(1, details={"name": "Zoë 🎈"})])
    ledger.spool(make_costs("1", number=2))
    command = [sys.executable, "-W", "error", "-c", WITHOUT_ORJSON, str(path)]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)
    assert [entry for _, entry in ledger.entries()] == [
        make_entry(1, details={"name": "Zoë 🎈"}),
        make_costs("1", number=2),
        make_entry(3, details={"name": "Zoë 🎈"}),
        make_entry(4),
    ]
    ledger.close()
