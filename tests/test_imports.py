"""Importing costtrace costs little and loads no vendor; what it promises by name is there; arrows point down only."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import costtrace
from costtrace.errors import ConfigurationError, CostTraceError, MissingExtra

ROOT = Path(__file__).parents[1]
VENDORS = {
    "boto3",
    "botocore",
    "genai_prices",
    "langchain_anthropic",
    "langchain_core",
    "langchain_openai",
    "openai",
    "jinja2",
    "opentelemetry.sdk",
    "pandas",
    "polars",
    "posthog",
    "pyarrow",
    "starlette",
    "twilio",
    "typer",
    "uvicorn",
}


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after that code."""
    command = [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"]
    finished = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return set(json.loads(finished.stdout))


def test_importing_the_package_loads_no_vendor() -> None:
    assert loaded_by("import costtrace") & VENDORS == set()


@pytest.mark.parametrize("name", ["Money", "Entry", "Usage", "Quote", "Message", "open_ledger", "SqliteLedger"])
def test_a_value_or_the_ledger_loads_no_vendor_either(name: str) -> None:
    assert loaded_by(f"from costtrace import {name}") & VENDORS == set()


def test_the_handler_loads_no_vendor_that_langchain_core_does_not_load_itself() -> None:
    theirs = loaded_by("import langchain_core.callbacks, langchain_core.outputs, langchain_core.tracers.context")
    ours = loaded_by("from costtrace import CostCallbackHandler")
    assert (ours - theirs) & VENDORS == set()


def test_prices_are_loaded_only_by_who_prices() -> None:
    assert "genai_prices" not in loaded_by("from costtrace import Catalog, Recorder")
    assert "genai_prices" in loaded_by("from costtrace import Catalog\nCatalog.default()")


def test_every_public_name_resolves_and_is_where_it_says() -> None:
    for name in costtrace.__all__:
        assert getattr(costtrace, name) is not None
    assert sorted(costtrace.__all__) == costtrace.__all__
    assert dir(costtrace) == costtrace.__all__
    assert set(costtrace._HOME_OF) == set(costtrace.__all__)


def test_the_type_checker_sees_the_names_that_python_sees() -> None:
    tree = ast.parse(Path(costtrace.__file__).read_text())
    [seen_by_checkers] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        str(node.module).removeprefix("costtrace."): tuple(alias.name for alias in node.names)
        for node in seen_by_checkers.body
        if isinstance(node, ast.ImportFrom)
    }
    assert seen == costtrace._HOMES


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'costtrace' has no attribute 'Quotes'"):
        _ = costtrace.Quotes


def test_every_module_can_be_imported_or_says_what_is_missing() -> None:
    for module in pkgutil.walk_packages(costtrace.__path__, "costtrace."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except MissingExtra as error:
            assert "pip install 'langchain-costtrace[" in str(error)  # noqa: PT017 - most modules raise nothing


def test_arrows_between_modules_point_down_only() -> None:
    finished = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert finished.returncode == 0, finished.stdout


def test_a_missing_extra_says_the_package_the_feature_and_the_pip_line() -> None:
    error = MissingExtra(package="boto3", feature="the DynamoDB ledger", extra="dynamodb")
    assert str(error) == ("the DynamoDB ledger needs the package 'boto3': pip install 'langchain-costtrace[dynamodb]'")
    assert (error.package, error.extra) == ("boto3", "dynamodb")
    assert isinstance(error, ImportError)
    assert isinstance(error, ConfigurationError)


def test_every_error_has_one_base() -> None:
    names = [name for name in costtrace.__all__ if isinstance(getattr(costtrace, name), type)]
    errors = [getattr(costtrace, name) for name in names if issubclass(getattr(costtrace, name), Exception)]
    assert len(errors) >= 10
    assert all(issubclass(error, CostTraceError) for error in errors)


def test_the_package_is_typed() -> None:
    assert (Path(costtrace.__file__).parent / "py.typed").exists()
