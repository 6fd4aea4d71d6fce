"""A page as one HTML file that loads nothing: no script, no font, no request."""

from __future__ import annotations

import html
import io
import os
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from costtrace.cli.page import Page, shown
from costtrace.cli.styled import ON_PAPER, print_page
from costtrace.errors import ConfigurationError

_WIDTH: Final = 110
_WHITE: Final = (255, 255, 255)
_NEARLY_BLACK: Final = (28, 32, 36)
_BLACK_ON_WHITE: Final = TerminalTheme(_WHITE, _NEARLY_BLACK, [_NEARLY_BLACK] * 8)
"""Rich wants the eight colours of a terminal as well; the styles on paper use none of them."""
_FRAME: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>@title@</title>
<style>body {{ margin: 2rem; color: {foreground}; background: {background}; }}
pre {{ font: 14px/1.45 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
{stylesheet}
</style>
</head>
<body>
<pre>{code}</pre>
</body>
</html>
"""


def write_html(path: Path, title: str, page: Page) -> None:
    """Put the page where it is wanted, whole or not at all. Raises ConfigurationError where that is not possible."""
    text = _html(title, page)
    beside = path.parent / f".{path.name}.{os.getpid()}"
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except (OSError, ValueError) as error:
        beside.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"--html {str(path)!r} cannot be written: {reason}; name another file") from None


def _html(title: str, page: Page) -> str:
    console = Console(
        record=True, file=io.StringIO(), width=_WIDTH, color_system="truecolor", theme=ON_PAPER, highlight=False
    )
    print_page(page, console)
    frame = _FRAME.replace("@title@", html.escape(shown(title)).replace("{", "{{").replace("}", "}}"))
    return console.export_html(theme=_BLACK_ON_WHITE, code_format=frame)
