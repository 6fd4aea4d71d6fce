"""The process that draws: each line of standard input is a Vega-Lite specification, each line of output its SVG.

A program by itself, which imports nothing of costtrace: it is there as soon as Python is.
"""

from __future__ import annotations

import json
import sys


def drawn(line: str) -> dict[str, str]:
    """The answer to one line: ``svg``, or the ``problem``, which is ``missing`` where nothing can draw."""
    try:
        import vl_convert  # noqa: PLC0415 - its absence is an answer
    except ImportError:
        return {"problem": "missing"}
    try:
        return {"svg": vl_convert.vegalite_to_svg(json.loads(line))}
    except ValueError as error:
        return {"problem": str(error).partition("\n")[0]}


def main() -> None:
    """Answer each line, until there are no more."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(drawn(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
