"""The notebooks run on any machine, without a warning, and say what they said when they were committed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.notebooks.running import NOTEBOOKS, run, texts
from tests.peers.emulator import peer_python

ASKS_AWS = "find_python"
CHANGING = [
    re.compile(r"/(?:tmp|home|Users|private|var|root)/"),
    re.compile(r"(?:localhost|127\.0\.0\.1):\d+"),
    re.compile(r"0x[0-9a-f]{8,}"),
]
"""What another run on another machine would say otherwise."""


def committed(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat's own


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_there_are_three() -> None:
    assert [path.name for path in NOTEBOOKS] == [
        "01_one_message.ipynb",
        "02_where_the_money_went.ipynb",
        "03_does_it_add_up.ipynb",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_says_the_same_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that warns raises, and so does one that fails."""
    before = committed(path)
    if any(ASKS_AWS in cell.source for cell in before.cells):
        monkeypatch.setenv("COSTTRACE_MINISTACK", str(peer_python()))

    assert texts(run(path)) == texts(before)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestCommitted:
    def test_with_the_outputs_of_one_run_from_top_to_bottom(self, path: Path) -> None:
        cells = [cell for cell in committed(path).cells if cell.cell_type == "code"]

        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert any(cell.outputs for cell in cells)

    def test_without_a_warning_an_error_or_a_word_on_standard_error(self, path: Path) -> None:
        kinds = {(output.output_type, output.get("name")) for output in outputs(committed(path))}

        assert kinds <= {("stream", "stdout"), ("display_data", None), ("execute_result", None)}

    def test_without_what_the_next_run_would_say_otherwise(self, path: Path) -> None:
        said = "\n".join(text for cell in texts(committed(path)) for text in cell)

        assert [pattern.pattern for pattern in CHANGING if pattern.search(said)] == []

    def test_with_a_picture_of_every_chart_for_who_cannot_draw_it(self, path: Path) -> None:
        for output in outputs(committed(path)):
            data = output.get("data", {})
            if any("vegalite" in kind for kind in data):
                assert data["image/svg+xml"].startswith("<svg ")
                json.dumps(data)

    def test_small_enough_to_be_looked_at_on_a_forge(self, path: Path) -> None:
        assert path.stat().st_size < 200_000

    def test_as_a_document_that_begins_with_what_it_is_about(self, path: Path) -> None:
        cells = committed(path).cells

        assert cells[0].cell_type == "markdown"
        assert cells[0].source.startswith("# ")
        assert sum(cell.cell_type == "markdown" for cell in cells) >= len(cells) / 3
