"""The demo: a parcel company answers its customers by SMS, and every model call and SMS is recorded under its message.

The real LangChain agent and the real OpenAI client talk to a stand-in on loopback (`scripted`), to OpenAI itself
(`live`) or to a small model on this machine (`local`). The SMS go through the real Twilio client to a stand-in in any
case. Each returns a story: what happened, and the reply that is worth a look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from langchain.agents import create_agent
from langchain.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI
from langsmith import tracing_context
from openai import DefaultHttpxClient, OpenAIError
from pydantic import SecretStr

import costtrace
from costtrace.context import MessageScope, current_message, new_message_uuid
from costtrace.entry import Kind
from costtrace.errors import ConfigurationError, LedgerUnavailable
from costtrace.langchain import CostCallbackHandler
from costtrace.ledger import Ledger
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.sandbox.sms_line import Sent, SmsLine, sms_line
from costtrace.twilio.legs import leg_of
from costtrace.twilio.outcomes import SentMessage
from costtrace.twilio.webhooks import InboundMessage

if TYPE_CHECKING:
    from costtrace.chat import ChatMessage
    from costtrace.sandbox.aws import AwsStack

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the demo did."""

    message_uuid: str
    """Of the last reply."""
    steps: tuple[tuple[str, str], ...] = ()
    """What happened, in order: a subject, and what became of it."""


def require_stored(recorder: costtrace.Recorder) -> None:
    """Raise LedgerUnavailable where a call could not be recorded."""
    health = recorder.flush()
    if health.buffered or health.lost:
        raise LedgerUnavailable(f"{health.buffered + health.lost} calls could not be recorded: {health.problem}")


def parcel_status(parcel_number: str) -> str:
    """Look up where a parcel is and when its delivery is due."""
    return json.dumps({"parcel": parcel_number, "status": "out for delivery", "expected": "today by 6 pm"})


def scripted(recorder: costtrace.Recorder, *, aws: AwsStack | None = None) -> Story:
    """Everything that happens to messages in a day, against stand-ins: no key, no network.

    With `aws`, into whose ledger `recorder` records, the SMS come and go through the functions of that deployment.
    """
    handler = CostCallbackHandler(recorder)
    with OpenAIServer() as server, _on_loopback(server.base_url) as chat:
        server.script(Reply(), Reply(status=429))  # the first sorting goes well, then the limit: the client tries again
        customer = _Customer(handler, chat(model="gpt-4o"), sorter=chat(model="gpt-4o-mini"))
        with customer.line(recorder, aws) as line:
            story = _sms_conversation(line, recorder.ledger)
            _reminder(handler, chat(model="gpt-4.1", use_responses_api=True), line)
        _web_chat(handler, chat(model="gpt-4.1-mini", stream_usage=True))
        _complaint(handler, chat(model="o4-mini", reasoning_effort="low"))
        server.script(Reply(status=500))
        _fallback(handler, chat(model="gpt-4o", max_retries=0), instead=chat(model="gpt-4o-mini"))
        _own_model(handler, chat(model=_UNPRICED_MODEL))
    return story


def live(recorder: costtrace.Recorder) -> Story:
    """The SMS conversation with OpenAI itself; the key is in the environment, where its client looks for it.

    Raises ConfigurationError where it does not answer; what was paid by then is recorded.
    """
    try:
        model = ChatOpenAI(model=LIVE_MODEL)
        customer = _Customer(CostCallbackHandler(recorder), model, sorter=model)
        with customer.line(recorder) as line:
            return _sms_conversation(line, recorder.ledger)
    except OpenAIError as error:
        what = f"OpenAI did not answer ({type(error).__name__})"
        raise ConfigurationError(f"{what}; check OPENAI_API_KEY and the network, or run `costtrace demo`") from error


def local(recorder: costtrace.Recorder, *, base_url: str, model: str) -> Story:
    """Two questions to a model at that address: the usage is what it counted itself."""
    handler = CostCallbackHandler(recorder)
    with _on_loopback(base_url) as chat, _message(handler, "user-7", "sms", role="assistant") as reply:
        local_model = chat(model=model, temperature=0, max_tokens=_LOCAL_ANSWER_TOKENS)
        for question in _QUESTIONS:
            local_model.invoke([SystemMessage("You answer customers of a parcel company."), HumanMessage(question)])
    return Story(message_uuid=reply.uuid)


@contextmanager
def _on_loopback(base_url: str) -> Iterator[Callable[..., ChatOpenAI]]:
    """Makes chat models of that address, and keeps them there: past a proxy or a tracer that the environment names."""
    with tracing_context(enabled=False), DefaultHttpxClient(trust_env=False) as client:
        yield partial(ChatOpenAI, base_url=base_url, api_key=SecretStr("sk-local"), http_client=client)


def _message(
    handler: CostCallbackHandler, user: str, channel: str, uuid: str | None = None, **context: Any
) -> AbstractContextManager[MessageScope]:
    return costtrace.message(uuid, handler=handler, user_id=user, channel=channel, environment="demo", **context)


class _Customer:
    """Somebody who writes by SMS, and the agent that answers: one thread, and all that was said on it."""

    def __init__(self, handler: CostCallbackHandler, model: ChatOpenAI, *, sorter: ChatOpenAI) -> None:
        self._handler = handler
        self._sorter = sorter
        self._agent: Any = create_agent(model, [parcel_status], system_prompt=_INSTRUCTIONS)
        self._thread = f"sms-{new_message_uuid()[-6:]}"
        self._said: list[Any] = []
        self._line: SmsLine | None = None

    @contextmanager
    def line(self, recorder: costtrace.Recorder, aws: AwsStack | None = None) -> Iterator[SmsLine]:
        """The company's number, where this customer is known."""
        if aws is not None:
            from costtrace.sandbox.aws_line import aws_line  # noqa: PLC0415 - boto3, which only this form needs

            opened = aws_line(aws, recorder, self._reply)
        else:
            whose = {"user_id": "user-7", "thread_id": self._thread, "environment": "demo", "message_type": "chat"}
            opened = sms_line(recorder, self._answer, **whose)
        with opened as self._line:
            yield self._line

    def _answer(self, inbound: InboundMessage, reply: MessageScope) -> SentMessage:
        """Sorts the message, which belongs to its own cost, and answers it."""
        with self._message(reply.context.reply_to, role="user", direction="inbound"):
            self._sort(inbound.body)
        with self._message(reply.uuid, role="assistant", direction="outbound", reply_to=reply.context.reply_to):
            assert self._line is not None  # noqa: S101 - nothing comes in before it is open
            return self._line.send(self._say(inbound.body), message_type="chat")

    def _reply(self, conversation: Sequence[ChatMessage]) -> str:
        """The same for the functions on AWS, which open the answer's own message and send it themselves."""
        asked, reply = conversation[-1], current_message()
        assert reply is not None  # noqa: S101 - the function opens it
        known = {name: getattr(reply.context, name) for name in ("user_id", "thread_id", "channel", "environment")}
        with costtrace.message(asked.message_uuid, **known, role="user", direction="inbound"):
            self._sort(asked.content or "")
        return self._say(asked.content or "")

    def _sort(self, text: str) -> None:
        self._sorter.invoke([_SORTING, HumanMessage(text)])

    def _say(self, text: str) -> str:
        """The agent's answer. It remembers more of the conversation than its texts: which tools it used."""
        self._said = self._agent.invoke({"messages": [*self._said, HumanMessage(text)]})["messages"]
        return str(self._said[-1].text)

    def _message(self, uuid: str | None, **context: Any) -> AbstractContextManager[MessageScope]:
        known = {"thread_id": self._thread, "message_type": "chat", **context}
        return _message(self._handler, "user-7", "sms", uuid, **known)


def _sms_conversation(line: SmsLine, ledger: Ledger) -> Story:
    """Two turns on one thread. The long instructions are cached by the provider after the first call."""
    steps: list[tuple[str, str]] = []
    uuid = ""
    for question in _QUESTIONS:
        sent = line.receive(question)
        uuid = sent.message_uuid
        steps += _turn_steps(ledger, sent, line.deliver(sent))
    steps += _price_steps(line)
    return Story(message_uuid=uuid, steps=tuple(steps))


def _turn_steps(ledger: Ledger, sent: Sent, told: Sequence[str]) -> Iterator[tuple[str, str]]:
    reply = ledger.message(sent.message_uuid)
    leg = leg_of(reply, sid=sent.sid)
    calls = sum(entry.kind == Kind.LLM for entry in reply.entries)
    yield "SMS in", "signature checked, recorded, and Twilio has its answer"
    yield "agent", f"{calls} model calls and a tool for {reply.total.actual}"
    yield "SMS out", f"recorded, then sent; no price yet, {reply.total.pending} is expected"
    status = leg.delivery.status if leg is not None and leg.delivery is not None else "unknown"
    yield "callbacks", f"{', '.join(told)}, in that order: it is {status}"


def _price_steps(line: SmsLine) -> Iterator[tuple[str, str]]:
    first = line.ask_for_prices()
    yield "prices", f"asked for {first.asked}; {first.waiting} are not there yet, and stay pending"
    later = line.wait_for_prices()
    yield "prices", f"asked again; {later.count} are there, {later.amount} together, and final"


def _web_chat(handler: CostCallbackHandler, model: ChatOpenAI) -> None:
    with _message(handler, "user-12", "web", role="assistant", direction="outbound", message_type="chat"):
        for _ in model.stream("How do I pack a bicycle?"):
            pass


def _complaint(handler: CostCallbackHandler, model: ChatOpenAI) -> None:
    with _message(handler, "user-12", "web", role="assistant", direction="outbound", message_type="chat"):
        model.invoke("My vase arrived broken. Who pays?")


def _reminder(handler: CostCallbackHandler, model: ChatOpenAI, line: SmsLine) -> None:
    """An SMS of which Twilio names no price today: it stays pending when the demo is over."""
    line.withhold_next_price()
    with _message(handler, "user-31", "sms", role="assistant", direction="outbound", message_type="notification"):
        answer = model.invoke("Write a reminder: the parcel waits at the counter until Friday.")
        line.deliver(line.send(str(answer.text), message_type="notification"))


def _fallback(handler: CostCallbackHandler, model: ChatOpenAI, *, instead: ChatOpenAI) -> None:
    """The provider fails once; the application asks another model. Both calls belong to the message."""
    with _message(handler, "user-31", "sms", role="assistant", direction="outbound", message_type="chat"):
        model.with_fallbacks([instead]).invoke("Is the counter open today?")


def _own_model(handler: CostCallbackHandler, model: ChatOpenAI) -> None:
    """A fine-tuned model that no price list knows: its cost is unknown, and the report says so."""
    with _message(handler, "user-31", "sms", role="assistant", direction="outbound", message_type="welcome"):
        model.invoke("Greet a new customer.")
