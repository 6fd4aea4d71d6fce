"""``costtrace demo``: the main job, on this machine alone."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final

import typer

from costtrace.cli.options import AsJson, RatesFile
from costtrace.cli.output import progress, show, show_json
from costtrace.cli.page import Block, Note, Section, Verbatim
from costtrace.cli.pages.messages import message_page
from costtrace.cli.pages.reports import report_page
from costtrace.errors import ConfigurationError, LedgerUnavailable, MissingExtra
from costtrace.ledger import SqliteLedger, open_ledger
from costtrace.messages import Message, encode_message
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from costtrace.reports import report
from costtrace.settings import Settings, has_openai_key

_DEFAULT_LEDGER: Final = "sqlite:///costtrace-demo.db"
_PACKAGES: Final = {"langchain": "langchain", "langchain_openai": "langchain-openai"}
_EXPECTED_WARNINGS: Final = ("costtrace", "langchain_openai")
"""Who would warn of what belongs to the story (a model without a price) or to the place (a proxy that is passed by)."""
_REPORTS: Final = (("user", "channel"), ("model",))

_RATES_TO_COPY: Final = """\
[[rate]]
provider = "openai"
model = "{model}"
source = "what this machine costs us"
input = 0.10        # USD per million tokens
cache_read = 0.01
output = 0.40"""


def demo(
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Ask OpenAI itself; OPENAI_API_KEY pays a few hundredths of a cent.")
    ] = False,
    local_llm: Annotated[
        bool, typer.Option("--local-llm", help="Ask a small real model on this machine, which counts its own tokens.")
    ] = False,
    ledger: Annotated[
        str, typer.Option("--ledger", metavar="URL", help="Where to record; a ledger that is there is added to.")
    ] = _DEFAULT_LEDGER,
    rates: RatesFile = None,
    as_json: AsJson = False,
) -> None:
    """Run an SMS assistant, record every model call, and show what each message cost. Needs no key and no network."""
    if live and local_llm:
        raise ConfigurationError("--live and --local-llm exclude each other; choose one")
    if live and not has_openai_key():
        raise ConfigurationError("--live needs an OpenAI key in OPENAI_API_KEY; without one, run `costtrace demo`")
    store = open_ledger(ledger)
    rates = rates or Settings.from_environment().rates
    recorder = Recorder(store, catalog=Catalog.default(rates))
    for name in _EXPECTED_WARNINGS:
        logging.getLogger(name).addHandler(logging.NullHandler())
    before = store.last_seq()  # also meets a ledger that cannot be written before the work, not after it
    with progress("an assistant answers its customers ..."):
        uuid = _run(recorder, live=live, local_llm=local_llm)
    _require_stored(recorder)
    following = [f"{_this_command()} {command} --ledger {shlex.quote(ledger)}" for command in _following(uuid)]
    if as_json:
        show_json(_record(store, uuid, following))
    else:
        intro = f"{store.last_seq() - before} model calls were recorded at {ledger}. This is the last reply:"
        advice = _rates_to_copy(store.message(uuid), ledger) if local_llm else []
        show([Note(intro, "dim"), *_page(store, uuid), *advice, Section("Try next"), Verbatim("\n".join(following))])


def _run(recorder: Recorder, *, live: bool, local_llm: bool) -> str:
    scenes = _scenes()
    if local_llm:
        return _run_local(scenes, recorder)
    uuid: str = scenes.live(recorder) if live else scenes.scripted(recorder)
    return uuid


def _scenes() -> ModuleType:
    for module, package in _PACKAGES.items():
        try:
            import_module(module)
        except ImportError:
            raise MissingExtra(package=package, feature="the demo", extra="demo") from None
    return import_module("costtrace.sandbox.demo")  # brings LangChain, which takes seconds to load


def _run_local(scenes: ModuleType, recorder: Recorder) -> str:
    from costtrace.sandbox.local_llm import LocalModelServer  # noqa: PLC0415 - only this form of the demo needs it

    with ExitStack() as running:
        try:
            server = running.enter_context(LocalModelServer())
        except RuntimeError as error:  # its process ended, and said why on standard error
            raise ConfigurationError(str(error)) from error
        uuid: str = scenes.local(recorder, base_url=server.base_url, model=server.model)
    return uuid


def _require_stored(recorder: Recorder) -> None:
    health = recorder.flush()
    if health.buffered or health.lost:
        raise LedgerUnavailable(f"{health.buffered + health.lost} calls could not be recorded: {health.problem}")


def _page(ledger: SqliteLedger, uuid: str) -> list[Block]:
    return [
        *message_page(ledger.message(uuid)),
        *(block for by in _REPORTS for block in report_page(report(ledger, by))),
    ]


def _this_command() -> str:
    """How this program was started, so that it can be started again by copying."""
    if shutil.which("costtrace"):
        return "costtrace"
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m costtrace"
    return shlex.quote(sys.argv[0])


def _following(uuid: str) -> list[str]:
    return [f"message {uuid} --turn", "report --by thread", "doctor"]


def _rates_to_copy(message: Message, ledger: str) -> list[Block]:
    if not message.total.unpriced:
        return []
    return [
        Section("No price list knows this model. Save rates of your own as rates.toml, and run the demo again"),
        Verbatim(_RATES_TO_COPY.format(model=message.entries[0].model)),
        Verbatim(f"{_this_command()} demo --local-llm --rates rates.toml --ledger {shlex.quote(ledger)}"),
    ]


def _record(ledger: SqliteLedger, uuid: str, following: list[str]) -> dict[str, Any]:
    return {
        "message": encode_message(ledger.message(uuid)),
        "reports": [report(ledger, by).to_dict() for by in _REPORTS],
        "next": following,
    }
