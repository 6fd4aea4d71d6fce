"""The process that draws: what it draws, and what becomes of the page when it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from costtrace.errors import MissingExtra
from costtrace.ledger import SqliteLedger
from costtrace.web.dashboard import drawing_process
from costtrace.web.dashboard.drawing import NotDrawn, Pencil
from tests.web.dashboard.conftest import Serve

pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")

BAR = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"values": [{"x": "a", "y": 1, "said": '<b> & "'}]},
    "mark": "bar",
    "encoding": {
        "x": {"field": "x", "type": "nominal"},
        "y": {"field": "y", "type": "quantitative"},
        "description": {"field": "said"},
    },
}


@pytest.fixture
def pencil() -> Iterator[Pencil]:
    made = Pencil()
    yield made
    made.close()


def test_a_chart_is_svg_without_script_or_style(pencil: Pencil) -> None:
    svg = pencil.svg(BAR)
    assert svg.startswith("<svg ")
    assert "<b>" not in svg
    assert not any(word in svg for word in ("<script", "<style", " style=", "href="))


def test_what_cannot_be_drawn_is_said_and_the_next_chart_is_drawn(pencil: Pencil) -> None:
    with pytest.raises(NotDrawn, match="the chart could not be drawn: "):
        pencil.svg({"mark": 7})
    assert pencil.svg(BAR).startswith("<svg ")


def test_a_process_that_was_killed_is_started_anew(pencil: Pencil) -> None:
    pencil.svg(BAR)
    assert pencil._process is not None
    os.kill(pencil._process.pid, signal.SIGKILL)
    pencil._process.wait()
    assert pencil.svg(BAR).startswith("<svg ")


def test_another_process_goes_on_after_many_charts(monkeypatch: pytest.MonkeyPatch, pencil: Pencil) -> None:
    monkeypatch.setattr("costtrace.web.dashboard.drawing._MOST_CHARTS", 2)
    processes = []
    for _ in range(3):
        pencil.svg(BAR)
        processes.append(pencil._process)
    assert processes[0] is processes[1]
    assert processes[1] is not processes[2]
    assert processes[0] is not None
    assert processes[0].returncode is not None


def test_nothing_is_left_behind(pencil: Pencil) -> None:
    pencil.svg(BAR)
    process = pencil._process
    pencil.close()
    assert process is not None
    assert process.returncode is not None


def test_the_end_does_not_wait_for_a_chart(pencil: Pencil) -> None:
    pencil.svg(BAR)
    assert pencil._process is not None
    os.kill(pencil._process.pid, signal.SIGSTOP)

    def draw() -> None:
        with pytest.raises(NotDrawn):
            pencil.svg(BAR)

    drawing = threading.Thread(target=draw)
    drawing.start()
    while not pencil._lock.locked():
        time.sleep(0.01)
    began = time.monotonic()
    pencil.close()
    drawing.join(5)
    assert not drawing.is_alive()
    assert time.monotonic() - began < 5  # the chart itself has 20 s


def test_without_the_drawing_package_the_page_says_which_one(tmp_path: Path) -> None:
    (tmp_path / "vl_convert.py").write_text("raise ImportError")
    answered = subprocess.run(
        [sys.executable, "-P", drawing_process.__file__],
        input="{}\n",
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (answered.stdout, answered.stderr) == ('{"problem": "missing"}\n', "")


def test_a_missing_package_is_a_clear_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pencil: Pencil) -> None:
    (tmp_path / "vl_convert.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"pip install 'langchain-costtrace\[web\]'"):
        pencil.svg(BAR)


def test_the_page_of_a_dashboard_that_cannot_draw_has_all_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, serve: Serve, books: SqliteLedger
) -> None:
    (tmp_path / "vl_convert.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    served = serve(books)
    assert served.get("/chart.svg").status_code == 503
    assert "0.01415" in served.get("/part/periods?range=all").text
