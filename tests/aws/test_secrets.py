"""Secrets by reference: read once, and what is missing is named with the permission that it needs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from costtrace.aws.secrets import Secrets
from costtrace.errors import ConfigurationError
from tests.peers.emulator import Account, Emulator


def store(account: Account) -> tuple[Secrets, list[str]]:
    """Secrets of that account, and the services it was asked for."""
    asked: list[str] = []

    def client(service: str) -> Any:
        asked.append(service)
        return account.client(service)

    return Secrets(client), asked


def test_a_parameter_and_a_secret_are_read_once(aws: Account) -> None:
    aws.client("ssm").put_parameter(Name="/costtrace/token", Value="from ssm", Type="SecureString")
    arn = aws.client("secretsmanager").create_secret(Name="key", SecretString="from a secret\n")["ARN"]
    secrets, asked = store(aws)

    for _ in range(2):
        assert secrets.resolved("TWILIO_AUTH_TOKEN", "ssm:/costtrace/token") == "from ssm"
        assert secrets.resolved("OPENAI_API_KEY", f"secretsmanager:{arn}") == "from a secret"

    assert asked == ["ssm", "secretsmanager"]


def test_a_value_that_is_no_reference_is_itself(aws: Account) -> None:
    secrets, asked = store(aws)
    for value in (None, "", "0123abcd", "a,b", "ssmx:/a", "ssm"):
        assert secrets.resolved("TWILIO_AUTH_TOKEN", value) == value
    assert asked == []


def test_two_references_stand_side_by_side_while_a_token_is_rotated(aws: Account) -> None:
    for name in ("old", "new"):
        aws.client("ssm").put_parameter(Name=f"/{name}", Value=f"the {name} one", Type="String")
    secrets, _ = store(aws)
    assert secrets.resolved("TWILIO_AUTH_TOKEN", "ssm:/new, ssm:/old,plain") == "the new one,the old one,plain"
    assert secrets.resolved("TWILIO_AUTH_TOKEN", "plain, ssm:/old") == "plain,the old one"


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (
            "ssm:/nowhere",
            "the SSM parameter '/nowhere', which does not exist in this account and region (ParameterNotFound)",
        ),
        (
            "secretsmanager:nowhere",
            "the secret 'nowhere', which does not exist in this account and region (ResourceNotFoundException)",
        ),
        ("ssm:", "TWILIO_AUTH_TOKEN: expected ssm: and a name behind it, got 'ssm:'"),
    ],
)
def test_what_is_not_there_is_named(aws: Account, reference: str, said: str) -> None:
    secrets, _ = store(aws)
    with pytest.raises(ConfigurationError) as refused:
        secrets.resolved("TWILIO_AUTH_TOKEN", reference)
    assert str(refused.value) in {said, f"TWILIO_AUTH_TOKEN refers to {said}"}


def test_a_secret_of_bytes_is_refused(aws: Account) -> None:
    aws.client("secretsmanager").create_secret(Name="bytes", SecretBinary=b"\x00\x01")
    secrets, _ = store(aws)
    with pytest.raises(ConfigurationError, match="the secret 'bytes', which is empty or holds no text"):
        secrets.resolved("COSTTRACE_HASH_KEY", "secretsmanager:bytes")


def test_a_permission_that_is_missing_is_named(enforcing_emulator: Emulator) -> None:
    root = enforcing_emulator.account()
    iam = root.client("iam")
    iam.create_user(UserName="function")
    statement = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="function", PolicyName="may", PolicyDocument=policy)
    key = iam.create_access_key(UserName="function")["AccessKey"]
    function = Account(endpoint=root.endpoint, access_key_id=key["AccessKeyId"], secret=key["SecretAccessKey"])
    root.client("ssm").put_parameter(Name="/token", Value="x", Type="SecureString")
    secrets, _ = store(function)

    with pytest.raises(ConfigurationError, match=r"its role needs ssm:GetParameter on it"):
        secrets.resolved("TWILIO_AUTH_TOKEN", "ssm:/token")
    with pytest.raises(ConfigurationError, match=r"its role needs secretsmanager:GetSecretValue on it"):
        secrets.resolved("TWILIO_AUTH_TOKEN", "secretsmanager:token")


def test_no_answer_at_all_is_said(aws: Account) -> None:
    dead = Account(endpoint="http://127.0.0.1:9", access_key_id=aws.access_key_id)
    secrets, _ = store(dead)
    with pytest.raises(ConfigurationError, match="cannot be read: EndpointConnectionError"):
        secrets.resolved("TWILIO_AUTH_TOKEN", "ssm:/token")
