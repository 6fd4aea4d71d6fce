"""``costtrace`` and ``python -m costtrace``."""

from __future__ import annotations

import sys
from importlib import import_module

from costtrace.errors import MissingExtra


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    for package in ("rich", "typer"):
        try:
            import_module(package)
        except ImportError:
            missing = MissingExtra(package=package, feature="the costtrace command", extra="cli")
            sys.stderr.write(f"costtrace: {missing}\n")
            sys.exit(2)
    from costtrace.cli.app import app  # noqa: PLC0415 - needs the packages that were looked for above

    app(prog_name="costtrace")


if __name__ == "__main__":
    main()
