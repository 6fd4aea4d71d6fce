"""The ledger's stream: what may pass comes again, what will not goes to the dead letters, and nothing is lost."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.aws.redelivery import Redelivery
from costtrace.aws.stream import StreamDelivery
from costtrace.entry import Entry
from costtrace.errors import ExporterStopped, ExporterUnavailable, LedgerUnavailable
from costtrace.exporters import Fate, Refusal
from costtrace.ledger.dynamodb.items import entry_of, rows_of
from costtrace.messages import Message
from costtrace.testing import MemoryLedger
from tests.aws.parts import Sqs, call, queue
from tests.factories import make_entry


@dataclass
class Scripted:
    """An exporter that answers as a function of the entry's number says; it remembers what it took."""

    answer: Callable[[str], Fate | Exception | None] = lambda _: None
    name: str = "scripted"
    batch_size: int = 100
    taken: list[str] = field(default_factory=list)

    def export(self, entries: Sequence[Entry]) -> list[Refusal]:
        answers = [(entry.entry_id, self.answer(entry.entry_id)) for entry in entries]
        for _, answer in answers:
            if isinstance(answer, Exception):
                raise answer
        self.taken += [entry_id for entry_id, answer in answers if answer is None]
        return [
            Refusal(entry_id=entry_id, fate=answer, reason="a word")
            for entry_id, answer in answers
            if isinstance(answer, Fate)
        ]

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class Shown:
    """The chat table, as far as costs are shown in it."""

    fails: Exception | None = None
    projected: list[tuple[str, int]] = field(default_factory=list)
    asked: int = 0

    def project(self, message: Message, *, wait: bool) -> bool:
        assert not wait  # the index is waited for by whoever comes with the next entry
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        self.projected.append((message.uuid, len(message.entries)))
        return True


def entries(count: int) -> list[Entry]:
    return [make_entry(number) for number in range(1, count + 1)]


def event(found: Sequence[Entry]) -> dict[str, Any]:
    """As Lambda gives it: JSON, with bytes in base64."""
    return {"Records": [record(str(number), rows_of(entry).row) for number, entry in enumerate(found, 1)]}


def record(number: str, row: dict[str, Any], name: str = "INSERT") -> dict[str, Any]:
    image = {key: {"B": base64.b64encode(value["B"]).decode()} if "B" in value else value for key, value in row.items()}
    keys = {key: row[key] for key in ("pk", "sk")}
    return {"eventName": name, "dynamodb": {"SequenceNumber": number, "Keys": keys, "NewImage": image}}


def delivery(
    found: Sequence[Entry], *exporters: Scripted, sqs: Sqs | None = None, chat: Shown | None = None
) -> StreamDelivery:
    ledger = MemoryLedger()
    ledger.append(found)
    shown: Any = chat
    return StreamDelivery(ledger, exporters, decode=entry_of, dead_letters=queue(sqs or Sqs()), chat=shown)


def failed_from(number: int | None) -> dict[str, Any]:
    return {"batchItemFailures": [] if number is None else [{"itemIdentifier": str(number)}]}


def test_entries_reach_every_exporter_and_their_message_is_shown_once() -> None:
    found, chat = entries(5), Shown()
    first, second = Scripted(name="a", batch_size=2), Scripted(name="b")

    assert delivery(found, first, second, chat=chat)(event(found), call()) == failed_from(None)

    assert first.taken == second.taken == [entry.entry_id for entry in found]
    assert chat.projected == [(found[0].message_uuid, 5)]


def test_rows_that_are_no_entries_and_rows_that_go_are_passed_over() -> None:
    found, exporter = entries(1), Scripted()
    hint = {"pk": {"S": "w#1"}, "sk": {"S": "u#sms/1"}}
    gone = {"eventName": "REMOVE", "dynamodb": {"SequenceNumber": "2", "Keys": hint}}
    records = {"Records": [record("1", hint), gone, record("3", rows_of(found[0]).row)]}

    assert delivery(found, exporter)(records, call()) == failed_from(None)

    assert exporter.taken == [found[0].entry_id]


def test_an_exporter_that_is_down_has_its_batch_again_and_the_others_theirs_now() -> None:
    found, well = entries(3), Scripted(name="well")
    for error in (ExporterUnavailable("down"), ExporterStopped("wrong key")):
        down = Scripted(lambda _, error=error: error, name="down")  # type: ignore[misc]  # bound now
        assert delivery(found, down, well)(event(found), call()) == failed_from(1)
    assert well.taken == 2 * [entry.entry_id for entry in found]


def test_what_there_is_no_time_for_comes_again() -> None:
    found, exporter = entries(3), Scripted()
    assert delivery(found, exporter)(event(found), call(seconds=5)) == failed_from(1)
    assert exporter.taken == []


def test_the_batch_comes_again_from_the_first_entry_that_is_to_be_tried_again() -> None:
    found, sqs = entries(5), Sqs()
    exporter = Scripted(lambda entry_id: Fate.RETRY if entry_id in {found[2].entry_id, found[4].entry_id} else None)

    assert delivery(found, exporter, sqs=sqs)(event(found), call()) == failed_from(3)

    assert sqs.sent == []


def test_what_is_refused_for_good_goes_to_the_dead_letters_and_holds_nothing_up() -> None:
    found, sqs = entries(3), Sqs()
    fates = {found[0].entry_id: Fate.DEAD, found[1].entry_id: Fate.PARKED}
    exporter = Scripted(fates.get)

    assert delivery(found, exporter, sqs=sqs)(event(found), call()) == failed_from(None)

    known = {"message_uuid": found[0].message_uuid, "exporter": "scripted", "reason": "a word"}
    assert sqs.jobs == [
        {**known, "entry_id": found[0].entry_id, "fate": "dead"},
        {**known, "entry_id": found[1].entry_id, "fate": "parked"},
    ]
    assert exporter.taken == [found[2].entry_id]


def test_an_entry_that_makes_the_exporter_fail_is_found_and_set_aside() -> None:
    found, sqs = entries(7), Sqs()
    exporter = Scripted(lambda entry_id: ValueError("quotes a prompt") if entry_id == found[4].entry_id else None)

    assert delivery(found, exporter, sqs=sqs)(event(found), call()) == failed_from(None)

    assert exporter.taken == [entry.entry_id for entry in found if entry is not found[4]]
    (letter,) = sqs.jobs
    assert letter["entry_id"] == found[4].entry_id
    assert letter["reason"].startswith("ValueError at ")
    assert "prompt" not in letter["reason"]


def test_a_dead_letter_that_cannot_be_stored_makes_the_entry_come_again() -> None:
    found = entries(2)
    exporter = Scripted(lambda entry_id: Fate.DEAD if entry_id == found[1].entry_id else None)
    assert delivery(found, exporter, sqs=Sqs(down=True))(event(found), call()) == failed_from(2)


def test_what_comes_again_is_set_aside_when_it_has_come_through(caplog: pytest.LogCaptureFixture) -> None:
    """An exporter that is down for hours has the batch again and again; that must not fill the dead letters."""
    found, sqs, chat = entries(2), Sqs(), Shown(fails=TypeError("no map"))
    answers: list[Exception | None] = [ExporterUnavailable("down"), ExporterUnavailable("down"), None]
    exporter = Scripted(lambda _: answers[0])
    deliver = delivery(found, exporter, sqs=sqs, chat=chat)

    for number in (1, 1, None):
        assert deliver(event(found), call()) == failed_from(number)
        answers.pop(0) if number else None

    assert [letter["entry_id"] for letter in sqs.jobs] == [entry.entry_id for entry in found]
    assert caplog.text.count("went to the dead letters") == 2


def test_a_row_that_nobody_can_read_is_set_aside_by_its_key() -> None:
    found, sqs, exporter = entries(2), Sqs(), Scripted()
    row = {**rows_of(found[0]).row, "body": {"B": b"from a later version"}}
    records = {"Records": [record("1", row), record("2", rows_of(found[1]).row)]}

    assert delivery(found, exporter, sqs=sqs)(records, call()) == failed_from(None)

    assert exporter.taken == [found[1].entry_id]
    (letter,) = sqs.jobs
    assert (letter["message_uuid"], letter["entry_id"]) == (found[0].message_uuid, found[0].entry_id)
    assert letter["exporter"] == "reading"


def test_the_letter_of_an_unreadable_row_is_given_to_everybody_once_it_can_be_read() -> None:
    found, first, second, chat = entries(2), Scripted(name="a"), Scripted(name="b"), Shown()
    ledger = MemoryLedger()
    ledger.append(found)
    shown: Any = chat
    name = {"message_uuid": found[0].message_uuid, "entry_id": found[0].entry_id}
    letters = [{**name, "exporter": "reading"}, {**name, "exporter": "b"}, {**name, "exporter": "gone"}]
    records = [{"messageId": f"{n}", "body": json.dumps(letter)} for n, letter in enumerate(letters)]
    again = Redelivery(ledger, [first, second], chat=shown)

    assert again({"Records": records}, call()) == failed_from(2)

    assert (first.taken, second.taken) == ([found[0].entry_id], [found[0].entry_id] * 2)
    assert chat.projected == [(found[0].message_uuid, 2)]


def test_a_chat_table_that_is_down_is_shown_the_costs_later_and_exporters_have_theirs_now() -> None:
    """It is asked once: with a hundred messages in a batch, no time would be left for the exporters."""
    found, exporter = [make_entry(number, message_uuid=f"m-{number}") for number in range(1, 6)], Scripted()
    chat = Shown(fails=LedgerUnavailable("throttled"))

    assert delivery(found, exporter, chat=chat)(event(found), call()) == failed_from(1)

    assert exporter.taken == [entry.entry_id for entry in found]
    assert chat.asked == 1


def test_costs_are_not_shown_at_the_expense_of_the_exporters() -> None:
    found, exporter, chat = entries(2), Scripted(), Shown()
    assert delivery(found, exporter, chat=chat)(event(found), call(seconds=22)) == failed_from(1)
    assert (exporter.taken, chat.asked) == ([entry.entry_id for entry in found], 0)


def test_a_message_that_was_deleted_holds_nothing_up() -> None:
    """Its rows are gone from the table before the stream has come to them."""
    found, exporter, chat = entries(2), Scripted(), Shown()
    shown: Any = chat
    deliver = StreamDelivery(MemoryLedger(), [exporter], decode=entry_of, dead_letters=queue(Sqs()), chat=shown)

    assert deliver(event(found), call()) == failed_from(None)

    assert exporter.taken == [entry.entry_id for entry in found]


def test_a_chat_row_that_cannot_take_the_costs_is_set_aside() -> None:
    found, sqs = entries(2), Sqs()
    assert delivery(found, sqs=sqs, chat=Shown(fails=TypeError("no map")))(event(found), call()) == failed_from(None)
    assert [(letter["exporter"], letter["fate"]) for letter in sqs.jobs] == [("chat-messages", "dead")] * 2


_ANSWERS = st.sampled_from([None, Fate.RETRY, Fate.PARKED, Fate.DEAD, ValueError("poison"), ExporterUnavailable("no")])


@given(answers=st.lists(_ANSWERS, min_size=1, max_size=12), size=st.integers(1, 5), down=st.booleans())
def test_every_entry_is_taken_or_set_aside_or_comes_again(
    answers: list[Fate | Exception | None], size: int, *, down: bool
) -> None:
    """What stands before the record that Lambda goes on from was acknowledged or is in the dead letters."""
    found, sqs = entries(len(answers)), Sqs(down=down)
    by_id = {entry.entry_id: answer for entry, answer in zip(found, answers, strict=True)}
    exporter = Scripted(by_id.get, batch_size=size)

    answer = delivery(found, exporter, sqs=sqs)(event(found), call())

    failures = answer["batchItemFailures"]
    first = int(failures[0]["itemIdentifier"]) if failures else len(found) + 1
    kept = {*exporter.taken, *(letter["entry_id"] for letter in sqs.jobs)}
    assert kept >= {entry.entry_id for entry in found[: first - 1]}
