"""The application of the linked story, as a process of its own: it answers a customer by SMS.

Its models, the provider of its SMS, its ledger and where its spans go are named by the environment.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from langchain.agents import create_agent
from langchain.messages import HumanMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

import costtrace
from costtrace.settings import Settings
from costtrace.telemetry import flush, setup_tracing
from costtrace.twilio.sender import SmsSender

QUESTION: Final = "Where is my parcel 4711, please?"
INSTRUCTIONS: Final = "You answer customers of Harbor Parcel in one sentence."
SORTING: Final = "Which department is this for?"
OURS: Final = "+14155550199"
CUSTOMER: Final = "+14155550123"


def parcel_status(parcel_number: str) -> str:
    """Look up where a parcel is."""
    return json.dumps({"parcel": parcel_number, "status": "out for delivery", "expected": "today by 6 pm"})


def answer(inbound_uuid: str, callback: str) -> dict[str, str]:
    """The uuid and the SID of the reply."""
    settings = Settings.from_environment()
    recorder = settings.recorder()
    handler = costtrace.CostCallbackHandler(recorder)
    sender = SmsSender(settings.twilio_client(), recorder, status_callback=callback, hasher=settings.number_hasher())
    agent: Any = create_agent(
        ChatOpenAI(model="gpt-4o"), [parcel_status], system_prompt=INSTRUCTIONS, name="parcel_agent"
    )

    def answered(question: str) -> str:
        said = agent.invoke({"messages": [HumanMessage(question)]})["messages"][-1].text
        return sender.send(to=CUSTOMER, from_=OURS, body=str(said)).sid

    whose = {"user_id": "user-7", "thread_id": "thread-7", "channel": "sms"}
    with costtrace.message(inbound_uuid, handler=handler, **whose, role="user", direction="inbound"):
        ChatOpenAI(model="gpt-4o-mini").invoke([HumanMessage(SORTING), HumanMessage(QUESTION)])
    with costtrace.message(handler=handler, **whose, role="assistant", reply_to=inbound_uuid) as reply:
        sid = RunnableLambda(answered).with_config(run_name="answer by sms").invoke(QUESTION)
    recorder.close()
    return {"uuid": reply.uuid, "sid": sid}


if __name__ == "__main__":
    setup_tracing()
    done = answer(*sys.argv[1:])
    assert flush(20)
    print(json.dumps(done))  # noqa: T201 - what the test reads
