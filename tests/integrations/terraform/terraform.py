"""Terraform on copies of the deployment: the provider from a folder of this machine, never from the network."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

PROJECT: Final = Path(__file__).parents[3]
AWS: Final = PROJECT / "integrations" / "aws"
SOURCE: Final = AWS / "terraform"
_PROVIDER: Final = "*/hashicorp/aws"
"""Below the host that a mirror's folder is named for."""
_LEFT_BEHIND: Final = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*")


def binary() -> str:
    """The terraform command. Skips where there is none, or fails where COSTTRACE_REQUIRE_TERRAFORM says it must be."""
    found = shutil.which("terraform")
    return found or _missing()


def mirror() -> Path:
    """The folder with the unpacked AWS provider: COSTTRACE_TF_MIRROR, else where Terraform itself looks unasked."""
    for folder in _mirrors():
        if next(folder.glob(_PROVIDER), None) is not None:
            return folder
    return Path(_missing())


def _missing() -> str:
    reason = "terraform binary/provider mirror not found; set COSTTRACE_TF_MIRROR"
    if os.environ.get("COSTTRACE_REQUIRE_TERRAFORM") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _mirrors() -> Iterator[Path]:
    """https://developer.hashicorp.com/terraform/cli/config/config-file#implied-local-mirror-directories."""
    if named := os.environ.get("COSTTRACE_TF_MIRROR"):
        yield Path(named)
    home = Path.home()
    yield home / ".terraform.d" / "plugins"
    if sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "io.terraform" / "plugins"
        yield Path("/Library/Application Support/io.terraform/plugins")
    else:
        yield Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share", "terraform", "plugins")
        for folder in (os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"):
            yield Path(folder, "terraform", "plugins")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A copy of the deployment to work in, because Terraform writes beside what it reads."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for terraform, such as an emulator's address."""

    @classmethod
    def copy(cls, to: Path, environment: Mapping[str, str] | None = None) -> Workspace:
        """The deployment as it is now, without what somebody's terraform left there."""
        shutil.copytree(SOURCE, to, ignore=_LEFT_BEHIND)
        return cls(root=to, environment=environment or {})

    def run(self, folder: str, *arguments: str, expect: int = 0) -> str:
        """``terraform -chdir=folder arguments`` and what it said; fails where it exits with another code."""
        done = subprocess.run(
            [binary(), f"-chdir={self.root / folder}", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        said = f"{done.stdout}\n{done.stderr}".strip()
        assert done.returncode == expect, f"terraform {' '.join(arguments)} in {folder}: exit {done.returncode}\n{said}"
        return done.stdout

    def init(self, folder: str) -> None:
        """Make the folder ready. Refused where only the network has the provider."""
        self.run(folder, "init", "-input=false", "-no-color", "-backend=false", f"-plugin-dir={mirror()}")

    def outputs(self, folder: str) -> dict[str, Any]:
        """The outputs after an apply."""
        said = json.loads(self.run(folder, "output", "-json"))
        return {name: output["value"] for name, output in said.items()}

    def _environment(self) -> dict[str, str]:
        """Nothing of this machine's own AWS account or Terraform settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        ours = {"TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
        return {**kept, **ours, **self.environment}
