"""Secrets by reference: a variable may say where its value is kept, ``ssm:/name`` or ``secretsmanager:<arn>``.

The value is read when the function is initialised and never leaves the process's memory: it stands in no template, no
state file and no environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from costtrace.aws.clients import AwsError, aws_client, code_of
from costtrace.errors import ConfigurationError

_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_MISSING: Final = frozenset({"ParameterNotFound", "ResourceNotFoundException", "ParameterVersionNotFound"})
_ACTIONS: Final[Mapping[str, str]] = {"ssm": "ssm:GetParameter", "secretsmanager": "secretsmanager:GetSecretValue"}
_PLACES: Final[Mapping[str, str]] = {"ssm": "SSM parameter", "secretsmanager": "secret"}

Clients = Callable[[str], Any]
"""The client of a service, by its name."""


class Secrets:
    """Looks up what variables refer to, each reference once. A value that is no reference is itself."""

    def __init__(self, clients: Clients = aws_client) -> None:
        self._clients = clients
        self._known: dict[str, str] = {}

    def resolved(self, variable: str, value: str | None) -> str | None:
        """The value of that variable; several references stand side by side with commas, while a token is rotated.

        Raises ConfigurationError naming the variable, the reference and what is missing.
        """
        parts = (value or "").split(",")
        if value is None or not any(_is_reference(part.strip()) for part in parts):
            return value
        return ",".join(self._one(variable, part.strip()) for part in parts)

    def _one(self, variable: str, reference: str) -> str:
        if not _is_reference(reference):
            return reference
        if reference not in self._known:
            self._known[reference] = self._read(variable, reference)
        return self._known[reference]

    def _read(self, variable: str, reference: str) -> str:
        service, _, name = reference.partition(":")
        what = f"{variable} refers to the {_PLACES[service]} {name!r}"
        if not name:
            raise ConfigurationError(f"{variable}: expected {service}: and a name behind it, got {reference!r}")
        try:
            value = _value(self._clients(service), service, name)
        except AwsError as error:
            raise ConfigurationError(f"{what}, which {_why(service, code_of(error))}") from None
        if not value or not value.strip():
            raise ConfigurationError(f"{what}, which is empty or holds no text")
        return value.strip()


def _is_reference(value: str) -> bool:
    return value.partition(":")[0] in _ACTIONS and ":" in value


def _value(client: Any, service: str, name: str) -> str | None:
    answer: Any
    if service == "ssm":
        answer = client.get_parameter(Name=name, WithDecryption=True)["Parameter"].get("Value")
    else:
        answer = client.get_secret_value(SecretId=name).get("SecretString")
    return answer if isinstance(answer, str) else None


def _why(service: str, code: str) -> str:
    if code in _DENIED:
        return (
            f"this function may not read ({code}); its role needs {_ACTIONS[service]} on it, and kms:Decrypt on its key"
        )
    if code in _MISSING:
        return f"does not exist in this account and region ({code})"
    return f"cannot be read: {code}; {_ACTIONS[service]} got no answer"
