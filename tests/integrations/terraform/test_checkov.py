"""checkov finds nothing that is not skipped in the code, with its reason."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integrations.terraform.terraform import PROJECT, SOURCE


def checkov() -> str:
    """The command: COSTTRACE_CHECKOV, the one of `.venv-checkov`, or one on the PATH. Skips where there is none."""
    beside = PROJECT / ".venv-checkov" / "bin" / "checkov"
    found = os.environ.get("COSTTRACE_CHECKOV") or (str(beside) if beside.exists() else shutil.which("checkov"))
    if not found:
        pytest.skip("checkov not found; set COSTTRACE_CHECKOV")
    return found


def test_nothing_is_left_open(tmp_path: Path) -> None:
    command = [checkov(), "--directory", str(SOURCE), "--framework", "terraform", "--skip-download", "--output", "json"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=_environment(tmp_path))
    assert run.stdout, run.stderr
    report = json.loads(run.stdout)
    failed = [
        (check["check_id"], check["file_path"], check["resource"]) for check in report["results"]["failed_checks"]
    ]
    assert failed == []
    assert report["summary"]["passed"] > 100
    assert report["summary"]["parsing_errors"] == 0


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LOG_LEVEL": "ERROR"}
