"""``costtrace demo``: the main job, on this machine alone."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from collections import Counter
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from costtrace.cli.options import AsJson, RatesFile
from costtrace.cli.output import progress, show, show_json
from costtrace.cli.page import Block, Cell, Column, Facts, Grid, Note, Section, Verbatim
from costtrace.cli.pages.messages import message_page, message_record, total_facts, turn_record
from costtrace.cli.pages.reports import report_page
from costtrace.entry import Kind
from costtrace.errors import ConfigurationError, LedgerUnavailable, MissingExtra
from costtrace.ledger import SqliteLedger, open_ledger
from costtrace.messages import Message
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from costtrace.reports import report, turn
from costtrace.settings import Settings, has_openai_key
from costtrace.twilio.legs import IDENTIFIED, SEND, SMS, WAITING_KINDS

if TYPE_CHECKING:
    from costtrace.sandbox.demo import Story

_DEFAULT_LEDGER: Final = "sqlite:///costtrace-demo.db"
_PACKAGES: Final = {
    "langchain": "langchain",
    "langchain_openai": "langchain-openai",
    "starlette": "starlette",
    "twilio": "twilio",
    "uvicorn": "uvicorn",
}
_EXPECTED_WARNINGS: Final = ("costtrace", "langchain_openai")
"""Who would warn of what belongs to the story (a model without a price) or to the place (a proxy that is passed by)."""
_REPORTS: Final = (("user", "channel"), ("direction", "message_type"), ("model",))

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
    """Run an SMS assistant, record every model call and SMS, and show what each message cost: no key, no network."""
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
        story = _run(recorder, live=live, local_llm=local_llm)
    _require_stored(recorder)
    uuid = story.message_uuid
    following = [f"{_this_command()} {command} --ledger {shlex.quote(ledger)}" for command in _following(uuid)]
    if as_json:
        show_json(_record(store, story, following))
    else:
        advice = _rates_to_copy(store.message(uuid), ledger) if local_llm else []
        last = [*advice, *_still_waiting(store), Section("Try next"), Verbatim("\n".join(following))]
        show(
            [
                Note(_recorded(store, before, ledger), "dim"),
                *_told(story),
                *_turn_blocks(store, uuid),
                *_report_blocks(store),
                *last,
            ]
        )


def _run(recorder: Recorder, *, live: bool, local_llm: bool) -> Story:
    scenes = _scenes()
    if local_llm:
        return _run_local(scenes, recorder)
    story: Story = scenes.live(recorder) if live else scenes.scripted(recorder)
    return story


def _scenes() -> ModuleType:
    for module, package in _PACKAGES.items():
        try:
            import_module(module)
        except ImportError:
            raise MissingExtra(package=package, feature="the demo", extra="demo") from None
    return import_module("costtrace.sandbox.demo")  # brings LangChain, which takes seconds to load


def _run_local(scenes: ModuleType, recorder: Recorder) -> Story:
    from costtrace.sandbox.local_llm import LocalModelServer  # noqa: PLC0415 - only this form of the demo needs it

    with ExitStack() as running:
        try:
            server = running.enter_context(LocalModelServer())
        except RuntimeError as error:  # its process ended, and said why on standard error
            raise ConfigurationError(str(error)) from error
        story: Story = scenes.local(recorder, base_url=server.base_url, model=server.model)
    return story


def _require_stored(recorder: Recorder) -> None:
    health = recorder.flush()
    if health.buffered or health.lost:
        raise LedgerUnavailable(f"{health.buffered + health.lost} calls could not be recorded: {health.problem}")


def _recorded(ledger: SqliteLedger, before: int, url: str) -> str:
    """How much of what is new in the ledger, in a sentence."""
    kinds = Counter(entry.kind for _, entry in ledger.entries(after=before))
    calls, texts = kinds[Kind.LLM], kinds[SEND] + kinds[SMS] - _identified(ledger, before)
    sms = f" and {texts} SMS" if texts else ""
    return f"{calls} model calls{sms} were recorded at {url}."


def _identified(ledger: SqliteLedger, before: int) -> int:
    """Entries that only say which SID an SMS has that was counted when it was sent."""
    return sum(entry.kind == SMS and entry.status == IDENTIFIED for _, entry in ledger.entries(after=before))


def _told(story: Story) -> list[Block]:
    if not story.steps:
        return []
    rows = [[Cell(subject, "strong"), Cell(became)] for subject, became in story.steps]
    return [Section("What happened"), Grid((Column(), Column()), rows)]


def _turn_blocks(ledger: SqliteLedger, uuid: str) -> list[Block]:
    """The last reply, and what it cost together with what it answers."""
    found = turn(ledger, uuid)
    if found.reply_to is None:
        return message_page(found.message)
    return [
        *message_page(found.message),
        Section("Total with what it answers"),
        Facts(list(total_facts(found.total, (*found.reply_to.entries, *found.message.entries)))),
    ]


def _still_waiting(ledger: SqliteLedger) -> list[Block]:
    if next(ledger.waiting(WAITING_KINDS), None) is None:
        return []
    advice = "Of one SMS Twilio named no price today. `costtrace sms settle` asks for those of your own account."
    return [Section("Still pending"), Note(advice)]


def _report_blocks(ledger: SqliteLedger) -> list[Block]:
    return [block for by in _REPORTS for block in report_page(report(ledger, by))]


def _this_command() -> str:
    """How this program was started, so that it can be started again by copying."""
    if shutil.which("costtrace"):
        return "costtrace"
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m costtrace"
    return shlex.quote(sys.argv[0])


def _following(uuid: str) -> list[str]:
    return [f"message {uuid} --turn", "report --by direction,message_type", "tail --once", "doctor"]


def _rates_to_copy(message: Message, ledger: str) -> list[Block]:
    if not message.total.unpriced:
        return []
    return [
        Section("No price list knows this model. Save rates of your own as rates.toml, and run the demo again"),
        Verbatim(_RATES_TO_COPY.format(model=message.entries[0].model)),
        Verbatim(f"{_this_command()} demo --local-llm --rates rates.toml --ledger {shlex.quote(ledger)}"),
    ]


def _record(ledger: SqliteLedger, story: Story, following: list[str]) -> dict[str, Any]:
    return {
        "steps": [{"subject": subject, "what": became} for subject, became in story.steps],
        "message": message_record(ledger.message(story.message_uuid)),
        "turn": turn_record(turn(ledger, story.message_uuid)),
        "reports": [report(ledger, by).to_dict() for by in _REPORTS],
        "next": following,
    }
