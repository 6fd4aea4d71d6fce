"""Settings: the only module that reads the environment. Every variable it knows stands in `VARIABLES`."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from costtrace.ledger import open_ledger
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder

VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "COSTTRACE_LEDGER": "address of the ledger; sqlite:///costtrace.db unless set",
        "COSTTRACE_RATES": "TOML file of your own rates, which win over list prices; none unless set",
        "COSTTRACE_DURABILITY": "normal (survives a killed process) or full (survives a power loss); normal unless set",
    }
)
"""The environment variables that costtrace reads, and what each is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says."""

    ledger: str = "sqlite:///costtrace.db"
    rates: str | None = None
    durability: str = "normal"

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the variables; an empty one counts as not set."""
        return cls(
            ledger=os.environ.get("COSTTRACE_LEDGER") or cls.ledger_default(),
            rates=os.environ.get("COSTTRACE_RATES") or None,
            durability=os.environ.get("COSTTRACE_DURABILITY") or "normal",
        )

    @staticmethod
    def ledger_default() -> str:
        """The embedded ledger: a file in the working directory."""
        return "sqlite:///costtrace.db"

    def recorder(self) -> Recorder:
        """A recorder as these settings say; raises ConfigurationError."""
        return Recorder(open_ledger(self.ledger, durability=self.durability), catalog=Catalog.default(self.rates))


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


def has_openai_key() -> bool:
    """Whether OPENAI_API_KEY is set. OpenAI's own client reads it; only ``costtrace demo --live`` needs one."""
    return bool(os.environ.get("OPENAI_API_KEY"))
