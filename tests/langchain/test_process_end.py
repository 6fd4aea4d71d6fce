"""A process that ends, or forks, with calls under way loses none of them and doubles none."""

import subprocess
import sys
from pathlib import Path

import pytest

import costtrace
from tests.langchain.calls import entries

BEGIN = """
import asyncio, os, sys
from langchain_core.outputs import LLMResult
from uuid import UUID
import costtrace

handler = costtrace.CostCallbackHandler(costtrace.Recorder(costtrace.open_ledger(sys.argv[1])))
metadata = {"ls_provider": "openai", "ls_model_name": "gpt-4o", "message_uuid": "m1"}

def begin(number):
    handler.on_chat_model_start({}, [[]], run_id=UUID(int=number), metadata=metadata)

def end(number):
    handler.on_llm_end(LLMResult(generations=[]), run_id=UUID(int=number))

begin(1)
"""
FORK = """
child = os.fork()
if child == 0:
    assert handler.open_runs == 0
    begin(2)
    end(2)
    begin(3)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
end(1)
"""
FORK_WHILE_A_THREAD_STORES = """
import logging, os, threading
from uuid import UUID
from langchain_core.outputs import LLMResult
import costtrace
from costtrace.errors import LedgerUnavailable
from costtrace.testing import MemoryLedger

logging.disable()
storing, stored = threading.Event(), threading.Event()

class Slow(MemoryLedger):
    ready = False

    def spool(self, entry):
        if not self.ready:
            raise LedgerUnavailable("not yet")
        if threading.current_thread() is not threading.main_thread():
            storing.set()
            stored.wait(30)
        super().spool(entry)

ledger = Slow()
handler = costtrace.CostCallbackHandler(costtrace.Recorder(ledger))

def record(number):
    handler.on_chat_model_start({}, [[]], run_id=UUID(int=number))
    handler.on_llm_end(LLMResult(generations=[]), run_id=UUID(int=number))

record(1)
ledger.ready = True
thread = threading.Thread(target=handler.recorder.flush)
thread.start()
storing.wait(30)
child = os.fork()
if child == 0:
    record(2)
    handler.close()
    os._exit("2" not in {entry.source_id[-1] for _, entry in ledger.entries()})
assert os.waitpid(child, 0)[1] == 0
stored.set()
thread.join()
record(3)
assert [entry.source_id[-1] for _, entry in ledger.entries()] == ["1", "3"]
"""


def run(program: str, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", program, url],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/costs.db"


def test_a_call_that_is_open_when_the_process_ends_is_abandoned(url: str) -> None:
    run(BEGIN, url)

    (entry,) = entries(costtrace.open_ledger(url))
    assert (entry.status, entry.cost_status, entry.message_uuid) == ("abandoned", "usage_missing", "m1")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_after_a_fork_each_process_ends_its_own_calls(url: str) -> None:
    run(BEGIN + FORK, url)

    found = {(entry.source_id or "")[-1]: entry.status for entry in entries(costtrace.open_ledger(url))}
    assert found == {"1": "completed", "2": "completed", "3": "abandoned"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_child_that_was_forked_while_a_thread_stored_an_entry_records_its_own(url: str) -> None:
    run(FORK_WHILE_A_THREAD_STORES, url)
