"""Which commands there are, and the one place where an error becomes a sentence."""

from __future__ import annotations

import io
import os
import sys
from importlib.metadata import version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from costtrace.cli.deliver import EXIT_CODES as DELIVER_EXIT_CODES
from costtrace.cli.deliver import deliver
from costtrace.cli.demo import demo
from costtrace.cli.doctor import doctor
from costtrace.cli.export import export_app
from costtrace.cli.import_ import import_app
from costtrace.cli.message import message
from costtrace.cli.options import EXIT_CODES
from costtrace.cli.outbox import outbox_app
from costtrace.cli.page import shown, without_password
from costtrace.cli.posthog import posthog_app
from costtrace.cli.price import price
from costtrace.cli.prices import prices_app
from costtrace.cli.report import report
from costtrace.cli.reprice import reprice
from costtrace.cli.serve import serve
from costtrace.cli.sms import sms_app
from costtrace.cli.tail import tail
from costtrace.cli.view import view
from costtrace.errors import ConfigurationError, CostTraceError

_REFUSED: Final = 2


class _Commands(TyperGroup):
    """Answers errors of the caller's making with one sentence on standard error and exit code 2."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run, and end the process."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a locale without the letter must not hide the number
        try:
            status = super().main(*args, **{**options, "standalone_mode": False})
        except typer.TyperException as error:
            status = _refuse(f"{error.format_message().rstrip('.')}; see `{self._asked(args, options)} --help`")
        except CostTraceError as error:
            status = _refuse(str(error))
        sys.exit(status)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named; one whose reader has left ends silently."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at the very end
            raise typer.Exit from None
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise ConfigurationError(f"the output cannot be written: {error.strerror or error}") from None

    def _asked(self, args: tuple[Any, ...], options: dict[str, Any]) -> str:
        words = (args[0] if args else options.get("args")) or sys.argv[1:]
        return " ".join(["costtrace", *[word for word in words[:1] if word in self.commands]])


def _refuse(sentence: str) -> int:
    sys.stderr.write(f"costtrace: {shown(without_password(sentence))}\n")
    return _REFUSED


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True, epilog=EXIT_CODES)
def _costtrace(
    ctx: typer.Context,
    *,
    show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """What did this message cost, and why can I trust the number?"""
    if show_version:
        typer.echo(f"costtrace {version('langchain-costtrace')}")
    elif ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


for _command in (demo, message, view, report, tail, price, reprice, serve, doctor):
    app.command(epilog=EXIT_CODES)(_command)
app.command(epilog=DELIVER_EXIT_CODES)(deliver)
app.add_typer(prices_app)
app.add_typer(sms_app)
app.add_typer(export_app)
app.add_typer(import_app)
app.add_typer(posthog_app)
app.add_typer(outbox_app)
