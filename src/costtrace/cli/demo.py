"""``costtrace demo``: the main job, on this machine alone."""

from __future__ import annotations

import shlex
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
from costtrace.messages import encode_message
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from costtrace.reports import report
from costtrace.settings import Settings, has_openai_key

_DEFAULT_LEDGER: Final = "sqlite:///costtrace-demo.db"
_PACKAGES: Final = {"langchain": "langchain", "langchain_openai": "langchain-openai"}
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
    store.last_seq()  # a ledger that cannot be written is better met before the work than after it
    rates = rates or Settings.from_environment().rates
    recorder = Recorder(store, catalog=Catalog.default(rates))
    with progress("an assistant answers its customers ..."):
        uuid = _run(recorder, live=live, local_llm=local_llm)
    _require_stored(recorder)
    following = f"costtrace message {uuid} --turn --ledger {shlex.quote(ledger)}"
    if as_json:
        show_json(_record(store, uuid, following))
    else:
        show([*_page(store, uuid), *_next(store, following, local_llm=local_llm and rates is None)])


def _run(recorder: Recorder, *, live: bool, local_llm: bool) -> str:
    scenes = _scenes()
    if local_llm:
        return _run_local(scenes, recorder)
    uuid: str = scenes.live(recorder) if live else scenes.scripted(recorder)
    return uuid


def _scenes() -> ModuleType:
    try:
        from costtrace.sandbox import demo as scenes  # noqa: PLC0415 - LangChain, which takes seconds to load
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in _PACKAGES:
            raise
        raise MissingExtra(package=_PACKAGES[module], feature="the demo", extra="demo") from None
    return scenes


def _run_local(scenes: ModuleType, recorder: Recorder) -> str:
    from costtrace.sandbox.local_llm import LocalModelServer  # noqa: PLC0415 - only this form of the demo needs it

    with LocalModelServer() as server:
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


def _next(ledger: SqliteLedger, following: str, *, local_llm: bool) -> list[Block]:
    blocks: list[Block] = []
    if local_llm:
        model = next(iter(ledger.totals(("model",))))[0]
        blocks += [
            Section("No price list knows this model. To price it, save your rates and give them with --rates"),
            Verbatim(_RATES_TO_COPY.format(model=model)),
            Verbatim("costtrace demo --local-llm --rates rates.toml"),
        ]
    return [*blocks, Section("Try next"), Verbatim(following), Note("")]


def _record(ledger: SqliteLedger, uuid: str, following: str) -> dict[str, Any]:
    return {
        "message": encode_message(ledger.message(uuid)),
        "reports": [report(ledger, by).to_dict() for by in _REPORTS],
        "next": following,
    }
