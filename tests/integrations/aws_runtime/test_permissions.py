"""Functions with the permissions that Terraform gives them and no others, on an emulator that enforces them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from uuid import uuid4

import pytest

from costtrace.sandbox.openai import OpenAIServer
from costtrace.sandbox.twilio import TwilioServer
from costtrace.twilio.entries import message_uuid_of
from tests.integrations.aws_runtime.runtime import Function, http_event
from tests.integrations.aws_runtime.stack import LEDGER, MESSAGES, Stack, deployed, jobs
from tests.peers.emulator import REGION, Emulator
from tests.web.parts import callback, inbound, sid

LEDGER_ARN = f"arn:aws:dynamodb:{REGION}:*:table/{LEDGER}"
MESSAGES_ARN = f"arn:aws:dynamodb:{REGION}:*:table/{MESSAGES}"
KEEPS_LEDGER = (
    ("dynamodb:GetItem", LEDGER_ARN),
    ("dynamodb:PutItem", LEDGER_ARN),
    ("dynamodb:Query", LEDGER_ARN),
    ("dynamodb:DeleteItem", LEDGER_ARN),
)
KEEPS_CHAT = (
    ("dynamodb:GetItem", MESSAGES_ARN),
    ("dynamodb:PutItem", MESSAGES_ARN),
    ("dynamodb:Query", MESSAGES_ARN),
    ("dynamodb:Query", f"{MESSAGES_ARN}/index/*"),
)
CALLBACK = (*KEEPS_LEDGER, ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:*:parked"))
INBOUND = (*KEEPS_LEDGER, *KEEPS_CHAT, ("sqs:SendMessage", f"arn:aws:sqs:{REGION}:*:reply"))


@pytest.fixture(scope="module")
def guarded(enforcing_emulator: Emulator, twilio: TwilioServer, openai: OpenAIServer) -> Iterator[Stack]:
    with deployed(enforcing_emulator.account(), twilio=twilio, openai=openai) as running:
        yield running


def allowed(stack: Stack, name: str, grants: Sequence[tuple[str, str]]) -> Function:
    """The function as somebody who may do just that."""
    iam, user = stack.account.client("iam"), f"function-{uuid4()}"
    iam.create_user(UserName=user)
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in grants]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=user, PolicyName="may", PolicyDocument=policy)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    return stack.function(name, AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])


def without(grants: Sequence[tuple[str, str]], action: str) -> list[tuple[str, str]]:
    return [grant for grant in grants if grant[0] != action]


def test_a_callback_needs_no_more_than_it_is_given(guarded: Stack) -> None:
    function, uuid = allowed(guarded, "sms_callback", CALLBACK), str(uuid4())
    token = guarded.twilio.auth_token
    named = callback(1, "sent", message_uuid=uuid, send="s-1", token=token)
    claimed = callback(2, "sent", message_uuid=uuid, token=token)
    unknown = callback(3, "sent", token=token)

    for posted in (named, claimed, unknown):
        assert function(http_event(posted)) == {"statusCode": 204}

    assert {entry.kind for entry in guarded.ledger.message(uuid).entries} == {"sms", "sms-status"}
    assert len(guarded.received("parked")) == 1


def test_an_inbound_message_needs_no_more_than_it_is_given(guarded: Stack) -> None:
    function = allowed(guarded, "sms_inbound", INBOUND)
    for _ in range(2):
        answer = function(http_event(inbound(4, token=guarded.twilio.auth_token)))
        assert answer["statusCode"] == 200
    assert len(guarded.ledger.message(message_uuid_of(sid(4))).entries) == 1
    assert len(guarded.received("reply")) == 1


def test_a_permission_that_is_missing_is_named_in_the_log_and_the_status_waits(guarded: Stack) -> None:
    function = allowed(guarded, "sms_callback", without(CALLBACK, "dynamodb:PutItem"))
    names = {"message_uuid": str(uuid4()), "send": "s-5"}

    assert function(http_event(callback(5, "sent", token=guarded.twilio.auth_token, **names))) == {"statusCode": 204}

    assert "permission dynamodb:PutItem is missing" in function.log
    (job,) = jobs(guarded.received("parked"))
    assert (job["message_uuid"], job["send_id"]) == (names["message_uuid"], "s-5")


def test_a_queue_that_may_not_be_written_to_is_named_in_the_log_and_twilio_comes_again(guarded: Stack) -> None:
    function = allowed(guarded, "sms_callback", without(CALLBACK, "sqs:SendMessage"))
    assert function(http_event(callback(6, "sent", token=guarded.twilio.auth_token))) == {"statusCode": 503}
    assert "queue 'parked': AccessDenied" in function.log
