"""The end of a call: entries and spans leave, what hangs is left behind, and what is raised may be logged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from costtrace.aws.failures import WorkFailed
from costtrace.aws.invocation import FLUSH_S, invoked
from costtrace.aws.runtime import Runtime
from costtrace.entry import Entry
from costtrace.errors import ConfigurationError, LedgerUnavailable
from costtrace.recorder import Recorder
from costtrace.settings import Settings
from costtrace.testing import MemoryLedger
from tests.aws.parts import Lambda, call
from tests.bars import within
from tests.factories import make_entry

SETTINGS = Settings(ledger="sqlite:///unused.db")


class Ledger(MemoryLedger):
    """A ledger that can be switched off, or made to hang."""

    down = False
    hang_s = 0.0

    def spool(self, entry: Entry) -> None:
        time.sleep(self.hang_s)
        if self.down:
            raise LedgerUnavailable("throttled")
        super().spool(entry)


@pytest.fixture
def hanging() -> Iterator[Any]:
    """Something that does not return while the test lasts."""
    over = threading.Event()
    yield over.wait
    over.set()


def test_everything_that_hangs_together_costs_one_limit(hanging: Any) -> None:
    began = time.monotonic()
    with invoked(Lambda(), recorder=lambda: None, flushes=[hanging, hanging, hanging]):
        pass
    assert FLUSH_S <= time.monotonic() - began < within(FLUSH_S + 0.1)


def test_nothing_is_waited_for_when_the_call_has_no_time_left(hanging: Any) -> None:
    began = time.monotonic()
    with invoked(Lambda(seconds=1.0), recorder=lambda: None, flushes=[hanging]):
        pass
    assert time.monotonic() - began < within(0.1)


def test_a_flush_that_fails_is_logged_and_the_others_are_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    def fails() -> None:
        raise ValueError("a secret")

    with invoked(Lambda(), recorder=lambda: None, flushes=[fails, lambda: done.append(1)]):
        pass
    assert done == [1]
    assert "flushing failed: ValueError at " in caplog.text
    assert "a secret" not in caplog.text


def test_entries_that_the_ledger_refused_are_offered_again_before_the_answer() -> None:
    ledger = Ledger()
    recorder = Recorder(ledger)
    ledger.down = True
    with invoked(Lambda(), recorder=lambda: recorder, flushes=[]):
        recorder.record(make_entry())
        ledger.down = False
    assert ledger.last_seq() == 1


@pytest.mark.parametrize("raises", [False, True])
def test_a_ledger_that_stays_down_is_said_and_its_entries_wait(
    caplog: pytest.LogCaptureFixture, *, raises: bool
) -> None:
    ledger = Ledger()
    recorder = Recorder(ledger)
    ledger.down = True

    def work() -> None:
        with invoked(Lambda(), recorder=lambda: recorder, flushes=[]):
            recorder.record(make_entry())
            if raises:
                raise KeyError

    if raises:
        with pytest.raises(KeyError):
            work()
    else:
        work()
    assert "entries wait in this process's memory" in caplog.text
    ledger.down = False
    with invoked(Lambda(), recorder=lambda: recorder, flushes=[]):
        pass
    assert ledger.last_seq() == 1


def test_a_ledger_that_hangs_is_left_behind_before_the_call_ends(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger()
    recorder = Recorder(ledger)
    ledger.down = True
    began = time.monotonic()
    with invoked(Lambda(seconds=1.5), recorder=lambda: recorder, flushes=[]):
        recorder.record(make_entry())
        ledger.down, ledger.hang_s = False, 4.0
    assert time.monotonic() - began < within(1.0)
    assert "entries wait in this process's memory" in caplog.text
    assert recorder.drain() == 0  # waits for the thread that was left behind, so that it ends with the test


def test_work_that_takes_too_long_is_warned_before_the_end_and_other_work_is_not() -> None:
    called: list[str] = []
    with call(seconds=2.6).before_end(lambda: called.append("late")):
        time.sleep(0.3)
    with call(seconds=30).before_end(lambda: called.append("early")):
        pass
    assert called == ["late"]


def test_what_a_service_raises_reaches_lambda_in_words_that_may_be_logged(caplog: pytest.LogCaptureFixture) -> None:
    def service(*_: object) -> Any:
        raise ValueError("+14155550123 wrote: where is my parcel?")

    with caplog.at_level(logging.ERROR), pytest.raises(WorkFailed) as failed:
        Runtime(SETTINGS).call("settlement", service, {}, Lambda())

    assert str(failed.value).startswith("settlement: ValueError at ")
    assert failed.value.__cause__ is None
    assert "parcel" not in caplog.text + str(failed.value)


def test_an_error_of_our_own_keeps_its_words() -> None:
    def service(*_: object) -> Any:
        raise LedgerUnavailable("DynamoDB table 'costtrace-ledger': PutItem was put off")

    with pytest.raises(WorkFailed, match="LedgerUnavailable: DynamoDB table 'costtrace-ledger': PutItem was put off"):
        Runtime(SETTINGS).call("stream", service, {}, Lambda())


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (lambda runtime: runtime.verifier(), "TWILIO_AUTH_TOKEN is not set"),
        (lambda runtime: runtime.hasher(), "COSTTRACE_HASH_KEY is not set"),
        (lambda runtime: runtime.queue("parked"), "COSTTRACE_PARKED_QUEUE_URL is not set"),
        (lambda runtime: runtime.queue("reply"), "COSTTRACE_REPLY_QUEUE_URL is not set"),
        (lambda runtime: runtime.queue("dead_letter"), "COSTTRACE_DEAD_LETTER_QUEUE_URL is not set"),
        (lambda runtime: runtime.sends_from(), "COSTTRACE_FROM_NUMBER is not set.*COSTTRACE_MESSAGING_SERVICE_SID"),
        (lambda runtime: runtime.sender(None), "COSTTRACE_PUBLIC_BASE_URL is not set"),
        (lambda runtime: runtime.twilio(), "TWILIO_ACCOUNT_SID is not set"),
        (lambda runtime: runtime.chat, "ledger address 'sqlite:///unused.db' is not known"),
    ],
)
def test_a_part_that_lacks_its_setting_names_it(part: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        part(Runtime(SETTINGS))


def test_a_verifier_needs_the_public_address() -> None:
    with pytest.raises(ConfigurationError, match="COSTTRACE_PUBLIC_BASE_URL is not set: Twilio signs the address"):
        Runtime(replace(SETTINGS, twilio_auth_token="t")).verifier()  # noqa: S106 - of no account
    wrong = replace(SETTINGS, twilio_auth_token="t", public_base_url="example.com")  # noqa: S106 - of no account
    with pytest.raises(ConfigurationError, match="COSTTRACE_PUBLIC_BASE_URL: expected an address such as"):
        Runtime(wrong).verifier()


def test_who_sends_is_the_service_or_the_number() -> None:
    by_number = replace(SETTINGS, from_number="+14155550199")
    assert Runtime(by_number).sends_from() == {"from_": "+14155550199"}
    service = replace(by_number, messaging_service_sid="MG1")
    assert Runtime(service).sends_from() == {"messaging_service_sid": "MG1"}


def test_writing_in_scopes_is_for_dynamodb() -> None:
    with pytest.raises(ConfigurationError, match="COSTTRACE_WRITES: expected each or scope, got 'never'"):
        Runtime(replace(SETTINGS, writes="never"))
    runtime, seen = Runtime(replace(SETTINGS, writes="scope")), []
    with (
        pytest.raises(ConfigurationError, match="'scope' is for a dynamodb:// ledger"),
        invoked(Lambda(), recorder=lambda: None, flushes=[]) as invocation,
    ):
        seen.append(runtime.writes(invocation))
    assert seen == []


def test_secrets_that_a_function_does_not_use_are_not_looked_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "costtrace")  # which the runtime sets, and caplog takes back
    for name in ("TWILIO_AUTH_TOKEN", "OPENAI_API_KEY", "POSTHOG_API_KEY"):
        monkeypatch.setenv(name, "ssm:/nowhere")
    monkeypatch.setenv("COSTTRACE_HASH_KEY", "plain")
    settings = Runtime.from_environment(secrets=("hash_key",)).settings
    assert (settings.hash_key, settings.twilio_auth_token, settings.openai_api_key) == ("plain", None, None)
