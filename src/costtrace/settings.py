"""Settings: the only module that reads the environment. Every variable it knows stands in `VARIABLES`."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.ledger import Ledger, open_ledger
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from costtrace.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider
    from twilio.rest import Client

    from costtrace.exporters import Exporter
    from costtrace.twilio.addresses import NumberHasher

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "COSTTRACE_LEDGER": "address of the ledger; sqlite:///costtrace.db unless set",
        "COSTTRACE_RATES": "TOML file of your own rates, which win over list prices; none unless set",
        "COSTTRACE_PRICES": "file of `costtrace prices update`, used in place of the bundled list; none unless set",
        "COSTTRACE_DURABILITY": "normal (survives a killed process) or full (survives a power loss); normal unless set",
        "COSTTRACE_PUBLIC_BASE_URL": "address that Twilio calls, such as https://example.com; none unless set",
        "COSTTRACE_HASH_KEY": "key of the hashes that stand for phone numbers; none unless set, then no hash is kept",
        "COSTTRACE_TWILIO_BASE_URL": "address of the Twilio API, such as a stand-in's; Twilio's own unless set",
        "COSTTRACE_EXPORTERS": "where entries are delivered to, separated by commas: posthog, jsonl:///entries.jsonl,"
        " dynamodb://?ledger=costtrace-ledger; nowhere unless set",
        "COSTTRACE_ENVIRONMENT": "production, staging or a word of your own, for entries and events; none unless set",
        "COSTTRACE_MODEL": "the model of the Lambda functions' agent; openai:gpt-4o-mini unless set",
        "COSTTRACE_FROM_NUMBER": "the number that Lambda functions send from, +14155550199; none unless set",
        "COSTTRACE_MESSAGING_SERVICE_SID": "the Messaging Service they send through instead, MG...; none unless set",
        "COSTTRACE_SPANS": "runs that are shown as spans: off, leaf (calls, tools, agents, and what they hang under)"
        " or all; leaf unless set",
        "COSTTRACE_SPAN_PRESETS": "further names on spans, separated by commas, for viewers that read names of their"
        " own: draft443, langfuse, mlflow, openinference, posthog; none unless set",
        "COSTTRACE_CALLBACK_SPAN": "link (a callback is a trace of its own, linked to its sending) or child (it stands"
        " below that, for viewers that show no links); link unless set",
        "COSTTRACE_WRITES": "each (Lambda functions store every entry before they go on) or scope (together, before the"
        " answer: sooner, but a function that is killed loses them); each unless set",
        "COSTTRACE_PARKED_QUEUE_URL": "SQS queue of the statuses whose message is not known yet; none unless set",
        "COSTTRACE_REPLY_QUEUE_URL": "SQS queue of the replies to be written; none unless set",
        "COSTTRACE_DEAD_LETTER_QUEUE_URL": "SQS queue of the entries that no exporter will take; none unless set",
        "COSTTRACE_DASHBOARD_TOKEN": "token of the dashboard's link, for one that stays the same; a new one unless set",
        "COSTTRACE_MINISTACK": "Python that has ministack, for `costtrace demo --aws`; looked for unless set",
        "POSTHOG_API_KEY": "the project token of PostHog, phc_...; none unless set",
        "POSTHOG_HOST": "address of PostHog, such as https://eu.i.posthog.com; its US cloud unless set",
        "POSTHOG_PERSONAL_API_KEY": "personal key of PostHog for reports and checks, phx_...; none unless set",
        "POSTHOG_PROJECT_ID": "number of the PostHog project, for reports and checks; none unless set",
        "OPENAI_API_KEY": "the key of OpenAI, for the Lambda functions' agent and for a live demo; none unless set",
        "TWILIO_ACCOUNT_SID": "the Twilio account, AC and 32 digits; none unless set",
        "TWILIO_AUTH_TOKEN": "Auth Token; several, separated by commas, while it is rotated; none unless set",
    }
)
"""The environment variables that costtrace reads, and what each is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says."""

    ledger: str = "sqlite:///costtrace.db"
    rates: str | None = None
    prices: str | None = None
    durability: str = "normal"
    public_base_url: str | None = None
    hash_key: str | None = field(default=None, repr=False)
    twilio_base_url: str | None = None
    exporters: str | None = None
    environment: str | None = None
    model: str = "openai:gpt-4o-mini"
    from_number: str | None = None
    messaging_service_sid: str | None = None
    spans: str = "leaf"
    span_presets: str | None = None
    callback_span: str = "link"
    writes: str = "each"
    parked_queue_url: str | None = None
    reply_queue_url: str | None = None
    dead_letter_queue_url: str | None = None
    dashboard_token: str | None = field(default=None, repr=False)
    ministack: str | None = None
    posthog_api_key: str | None = field(default=None, repr=False)
    posthog_host: str = "https://us.i.posthog.com"
    posthog_personal_api_key: str | None = field(default=None, repr=False)
    posthog_project_id: str | None = None
    openai_api_key: str | None = field(default=None, repr=False)
    twilio_account_sid: str | None = None
    twilio_auth_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the variables; an empty one counts as not set."""
        return cls(
            ledger=os.environ.get("COSTTRACE_LEDGER") or cls.ledger_default(),
            rates=os.environ.get("COSTTRACE_RATES") or None,
            prices=os.environ.get("COSTTRACE_PRICES") or None,
            durability=os.environ.get("COSTTRACE_DURABILITY") or "normal",
            public_base_url=os.environ.get("COSTTRACE_PUBLIC_BASE_URL") or None,
            hash_key=os.environ.get("COSTTRACE_HASH_KEY") or None,
            twilio_base_url=os.environ.get("COSTTRACE_TWILIO_BASE_URL") or None,
            exporters=os.environ.get("COSTTRACE_EXPORTERS") or None,
            environment=os.environ.get("COSTTRACE_ENVIRONMENT") or None,
            model=os.environ.get("COSTTRACE_MODEL") or cls.model_default(),
            from_number=os.environ.get("COSTTRACE_FROM_NUMBER") or None,
            messaging_service_sid=os.environ.get("COSTTRACE_MESSAGING_SERVICE_SID") or None,
            spans=os.environ.get("COSTTRACE_SPANS") or "leaf",
            span_presets=os.environ.get("COSTTRACE_SPAN_PRESETS") or None,
            callback_span=os.environ.get("COSTTRACE_CALLBACK_SPAN") or "link",
            writes=os.environ.get("COSTTRACE_WRITES") or "each",
            parked_queue_url=os.environ.get("COSTTRACE_PARKED_QUEUE_URL") or None,
            reply_queue_url=os.environ.get("COSTTRACE_REPLY_QUEUE_URL") or None,
            dead_letter_queue_url=os.environ.get("COSTTRACE_DEAD_LETTER_QUEUE_URL") or None,
            dashboard_token=os.environ.get("COSTTRACE_DASHBOARD_TOKEN") or None,
            ministack=os.environ.get("COSTTRACE_MINISTACK") or None,
            posthog_api_key=os.environ.get("POSTHOG_API_KEY") or None,
            posthog_host=os.environ.get("POSTHOG_HOST") or cls.posthog_host_default(),
            posthog_personal_api_key=os.environ.get("POSTHOG_PERSONAL_API_KEY") or None,
            posthog_project_id=os.environ.get("POSTHOG_PROJECT_ID") or None,
            openai_api_key=os.environ.get("OPENAI_API_KEY") or None,
            twilio_account_sid=os.environ.get("TWILIO_ACCOUNT_SID") or None,
            twilio_auth_token=os.environ.get("TWILIO_AUTH_TOKEN") or None,
        )

    @staticmethod
    def ledger_default() -> str:
        """The embedded ledger: a file in the working directory."""
        return "sqlite:///costtrace.db"

    @staticmethod
    def posthog_host_default() -> str:
        """PostHog's cloud in the United States."""
        return "https://us.i.posthog.com"

    @staticmethod
    def model_default() -> str:
        """The model of the Lambda functions' agent."""
        return "openai:gpt-4o-mini"

    def twilio_auth_tokens(self) -> tuple[str, ...]:
        """The Auth Tokens, the current one first; none where the variable is not set."""
        return _words(self.twilio_auth_token)

    def exporter_addresses(self) -> tuple[str, ...]:
        """Where entries are delivered to; nowhere where the variable is not set."""
        return _words(self.exporters)

    def twilio_client(self) -> Client:
        """A client for the account, with its current Auth Token; raises ConfigurationError naming what is not set."""
        tokens = self.twilio_auth_tokens()
        if self.twilio_account_sid is None or not tokens:
            missing = "TWILIO_ACCOUNT_SID" if self.twilio_account_sid is None else "TWILIO_AUTH_TOKEN"
            raise ConfigurationError(
                f"{missing} is not set; it stands in Twilio's console, on the account's first page"
            )
        from costtrace.twilio.client import make_client  # noqa: PLC0415 - the SDK, which only this needs

        base_url = urlsplit(self.twilio_base_url or "https://")
        if base_url.scheme not in {"http", "https"} or (self.twilio_base_url and not base_url.hostname):
            expected = "an address such as http://127.0.0.1:8080"
            raise ConfigurationError(f"COSTTRACE_TWILIO_BASE_URL: expected {expected}, got {self.twilio_base_url!r}")
        return make_client(self.twilio_account_sid, tokens[0], base_url=self.twilio_base_url)

    def number_hasher(self) -> NumberHasher | None:
        """What stands for phone numbers; None where no key is set. Raises ConfigurationError for a key too short."""
        if self.hash_key is None:
            return None
        from costtrace.twilio.addresses import NumberHasher  # noqa: PLC0415 - where no number is met, none is needed

        try:
            return NumberHasher(self.hash_key.encode())
        except InvalidValue as error:
            raise ConfigurationError(f"COSTTRACE_HASH_KEY: expected {error.expected}") from None

    def make_exporters(self, ledger: Ledger) -> tuple[Exporter, ...]:
        """Where the entries of that ledger go, as COSTTRACE_EXPORTERS says; none where it is not set.

        Raises ConfigurationError for an address that is not known and for a key that is missing, MissingExtra for a
        package.
        """
        if not self.exporter_addresses():
            return ()
        from costtrace.exporters import open_exporter  # noqa: PLC0415 - where nothing is delivered, none is needed

        if "posthog" in self.exporter_addresses():
            from costtrace.exporters.posthog.doubling import warn_of_doubles  # noqa: PLC0415 - as above

            warn_of_doubles(otlp_endpoints())
        return tuple(
            open_exporter(
                address,
                ledger=ledger,
                posthog_api_key=self.posthog_api_key,
                posthog_host=self.posthog_host,
                environment=self.environment,
                hasher=self.number_hasher(),
            )
            for address in self.exporter_addresses()
        )

    def catalog(self) -> Catalog:
        """The price lists as these settings say; raises InvalidRates for a file that cannot be used."""
        return Catalog.default(self.rates, self.prices)

    def recorder(self, ledger: Ledger | None = None, **parts: Any) -> Recorder:
        """A recorder as these settings say, into their ledger unless another is given; raises ConfigurationError.

        `parts` are further ones of `Recorder`.
        """
        tracing = self.tracing()  # what it refuses, it refuses before a ledger is made
        return Recorder(
            open_ledger(self.ledger, durability=self.durability) if ledger is None else ledger,
            catalog=self.catalog(),
            spans=tracing.spans,
            span_presets=tracing.presets,
            callback_span=tracing.callback_span,
            **parts,
        )

    def tracing(self, tracer_provider: TracerProvider | None = None) -> Tracing:
        """The spans of what has no recorder, as these settings say; raises ConfigurationError."""
        try:
            presets = _words(self.span_presets)
            return Tracing(tracer_provider, spans=self.spans, presets=presets, callback_span=self.callback_span)
        except InvalidValue as error:
            variable = f"COSTTRACE_{error.field.upper()}"
            raise ConfigurationError(f"{variable}: expected {error.expected}, got {error.value!r}") from None


def _words(text: str | None) -> tuple[str, ...]:
    """The parts between the commas."""
    return tuple(word for part in (text or "").split(",") if (word := part.strip()))


_lock: Final = threading.Lock()
_recorders: Final[dict[Settings, Recorder]] = {}


def default_recorder() -> Recorder:
    """The process's recorder for what the environment says now; the same one each time while it says the same."""
    settings = Settings.from_environment()
    with _lock:
        if settings not in _recorders:
            _recorders[settings] = settings.recorder()
        return _recorders[settings]


def unknown_variables() -> list[str]:
    """Variables that are named like ours and that nothing reads: misspelt, most likely."""
    return sorted(name for name in os.environ if name.startswith("COSTTRACE_") and name not in VARIABLES)


def otlp_traces_wanted() -> bool:
    """Whether the variables of OpenTelemetry name a place that traces are sent to. Its exporter reads them itself."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return any(os.environ.get(name) for name in names) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true"


def otlp_endpoints() -> tuple[str, ...]:
    """The addresses that the variables of OpenTelemetry name for traces; its exporter reads them itself."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    return tuple(endpoint for name in names if (endpoint := os.environ.get(name)))


def otel_variable(name: str) -> str | None:
    """What a variable of OpenTelemetry says where its SDK does not read it itself; None where it is not set."""
    return os.environ.get(name, "").strip() or None


def otel_service_is_named() -> bool:
    """Whether the variables of OpenTelemetry name the service; its SDK reads them itself."""
    attributes = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in attributes


def langsmith_exports_spans() -> bool:
    """Whether the variables of LangSmith make it send its runs as OpenTelemetry spans; its client reads them itself."""
    names = ("TRACING_MODE", "OTEL_ENABLED", "OTEL_ONLY")
    said = {name: os.environ.get(f"LANGSMITH_{name}", "").lower() for name in names}
    if said["TRACING_MODE"]:
        return said["TRACING_MODE"] in {"otel", "hybrid"}
    return "true" in {said["OTEL_ENABLED"], said["OTEL_ONLY"]}


def has_openai_key() -> bool:
    """Whether OPENAI_API_KEY is set. OpenAI's own client reads it; only ``costtrace demo --live`` needs one."""
    return bool(os.environ.get("OPENAI_API_KEY"))
