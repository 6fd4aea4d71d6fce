"""Runs a notebook as its reader would, with warnings as errors. As a program it puts the outputs into the files.

python -m tests.notebooks.running notebooks/*.ipynb
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

FOLDER: Final = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS: Final = sorted(FOLDER.glob("*.ipynb"))
_TIMEOUT_S: Final = 120
_STRICT: Final = "import warnings; warnings.simplefilter('error')"
_NO_LONGER: Final = "warnings.resetwarnings()"


def run(path: Path) -> Any:
    """The notebook with the outputs of a fresh run; raises nbclient's CellExecutionError where a cell does."""
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # nbformat's own
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    # The kernel itself is loaded before and ends after: what it warns of is not ours.
    notebook.cells = [_cell(_STRICT), *notebook.cells, _cell(_NO_LONGER)]
    client = NotebookClient(notebook, timeout=_TIMEOUT_S, kernel_name="python3", record_timing=False)
    client.resources["metadata"] = {"path": str(FOLDER)}
    with TemporaryDirectory() as own:
        client.execute(env=_environment(own))
    notebook.cells = notebook.cells[1:-1]
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), 1):
        cell.execution_count = number
        cell.outputs = list(_joined(cell.outputs))
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = number
            if "costtrace-trace" in output.get("data", {}).get("text/html", ""):
                output.data["text/plain"] = "<trace>"  # in its place stands all of the message, its ids and times
    return notebook


def _joined(outputs: Iterable[Any]) -> Iterator[Any]:
    """What a cell wrote in one piece; a slow machine sends it in several."""
    for name, written in groupby(outputs, key=lambda output: output.get("name")):
        pieces = list(written)
        if name is None:
            yield from pieces
        else:
            yield nbformat.from_dict({**pieces[0], "text": "".join(piece["text"] for piece in pieces)})  # type: ignore[no-untyped-call]  # as above


def _cell(source: str) -> Any:
    return nbformat.v4.new_code_cell(source)  # type: ignore[no-untyped-call]  # as above


def texts(notebook: Any) -> list[list[str]]:
    """What every cell wrote or answered, as text."""
    return [[_text(output) for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]


def _text(output: Any) -> str:
    if output.output_type == "stream":
        return f"{output.name}: {output.text}"
    return str(output.data.get("text/plain", ""))


def _environment(own: str) -> dict[str, str]:
    """Without what could turn a reader's run into another one: keys, proxies, tracers, settings of costtrace."""
    kept = {"PATH", "HOME", "TMPDIR", "LANG", "COSTTRACE_MINISTACK", "SYSTEMROOT"}
    known = {name: value for name, value in os.environ.items() if name in kept}
    return {**known, "IPYTHONDIR": own, "PYTHONDONTWRITEBYTECODE": "1"}


def write(notebook: Any, path: Path) -> None:
    """Put it into the file as Jupyter would."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]  # as above


if __name__ == "__main__":
    for named in map(Path, sys.argv[1:]):
        write(run(named), named)
