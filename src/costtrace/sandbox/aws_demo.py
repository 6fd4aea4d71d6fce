"""The demo's day on an emulated AWS, and what stands in DynamoDB when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from costtrace.aws.clients import AwsError
from costtrace.entry import Entry
from costtrace.errors import LedgerUnavailable, MissingExtra
from costtrace.exporters import Exporter
from costtrace.exporters.ledgers import LedgerExporter
from costtrace.ledger import Ledger
from costtrace.ledger.dynamodb.items import entry_of
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from costtrace.sandbox.aws import AwsStack, Spent
from costtrace.sandbox.aws_emulator import AwsEmulator
from costtrace.sandbox.aws_feeds import Failed
from costtrace.sandbox.demo import Story, require_stored, scripted
from costtrace.sandbox.posthog_project import Held, PostHogProject
from costtrace.sandbox.sms_line import NotTaken

_USD_PER_MILLION_UNITS: Final = Decimal("0.625")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the ledger's table: an entry."""

    key: str
    entry: Entry
    size: int
    """Bytes of its body, which is the whole entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What stands in DynamoDB of one message."""

    item: Mapping[str, Any]
    """The item of ``chat-messages``, without what it says; numbers are Decimals."""
    characters: int
    """How much it says."""
    rows: tuple[Row, ...]
    """Its rows of the ledger's table, in the order of their keys."""
    spent: Spent
    """What the SMS of the day took to write, this message among them."""
    usd_per_million_units: Decimal = _USD_PER_MILLION_UNITS
    """What DynamoDB costs on demand for a million write units; by default in us-east-1, since November 2024."""

    @property
    def usd_per_million_messages(self) -> Decimal:
        """What it costs to write a million such messages."""
        return self.spent.per_message * self.usd_per_million_units


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsDay:
    """What the demo did there, and what it left."""

    story: Story
    standing: Standing
    """Of the story's message."""
    held: Held | None
    """What the function behind the stream delivered to PostHog; None where the package ``posthog`` is missing."""


def scripted_on_aws(python: Path, catalog: Catalog, *, copy: Ledger) -> AwsDay:
    """Tell the day through the functions of ``integrations/aws``, on the emulator that `python` has.

    The function behind the ledger's stream copies every entry to `copy`. Raises ConfigurationError where the emulator
    does not start, LedgerUnavailable where it fails later.
    """
    with PostHogProject() as project, AwsEmulator(python) as emulator, _failures():
        stack = AwsStack(emulator, exporters=lambda ledger: [LedgerExporter(copy), *_posthog(project, ledger)])
        recorder = Recorder(stack.ledger, catalog=catalog)
        story = scripted(recorder, aws=stack)
        require_stored(recorder)
        stack.catch_up()
        held = project.held()
        return AwsDay(story=story, standing=_standing(stack, story.message_uuid), held=held if held.count else None)


def _posthog(project: PostHogProject, ledger: Ledger) -> list[Exporter]:
    try:
        return [project.exporter(ledger.message)]
    except MissingExtra:
        return []


@contextmanager
def _failures() -> Iterator[None]:
    """What the emulator and the functions raise, as one error that says so."""
    try:
        yield
    except (Failed, NotTaken, *AwsError) as error:
        raise LedgerUnavailable(f"the emulated AWS failed: {error}") from error


def _standing(stack: AwsStack, uuid: str) -> Standing:
    item, characters = stack.item(uuid)
    return Standing(item=item, characters=characters, rows=tuple(_rows(stack, uuid)), spent=stack.spent)


def _rows(stack: AwsStack, uuid: str) -> Iterator[Row]:
    for row in stack.rows(uuid):
        entry = entry_of(row)
        if entry is not None:
            yield Row(key=row["sk"]["S"], entry=entry, size=len(row["body"]["B"]))
