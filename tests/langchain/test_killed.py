"""A process that is killed in the middle of its calls has lost none whose answer it had."""

import subprocess
import sys
from pathlib import Path

import pytest

ONE_HUNDRED_KILLS = """
import os, random, signal, sys, time
from pathlib import Path
from langchain_core.language_models import FakeListChatModel
import costtrace
import costtrace.langchain  # the children shall begin at once

path = Path(sys.argv[1])
chance = random.Random(7)
model = FakeListChatModel(responses=["yes"])


def call_for_ever(acknowledge):
    recorder = costtrace.Recorder(costtrace.open_ledger(f"sqlite:///{path}"), catalog=costtrace.Catalog())
    handler = costtrace.CostCallbackHandler(recorder)
    while True:
        with costtrace.message() as message:
            model.invoke("Hi", {"callbacks": [handler]})
        os.write(acknowledge, message.uuid.encode() + b"\\n")


safe = []
for _ in range(100):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        call_for_ever(writing)
    os.close(writing)
    time.sleep(chance.uniform(0.01, 0.2))  # the moment of the kill is what is varied
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(reading) as acknowledged:
        safe += acknowledged.read().split()

ledger = costtrace.open_ledger(f"sqlite:///{path}")
recorded = [entry.message_uuid for _, entry in ledger.entries()]
assert len(recorded) == len(set(recorded)), "an entry counts twice"
assert set(safe) <= set(recorded), f"{len(set(safe) - set(recorded))} of {len(safe)} are lost"
assert len(recorded) - len(safe) <= 100, "more than the one call under way at each kill"
assert len(safe) > 100
ledger.close()
print(len(safe), "acknowledged calls survived 100 kills")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork and no SIGKILL")
def test_no_call_whose_hook_had_returned_is_lost_by_one_hundred_kills(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ONE_HUNDRED_KILLS, str(tmp_path / "costs.db")],
        check=False,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("acknowledged calls survived 100 kills\n")
