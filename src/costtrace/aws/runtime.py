"""The parts a function is made of, from what its environment says; made once, when the function is initialised.

    _runtime = Runtime.from_environment(secrets=("twilio_auth_token",))
    _callback = SmsCallback(_runtime.ledger, _runtime.verifier(), parked=_runtime.queue("parked"))

    def handler(event, context):
        return _runtime.call("POST /sms/callback", _callback, event, context)

What is not there, or not allowed, is one ConfigurationError that names it: such a function fails when it is deployed
and not at its first message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from costtrace.aws.clients import aws_client
from costtrace.aws.failures import WorkFailed, shown
from costtrace.aws.invocation import FLUSH_S, Flush, Invocation, LambdaContext, invoked
from costtrace.aws.queues import Queue
from costtrace.aws.secrets import Secrets
from costtrace.chat import ChatMessages
from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.ledger import Ledger, open_ledger
from costtrace.recorder import Recorder
from costtrace.settings import VARIABLES, Settings, otlp_traces_wanted
from costtrace.times import from_micros
from costtrace.tracing import Tracing

if TYPE_CHECKING:
    from costtrace.aws.telemetry import Traces
    from costtrace.twilio.addresses import NumberHasher
    from costtrace.twilio.sender import SmsSender
    from costtrace.twilio.signature import Verifier

Service = Callable[[Mapping[str, Any], Invocation], Mapping[str, Any]]
"""The work of one function: an event in, an answer out."""
QueueName = Literal["parked", "reply", "dead_letter"]

SECRETS: Final[Mapping[str, str]] = {
    "hash_key": "COSTTRACE_HASH_KEY",
    "openai_api_key": "OPENAI_API_KEY",
    "posthog_api_key": "POSTHOG_API_KEY",
    "twilio_auth_token": "TWILIO_AUTH_TOKEN",
}
"""The settings whose variables may hold a reference, and those variables."""

_WRITES: Final = ("each", "scope")
_EXPORTER_S: Final = FLUSH_S - 0.05
_log: Final = logging.getLogger("costtrace")


class _Scoping(Protocol):
    """A ledger that can keep the entries of a block together and write them at its end."""

    def scope(self, remaining_s: Callable[[], float] | None = None) -> AbstractContextManager[object]:
        """That block."""


class Runtime:
    """The parts, each made when it is first asked for. `clock` counts nanoseconds since 1970."""

    def __init__(self, settings: Settings, *, clock: Callable[[], int] = time.time_ns) -> None:
        if settings.writes not in _WRITES:
            raise ConfigurationError(f"COSTTRACE_WRITES: expected {' or '.join(_WRITES)}, got {settings.writes!r}")
        self.settings = settings
        self.clock = clock

    @classmethod
    def from_environment(cls, *, secrets: Sequence[str] = ()) -> Runtime:
        """The parts as the environment says; `secrets` are those settings of `SECRETS` that this function uses.

        The others count as not set: a function that does not need a secret need not be allowed to read it.
        """
        _log.setLevel(logging.INFO)  # Lambda's own logger lets warnings pass alone
        settings, store = Settings.from_environment(), Secrets()
        known: dict[str, Any] = {
            name: store.resolved(variable, getattr(settings, name)) if name in secrets else None
            for name, variable in SECRETS.items()
        }
        runtime = cls(replace(settings, **known))
        _ = runtime.traces  # a quarter of a second, which no first call should have to wait for
        return runtime

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of COSTTRACE_LEDGER."""
        return open_ledger(self.settings.ledger, durability=self.settings.durability)

    @cached_property
    def recorder(self) -> Recorder:
        """A recorder into that ledger, whose spans go where OpenTelemetry's variables say."""
        provider = None if self.traces is None else self.traces.provider
        return self.settings.recorder(self.ledger, clock=self.clock, tracer_provider=provider)

    @cached_property
    def tracing(self) -> Tracing:
        """The spans of functions that record nothing through the recorder."""
        return self.settings.tracing(None if self.traces is None else self.traces.provider)

    @cached_property
    def traces(self) -> Traces | None:
        """What sends the spans; None where no collector is named."""
        if not otlp_traces_wanted():
            return None
        from costtrace.aws.telemetry import Traces  # noqa: PLC0415 - the SDK, where it is wanted

        return Traces(timeout_s=_EXPORTER_S)

    @cached_property
    def chat(self) -> ChatMessages:
        """The chat table that stands beside the ledger."""
        from costtrace.ledger.dynamodb.address import DynamoDBAddress  # noqa: PLC0415 - boto3
        from costtrace.ledger.dynamodb.client import dynamodb_client  # noqa: PLC0415 - boto3

        address = DynamoDBAddress.of(self.settings.ledger)
        client = dynamodb_client(address.region, address.endpoint)
        return ChatMessages(client, table=address.messages, clock=self.now)

    def verifier(self) -> Verifier:
        """What tells Twilio's webhooks from forged ones."""
        from costtrace.twilio.signature import Verifier  # noqa: PLC0415 - few functions need one

        tokens = self.settings.twilio_auth_tokens()
        if not tokens:
            raise ConfigurationError("TWILIO_AUTH_TOKEN is not set, and without it no webhook can be trusted")
        base = self._set("public_base_url", "Twilio signs the address it called")
        try:
            return Verifier(tokens=tokens, public_base=base)
        except InvalidValue as error:
            name = "COSTTRACE_PUBLIC_BASE_URL" if error.field == "public_base" else "TWILIO_AUTH_TOKEN"
            raise ConfigurationError(f"{name}: expected {error.expected}") from None

    def hasher(self) -> NumberHasher:
        """What stands for phone numbers outside the chat table."""
        hasher = self.settings.number_hasher()
        if hasher is None:
            raise ConfigurationError("COSTTRACE_HASH_KEY is not set; it makes what stands for a phone number")
        return hasher

    def twilio(self) -> Any:
        """The SDK's client of the account."""
        return self.settings.twilio_client()

    def sender(self, client: Any) -> SmsSender:
        """A sender whose messages report their status to ``/sms/callback``."""
        from costtrace.twilio.sender import SmsSender  # noqa: PLC0415 - the SDK

        base = self._set("public_base_url", "Twilio reports there what became of a message")
        return SmsSender(
            client, self.recorder, status_callback=f"{base.rstrip('/')}/sms/callback", hasher=self.hasher()
        )

    def sends_from(self) -> dict[str, str]:
        """How the sender is told who sends: a Messaging Service, or else a number."""
        if self.settings.messaging_service_sid is not None:
            return {"messaging_service_sid": self.settings.messaging_service_sid}
        return {"from_": self._set("from_number", "set it, or COSTTRACE_MESSAGING_SERVICE_SID")}

    def queue(self, name: QueueName) -> Queue:
        """That queue, to write to."""
        url = self._set(f"{name}_queue_url", "the address of an SQS queue")
        return Queue(url, aws_client("sqs"))

    def writes(self, invocation: Invocation) -> AbstractContextManager[object]:
        """A block whose entries are stored each for itself, or together at its end, as COSTTRACE_WRITES says."""
        if self.settings.writes == "each":
            return nullcontext()
        ledger: Any = self.ledger
        if not hasattr(ledger, "scope"):
            raise ConfigurationError(f"COSTTRACE_WRITES: 'scope' is for a dynamodb:// ledger, not for {ledger.name}")
        scoping: _Scoping = ledger
        return scoping.scope(invocation.remaining_s)

    def now(self) -> datetime:
        """The time by the runtime's clock."""
        return from_micros(self.clock() // 1000)

    def call(self, name: str, service: Service, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """One call of the function: its work, and then everything out of the process.

        Raises WorkFailed, in words that may be logged, for what the service raises.
        """
        flushes: Sequence[Flush] = () if self.traces is None else (self.traces.flush,)
        with invoked(context, recorder=self._used_recorder, flushes=flushes) as invocation:
            span = nullcontext() if self.traces is None else self.traces.call(name, invocation.id)
            try:
                with span:
                    return dict(service(event, invocation))
            except Exception as error:  # noqa: BLE001 - Lambda would write its text, whatever it quotes, into the log
                _log.error("%s failed: %s", name, shown(error))
                raise WorkFailed(f"{name}: {shown(error)}") from None

    def _used_recorder(self) -> Recorder | None:
        """The recorder, where this function has one."""
        return self.__dict__.get("recorder")

    def _set(self, name: str, why: str) -> str:
        value = getattr(self.settings, name)
        if value is None:
            variable = next(known for known in VARIABLES if known.removeprefix("COSTTRACE_").lower() == name)
            raise ConfigurationError(f"{variable} is not set: {why}")
        return str(value)
