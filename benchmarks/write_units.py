"""What it costs to keep a message's costs in DynamoDB: write units for each way of writing, as DynamoDB counts them.

    python benchmarks/write_units.py     # needs an emulator, which `make test` installs

Each message has so many model calls, recorded as an application does it, with the provider's own record of a usual
size. The units are those of ``ReturnConsumedCapacity``, index included, which MiniStack counts as DynamoDB documents
it. Dollars are for a million messages at 0.625 dollars per million write units, the on-demand price of us-east-1.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from costtrace import Recorder, message
from costtrace.chat import ChatMessages
from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.exporters.ledgers import LedgerExporter
from costtrace.jsontext import encode
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.testing import MemoryLedger
from costtrace.usage import Usage
from tests.peers.emulator import ministack
from tests.twilio.sms_entries import bound, leg, price, sent, status

CALLS = (2, 6, 20)
PRICE_PER_MILLION = Decimal("0.625")
THREAD = "thread-9876"
RAW = {
    "usage_metadata": {
        "input_tokens": 1500,
        "output_tokens": 420,
        "total_tokens": 1920,
        "input_token_details": {"audio": 0, "cache_read": 1024},
        "output_token_details": {"audio": 0, "reasoning": 0},
    },
    "token_usage": {"completion_tokens": 420, "prompt_tokens": 1500, "total_tokens": 1920},
}

Mode = Callable[[Any, int], Decimal]
"""From a client and a number of calls to the write units of one message."""


def record(recorder: Recorder, uuid: str, context: Context, calls: int) -> None:
    """That many calls of one message, each with a run of its own."""
    for number in range(calls):
        recorder.record_call(
            run_id=f"0199d3a0-1111-7000-8000-{number:012x}",
            message_uuid=uuid,
            context=context,
            status="completed",
            start_us=1_795_300_000_000_000 + number * 2_000_000,
            duration_us=1_234_567,
            provider="openai",
            model="gpt-4o-2024-08-06",
            requested_model="gpt-4o",
            service_tier="default",
            usage=Usage(buckets={"input": 476 + number, "cache_read": 1024, "output": 420}, raw_json=encode(RAW)),
        )


def direct(client: Any, calls: int, *, scope: bool = False) -> Decimal:
    """Each call is stored before the model's answer is handed on; or all of them when the scope ends."""
    ledger = DynamoDBLedger(client)
    ledger.append(note_of_the_day())
    before = ledger.write_units
    with (
        message(user_id="user-12345", thread_id=THREAD, channel="sms") as open_message,
        ledger.scope() if scope else nullcontext(),
    ):
        record(Recorder(ledger), open_message.uuid, open_message.context, calls)
    return ledger.write_units - before


def scoped(client: Any, calls: int) -> Decimal:
    return direct(client, calls, scope=True)


def projected(client: Any, calls: int) -> Decimal:
    """Beside the chat table: the message is saved there, and its cost is brought up to date at the end of the turn."""
    ledger, chat = DynamoDBLedger(client), ChatMessages(client)
    ledger.append(note_of_the_day())
    before = ledger.write_units
    with message(user_id="user-12345", thread_id=THREAD, channel="sms") as open_message:
        record(Recorder(ledger), open_message.uuid, open_message.context, calls)
        row = chat.save(
            chat.new(thread_id=THREAD, role="assistant", content="On its way. " * 12, message_uuid=open_message.uuid)
        )
        chat.project(ledger.message(open_message.uuid), row=row)
    return ledger.write_units - before + chat.write_units


def exported(client: Any, calls: int) -> Decimal:
    """The ledger is elsewhere, and its entries are delivered here in a batch."""
    own = MemoryLedger()
    record(Recorder(own), "0199d3a0-0000-7000-8000-00000000e001", Context(user_id="user-12345"), calls)
    ledger = DynamoDBLedger(client)
    ledger.append(note_of_the_day())
    before = ledger.write_units
    LedgerExporter(ledger).export([entry for _, entry in own.entries()])
    return ledger.write_units - before


def sms(client: Any) -> Decimal:
    """One SMS from send to price: two names for it, three callbacks, a price."""
    ledger = DynamoDBLedger(client)
    ledger.append(note_of_the_day())
    before = ledger.write_units
    entries: list[Entry] = []
    for step in sms_steps(entries):
        entries += step
        ledger.append(step)
    return ledger.write_units - before


def sms_steps(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    yield [sent()]
    yield [bound(), status("queued", 1, source="create")]
    for seconds, word in enumerate(("sending", "sent", "delivered"), 2):
        yield [status(word, seconds)]
    yield price(leg(entries), "-0.00790")


def note_of_the_day() -> list[Entry]:
    """An entry of another message, so that the row for the day is there."""
    return [sent(send_id="another")]


MODES: dict[str, Mode] = {
    "ledger, each call at once": direct,
    "ledger, at the end of a scope": scoped,
    "ledger and projection into chat-messages": projected,
    "as an exporter beside another ledger": exported,
}


def main() -> None:
    heads = [f"{calls} calls" for calls in CALLS]
    print("| write units per message | " + " | ".join(heads) + " |")
    print("|---|" + "---|" * len(heads))
    with ministack() as emulator:
        for name, mode in MODES.items():
            cells = [mode(fresh_tables(emulator), calls) for calls in CALLS]
            print(f"| {name} | " + " | ".join(f"{units} = ${units * PRICE_PER_MILLION}" for units in cells) + " |")
        units = sms(fresh_tables(emulator))
    print(f"\none SMS, sent, called back three times and settled: {units} = ${units * PRICE_PER_MILLION}")
    print(f"dollars per million messages, at ${PRICE_PER_MILLION} per million write units")


def fresh_tables(emulator: Any) -> Any:
    client = emulator.account().client()
    create_tables(client)
    return client


if __name__ == "__main__":
    main()
