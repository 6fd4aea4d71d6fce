"""Mutation score of what turns usage into money: how many small wrongs in `usage*.py` and `pricing/` the tests notice.

mutmut changes one operator, name, number or text of a function at a time and runs the tests that reach it. This script
gives it a copy of the tree to work in, the fast tests of the subject, and a bound: above `--sample` mutants a random
sample with a fixed seed is tested, and the output says so. The score counts a mutant that no test reaches as survived.

    python tests/mutation/score.py [--sample N] [--seed N] [--only GLOB] [--floor PERCENT] [--children N]
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
WORK: Final = ROOT / ".cache" / "mutation"
COPIED: Final = ("src", "tests", "pyproject.toml", "README.md", "LICENSE")
MUTATED: Final = (
    "src/costtrace/usage.py",
    "src/costtrace/usage_metadata.py",
    "src/costtrace/reported.py",
    "src/costtrace/responses.py",
    "src/costtrace/tool_calls.py",
    "src/costtrace/pricing/*.py",
)
TESTS: Final = (
    "tests/test_usage*.py",
    "tests/test_responses*.py",
    "tests/test_tool_calls*.py",
    "tests/test_quote.py",
    "tests/pricing/**/test_*.py",
)
LEFT_OUT: Final = ("test_against_*.py", "test_same_as_*.py")
"""Comparisons of whole price tables: each takes seconds, and the case tables hold the same prices in the open."""

ANY_MUTANT: Final = "costtrace.usage.x_check_count__mutmut_1"
"""Asking for a single one makes mutmut write them all, and the tests that reach each."""

UNNOTICED: Final = frozenset({"survived", "no tests"})
UNTESTED: Final = frozenset({"not checked", "skipped"})


def main() -> int:
    """Exit status 0 when the score reaches the floor."""
    asked = _arguments()
    _copy_tree()
    _mutmut("run", "--max-children", str(asked.children), ANY_MUTANT)
    names = sorted(name for name in _all_mutants() if fnmatch(name, asked.only))
    chosen = names
    if len(names) > asked.sample:
        chosen = random.Random(asked.seed).sample(names, asked.sample)  # noqa: S311 - no secret
    _mutmut("run", "--max-children", str(asked.children), *chosen)
    return _report(names, chosen, asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sample", type=int, default=800, help="test at most that many mutants (default: 800)")
    parser.add_argument("--seed", type=int, default=20261122, help="of the sample")
    parser.add_argument("--only", default="*", help="mutants to choose from, such as 'costtrace.pricing.card.*'")
    parser.add_argument("--floor", type=float, default=85.0, help="the score that must be reached, in percent")
    parser.add_argument("--children", type=int, default=2, help="mutants tested at the same time")
    return parser.parse_args()


def _copy_tree() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, WORK / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(source, WORK / name)
    (WORK / "setup.cfg").write_text(_settings(), "utf-8")


def _settings() -> str:
    tests = sorted(
        str(path.relative_to(ROOT))
        for pattern in TESTS
        for path in ROOT.glob(pattern)
        if not any(fnmatch(path.name, name) for name in LEFT_OUT)
    )
    lists = {
        "source_paths": ("src",),
        "only_mutate": MUTATED,
        "also_copy": ("README.md", "LICENSE"),
        "pytest_add_cli_args": ("-q", "-x", "-p", "no:cacheprovider", "-p", "tests.mutation.plugin"),
        "pytest_add_cli_args_test_selection": tests,
    }
    lines = ["[mutmut]", "track_dependencies = false", "use_git_change_detection = false"]
    for key, values in lists.items():
        lines += [f"{key} =", *(f"    {value}" for value in values)]
    return "\n".join(lines) + "\n"


def _mutmut(*arguments: str) -> None:
    """Shows mutmut's progress on a terminal; elsewhere what it printed is shown only where it failed."""
    output = None if sys.stdout.isatty() else subprocess.PIPE
    command = [sys.executable, "-m", "mutmut", *arguments]
    finished = subprocess.run(command, cwd=WORK, check=False, stdout=output, stderr=subprocess.STDOUT, text=True)
    if finished.returncode:
        sys.stderr.write("\n".join((finished.stdout or "").replace("\r", "\n").splitlines()[-60:]) + "\n")
        sys.exit(f"mutmut stopped with status {finished.returncode}; its working tree is {WORK}")


def _all_mutants() -> list[str]:
    return [
        name
        for meta in sorted((WORK / "mutants").rglob("*.meta"))
        for name in json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
    ]


def _results() -> dict[str, str]:
    """What became of each mutant, as mutmut names it."""
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    printed = subprocess.run(command, cwd=WORK, check=True, capture_output=True, text=True).stdout
    pairs = (line.strip().rpartition(": ") for line in printed.splitlines() if "__mutmut_" in line)
    return {name: became for name, _, became in pairs}


def _report(names: Sequence[str], chosen: Sequence[str], asked: argparse.Namespace) -> int:
    results = {name: became for name, became in _results().items() if name in set(chosen) and became not in UNTESTED}
    unnoticed = sorted(name for name, became in results.items() if became in UNNOTICED)
    by_file: dict[str, Counter[bool]] = {}
    for name, became in results.items():
        by_file.setdefault(_module_of(name), Counter())[became not in UNNOTICED] += 1
    score = 100 * (1 - len(unnoticed) / len(results))
    out = ["", "Survived:", *(f"  {name}  ({results[name]})" for name in unnoticed), "", "Noticed, by module:"]
    out += [f"  {module:40} {counts[True]:5} of {counts.total():5}" for module, counts in sorted(by_file.items())]
    of_which = "all there are" if len(chosen) == len(names) else f"a sample of {len(names)}, seed {asked.seed}"
    noticed = f"{len(results) - len(unnoticed)} of {len(results)} mutants noticed ({of_which})"
    out += ["", f"Mutation score: {score:.1f} %: {noticed}; wanted: {asked.floor:g} %."]
    out += [f"See one: cd {WORK.relative_to(ROOT)} && ../../.venv/bin/python -m mutmut show NAME"]
    sys.stdout.write("\n".join(out) + "\n")
    return 0 if score >= asked.floor else 1


def _module_of(mutant: str) -> str:
    return mutant.partition(".x")[0]


if __name__ == "__main__":
    sys.exit(main())
