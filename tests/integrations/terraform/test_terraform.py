"""The deployment by Terraform's own measure: formatted, valid, and right under a provider that only pretends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integrations.terraform.terraform import SOURCE, Workspace

EXAMPLES = ["examples/adopt-existing-table", "examples/complete"]
TESTED = sorted({str(path.parents[1].relative_to(SOURCE)) for path in SOURCE.rglob("*.tftest.hcl")})


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.copy(tmp_path_factory.mktemp("terraform") / "copy")


def test_the_files_are_formatted(workspace: Workspace) -> None:
    assert workspace.run(".", "fmt", "-check", "-recursive", "-diff") == ""


@pytest.mark.parametrize("folder", EXAMPLES)
def test_the_examples_are_valid(workspace: Workspace, folder: str) -> None:
    """And with them every module they are made of."""
    workspace.init(folder)
    assert "valid" in workspace.run(folder, "validate", "-no-color")


@pytest.mark.parametrize("folder", TESTED)
def test_what_the_modules_promise(workspace: Workspace, folder: str) -> None:
    """`terraform test` on a mocked provider: no account and no network."""
    workspace.init(folder)
    assert " 0 failed" in workspace.run(folder, "test", "-no-color")


def test_there_is_something_to_test() -> None:
    assert TESTED == [".", "modules/api", "modules/store"]


def test_no_lock_file_is_kept() -> None:
    """One made from a mirror names this machine's platform only, and would refuse every other."""
    kept = (SOURCE.parents[2] / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".terraform.lock.hcl" in kept
    assert [path for path in Path(SOURCE).rglob(".terraform.lock.hcl") if ".terraform" not in path.parts[:-1]] == []
