"""The demo: a parcel company answers its customers by SMS, and every model call is recorded under its message.

The real LangChain agent and the real OpenAI client talk to a stand-in on loopback (`scripted`), to OpenAI itself
(`live`) or to a small model on this machine (`local`). Each returns the uuid of the reply that is worth a look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, Final

from langchain.agents import create_agent
from langchain.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langsmith import tracing_context
from openai import DefaultHttpxClient, OpenAIError
from pydantic import SecretStr

import costtrace
from costtrace.context import MessageScope, new_message_uuid
from costtrace.errors import ConfigurationError
from costtrace.langchain import CostCallbackHandler
from costtrace.sandbox.openai import OpenAIServer, Reply

LIVE_MODEL: Final = "gpt-4o-mini"
"""What `live` asks for: a few hundredths of a cent per run."""

_QUESTIONS: Final = ("Where is my parcel 4711?", "Can the parcel be delivered to my neighbour instead?")
_TARIFF: Final = "\n".join(
    f"Zone {zone}: letter {zone + 70} cents, small parcel {zone * 9 + 290} cents, large parcel {zone * 17 + 610} cents."
    for zone in range(1, 61)
)
_INSTRUCTIONS: Final = f"You answer customers of Harbor Parcel by SMS, in one sentence.\n{_TARIFF}"
_SORTING: Final = SystemMessage("Name the department for this message: delivery, billing or other.")
_LOCAL_ANSWER_TOKENS: Final = 16
_UNPRICED_MODEL: Final = "harbor-tone-1"


def parcel_status(parcel_number: str) -> str:
    """Look up where a parcel is and when its delivery is due."""
    return json.dumps({"parcel": parcel_number, "status": "out for delivery", "expected": "today by 6 pm"})


def scripted(recorder: costtrace.Recorder) -> str:
    """Everything that happens to model calls in a day, against the stand-in: no key, no network."""
    handler = CostCallbackHandler(recorder)
    with OpenAIServer() as server, _on_loopback(server.base_url) as chat:
        server.script(Reply(), Reply(status=429))  # the first sorting goes well, then the limit: the client tries again
        reply = _sms_conversation(handler, chat(model="gpt-4o"), sorter=chat(model="gpt-4o-mini"))
        _web_chat(handler, chat(model="gpt-4.1-mini", stream_usage=True))
        _complaint(handler, chat(model="o4-mini", reasoning_effort="low"))
        _summary(handler, chat(model="gpt-4.1", use_responses_api=True))
        server.script(Reply(status=500))
        _fallback(handler, chat(model="gpt-4o", max_retries=0), instead=chat(model="gpt-4o-mini"))
        _own_model(handler, chat(model=_UNPRICED_MODEL))
    return reply


def live(recorder: costtrace.Recorder) -> str:
    """The SMS conversation with OpenAI itself; the key is in the environment, where its client looks for it.

    Raises ConfigurationError where it does not answer; what was paid by then is recorded.
    """
    try:
        model = ChatOpenAI(model=LIVE_MODEL)
        return _sms_conversation(CostCallbackHandler(recorder), model, sorter=model)
    except OpenAIError as error:
        what = f"OpenAI did not answer ({type(error).__name__})"
        raise ConfigurationError(f"{what}; check OPENAI_API_KEY and the network, or run `costtrace demo`") from error


def local(recorder: costtrace.Recorder, *, base_url: str, model: str) -> str:
    """Two questions to a model at that address: the usage is what it counted itself."""
    handler = CostCallbackHandler(recorder)
    with _on_loopback(base_url) as chat, _message(handler, "user-7", "sms", role="assistant") as reply:
        local_model = chat(model=model, temperature=0, max_tokens=_LOCAL_ANSWER_TOKENS)
        for question in _QUESTIONS:
            local_model.invoke([SystemMessage("You answer customers of a parcel company."), HumanMessage(question)])
    return reply.uuid


@contextmanager
def _on_loopback(base_url: str) -> Iterator[Callable[..., ChatOpenAI]]:
    """Makes chat models of that address, and keeps them there: past a proxy or a tracer that the environment names."""
    with tracing_context(enabled=False), DefaultHttpxClient(trust_env=False) as client:
        yield partial(ChatOpenAI, base_url=base_url, api_key=SecretStr("sk-local"), http_client=client)


def _message(
    handler: CostCallbackHandler, user: str, channel: str, uuid: str | None = None, **context: Any
) -> AbstractContextManager[MessageScope]:
    return costtrace.message(uuid, handler=handler, user_id=user, channel=channel, environment="demo", **context)


def _sms_conversation(handler: CostCallbackHandler, model: ChatOpenAI, *, sorter: ChatOpenAI) -> str:
    """Two turns on one thread. The long instructions are cached by the provider after the first call."""
    agent = create_agent(model, [parcel_status], system_prompt=_INSTRUCTIONS)
    thread = f"sms-{new_message_uuid()[-6:]}"
    said: list[Any] = []
    for question in _QUESTIONS:
        asked = HumanMessage(question)
        with _message(handler, "user-7", "sms", thread_id=thread, role="user", direction="inbound") as inbound:
            sorter.invoke([_SORTING, asked])
        with _message(
            handler,
            "user-7",
            "sms",
            thread_id=thread,
            role="assistant",
            direction="outbound",
            message_type="chat",
            reply_to=inbound.uuid,
        ) as reply:
            said = agent.invoke({"messages": [*said, asked]})["messages"]
    return reply.uuid


def _web_chat(handler: CostCallbackHandler, model: ChatOpenAI) -> None:
    with _message(handler, "user-12", "web", role="assistant", message_type="chat"):
        for _ in model.stream("How do I pack a bicycle?"):
            pass


def _complaint(handler: CostCallbackHandler, model: ChatOpenAI) -> None:
    with _message(handler, "user-12", "web", role="assistant", message_type="chat"):
        model.invoke("My vase arrived broken. Who pays?")


def _summary(handler: CostCallbackHandler, model: ChatOpenAI) -> None:
    with _message(handler, "user-31", "sms", role="assistant", message_type="notification"):
        model.invoke("Write a reminder: the parcel waits at the counter until Friday.")


def _fallback(handler: CostCallbackHandler, model: ChatOpenAI, *, instead: ChatOpenAI) -> None:
    """The provider fails once; the application asks another model. Both calls belong to the message."""
    with _message(handler, "user-31", "sms", role="assistant", message_type="chat"):
        model.with_fallbacks([instead]).invoke("Is the counter open today?")


def _own_model(handler: CostCallbackHandler, model: ChatOpenAI) -> None:
    """A fine-tuned model that no price list knows: its cost is unknown, and the report says so."""
    with _message(handler, "user-31", "sms", role="assistant", message_type="welcome"):
        model.invoke("Greet a new customer.")
