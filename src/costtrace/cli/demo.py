"""``costtrace demo``: the main job, on this machine alone."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from costtrace.cli.options import AsJson, RatesFile
from costtrace.cli.output import progress, show, show_json
from costtrace.cli.page import Block, Facts, Note, Section, Verbatim
from costtrace.cli.pages.aws import dynamodb_blocks, dynamodb_record
from costtrace.cli.pages.demo import posthog_blocks, told
from costtrace.cli.pages.messages import message_page, message_record, turn_record
from costtrace.cli.pages.reports import report_page
from costtrace.entry import Entry, Kind
from costtrace.errors import ConfigurationError, MissingExtra
from costtrace.ledger import Ledger, open_ledger
from costtrace.messages import Message, Totals, totals_of
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from costtrace.reports import report, turn
from costtrace.settings import Settings, has_openai_key
from costtrace.twilio.legs import IDENTIFIED, SEND, SMS, WAITING_KINDS
from costtrace.view.totals import total_facts

if TYPE_CHECKING:
    from costtrace.sandbox.aws_demo import Standing
    from costtrace.sandbox.demo import Story
    from costtrace.sandbox.posthog_project import Held

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """What a form of the demo did and left."""

    story: Story
    held: Held | None = None
    """What PostHog holds of it; None where the package for that is missing."""
    standing: Standing | None = None
    """What stands in DynamoDB, where it was played there."""


def demo(
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Ask OpenAI itself; OPENAI_API_KEY pays a few hundredths of a cent.")
    ] = False,
    local_llm: Annotated[
        bool, typer.Option("--local-llm", help="Ask a small real model on this machine, which counts its own tokens.")
    ] = False,
    aws: Annotated[
        bool, typer.Option("--aws", help="Through the Lambda functions, on an emulated AWS: DynamoDB, SQS, a stream.")
    ] = False,
    ledger: Annotated[
        str, typer.Option("--ledger", metavar="URL", help="Where to record; a ledger that is there is added to.")
    ] = _DEFAULT_LEDGER,
    rates: RatesFile = None,
    as_json: AsJson = False,
) -> None:
    """Run an SMS assistant, record every model call and SMS, and show what each message cost: no key, no network."""
    _check(ledger, live=live, local_llm=local_llm, aws=aws)
    settings = Settings.from_environment()
    catalog = Catalog.default(rates or settings.rates)
    store = open_ledger(ledger)
    for name in _EXPECTED_WARNINGS:
        logging.getLogger(name).addHandler(logging.NullHandler())
    before = store.last_seq()  # also meets a ledger that cannot be written before the work, not after it
    with progress("an assistant answers its customers ..."):
        if aws:
            day = _on_aws(catalog, store, settings.ministack)
        else:
            day = _on_this_machine(Recorder(store, catalog=catalog), before, live=live, local_llm=local_llm)
    uuid, new = day.story.message_uuid, [entry for _, entry in store.entries(after=before)]
    following = [f"{_this_command()} {command} --ledger {shlex.quote(ledger)}" for command in _following(uuid)]
    if as_json:
        show_json(_record(store, day, following))
        return
    where = f"in DynamoDB and copied to {ledger}" if aws else f"at {ledger}"
    advice = _rates_to_copy(store.message(uuid), ledger) if local_llm else []
    last = [*advice, *_still_waiting(store), Section("Try next"), Verbatim("\n".join(following))]
    show([Note(_recorded(new, where), "dim"), *_page(store, day, new), *last])


def _check(ledger: str, *, live: bool, local_llm: bool, aws: bool) -> None:
    chosen = [name for name, given in (("--live", live), ("--local-llm", local_llm), ("--aws", aws)) if given]
    if len(chosen) > 1:
        raise ConfigurationError(f"{' and '.join(chosen)} exclude each other; choose one")
    if aws and not ledger.startswith("sqlite:"):
        raise ConfigurationError(f"--ledger: with --aws it is for the copy, such as {_DEFAULT_LEDGER}, not {ledger!r}")
    if live and not has_openai_key():
        raise ConfigurationError("--live needs an OpenAI key in OPENAI_API_KEY; without one, run `costtrace demo`")


def _on_aws(catalog: Catalog, store: Ledger, ministack: str | None) -> _Day:
    """Through the functions of ``integrations/aws``. Their ledger ends with the emulator; `store` is its copy."""
    from costtrace.sandbox.aws_emulator import find_python  # noqa: PLC0415 - boto3, which only this form needs

    python = find_python(ministack)
    _scenes()
    from costtrace.sandbox.aws_demo import scripted_on_aws  # noqa: PLC0415 - as above, and LangChain

    day = scripted_on_aws(python, catalog, copy=store)
    return _Day(story=day.story, held=day.held, standing=day.standing)


def _on_this_machine(recorder: Recorder, before: int, *, live: bool, local_llm: bool) -> _Day:
    scenes = _scenes()
    story = _run_local(scenes, recorder) if local_llm else (scenes.live if live else scenes.scripted)(recorder)
    scenes.require_stored(recorder)
    return _Day(story=story, held=_delivered(entry for _, entry in recorder.ledger.entries(after=before)))


def _delivered(entries: Iterable[Entry]) -> Held | None:
    """What PostHog would hold of them; None where the package for that is missing."""
    from costtrace.sandbox.posthog_project import deliver  # noqa: PLC0415 - as late as it is used

    try:
        return deliver(entries)
    except MissingExtra:
        return None


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


def _recorded(new: Sequence[Entry], where: str) -> str:
    """How much of what is new in the ledger, in a sentence."""
    kinds = Counter(entry.kind for entry in new)
    # An entry that only says which SID an SMS has is of one that was counted when it was sent.
    identified = sum(entry.kind == SMS and entry.status == IDENTIFIED for entry in new)
    calls, texts = kinds[Kind.LLM], kinds[SEND] + kinds[SMS] - identified
    sms = f" and {texts} SMS" if texts else ""
    return f"{calls} model calls{sms} were recorded {where}."


def _usd(entries: Iterable[Entry]) -> Decimal | None:
    """What those entries are known to cost."""
    return reduce(Totals.plus, map(totals_of, entries), Totals()).known.get("USD")


def _turn_blocks(ledger: Ledger, uuid: str) -> list[Block]:
    """The last reply, and what it cost together with what it answers."""
    found = turn(ledger, uuid)
    if found.reply_to is None:
        return message_page(found.message)
    return [
        *message_page(found.message),
        Section("Total with what it answers"),
        Facts(list(total_facts(found.total, (*found.reply_to.entries, *found.message.entries)))),
    ]


def _still_waiting(ledger: Ledger) -> list[Block]:
    if next(ledger.waiting(WAITING_KINDS), None) is None:
        return []
    advice = "Of one SMS Twilio named no price today. `costtrace sms settle` asks for those of your own account."
    return [Section("Still pending"), Note(advice)]


def _report_blocks(ledger: Ledger) -> list[Block]:
    return [block for by in _REPORTS for block in report_page(report(ledger, by))]


def _this_command() -> str:
    """How this program was started, so that it can be started again by copying."""
    if shutil.which("costtrace"):
        return "costtrace"
    if Path(sys.argv[0]).name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m costtrace"
    return shlex.quote(sys.argv[0])


def _following(uuid: str) -> list[str]:
    return [f"message {uuid} --turn", f"view {uuid}", "report --by direction,message_type", "doctor", "serve --port 0"]


def _rates_to_copy(message: Message, ledger: str) -> list[Block]:
    if not message.total.unpriced:
        return []
    return [
        Section("No price list knows this model. Save rates of your own as rates.toml, and run the demo again"),
        Verbatim(_RATES_TO_COPY.format(model=message.entries[0].model)),
        Verbatim(f"{_this_command()} demo --local-llm --rates rates.toml --ledger {shlex.quote(ledger)}"),
    ]


def _page(ledger: Ledger, day: _Day, new: Sequence[Entry]) -> list[Block]:
    return [
        *told(day.story),
        *_turn_blocks(ledger, day.story.message_uuid),
        *([] if day.standing is None else dynamodb_blocks(day.standing)),
        *_report_blocks(ledger),
        *posthog_blocks(day.held, _usd(new)),
    ]


def _record(ledger: Ledger, day: _Day, following: list[str]) -> dict[str, Any]:
    uuid = day.story.message_uuid
    return {
        "steps": [{"subject": subject, "what": became} for subject, became in day.story.steps],
        "message": message_record(ledger.message(uuid)),
        "turn": turn_record(turn(ledger, uuid)),
        **({} if day.standing is None else {"dynamodb": dynamodb_record(day.standing)}),
        "reports": [report(ledger, by).to_dict() for by in _REPORTS],
        "posthog": None if day.held is None else day.held.to_dict(),
        "next": following,
    }
