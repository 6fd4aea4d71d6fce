"""The example `complete`, applied to an emulator that enforces IAM, and a conversation through what was made.

Functions run there with the roles they were given, so what a statement forgets fails here. CloudWatch is moto's:
MiniStack's leaves out most of an alarm when it is asked for it, and a second plan would find every alarm changed.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest

from costtrace.aws.turns import reply_uuid_of
from costtrace.chat import ChatMessages
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.sandbox.twilio import TwilioServer, Webhook
from costtrace.twilio.entries import message_uuid_of
from tests.integrations.terraform.terraform import AWS, Workspace, binary, mirror
from tests.peers.emulator import Account, ministack, moto, peer_python

pytestmark = pytest.mark.timeout(1200)

EXAMPLE: Final = "examples/complete"
NAME: Final = "live"
CUSTOMER: Final = "+14155550123"
OURS: Final = "+14155550199"
USAGE: Final = {"prompt_tokens": 450, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 0}}
EMPTY_TWIML: Final = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What was applied, and the stand-ins around it."""

    workspace: Workspace
    account: Account
    twilio: TwilioServer
    openai: OpenAIServer
    outputs: Mapping[str, Any]

    @property
    def base_url(self) -> str:
        url: str = self.outputs["public_base_url"]
        return url

    @property
    def ledger(self) -> DynamoDBLedger:
        return DynamoDBLedger(self.account.client(), table=self.outputs["ledger_table"])

    @property
    def chat(self) -> ChatMessages:
        return ChatMessages(self.account.client(), table=f"{NAME}-chat-messages")

    def post(self, webhook: Webhook) -> tuple[int, bytes]:
        """Send it as Twilio would; the API's host is a name that only the emulator knows."""
        url = urlsplit(webhook.url)
        connection = http.client.HTTPConnection(urlsplit(self.account.endpoint).netloc, timeout=60)
        try:
            path = f"{url.path}?{url.query}" if url.query else url.path
            connection.request("POST", path, webhook.body, {**webhook.headers, "Host": url.netloc})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def form(self, path: str, sid: str, **fields: str) -> Webhook:
        """A form of Twilio's, signed."""
        known = {"MessageSid": sid, "SmsSid": sid, "AccountSid": self.twilio.account_sid, "ApiVersion": "2010-04-01"}
        return self.twilio.sign(f"{self.base_url}{path}", {**known, **fields})

    def invoke(self, function: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function that has no address; fails where it does."""
        client = self.account.client("lambda", read_timeout=120)
        answer = client.invoke(FunctionName=self.outputs["function_names"][function], Payload=json.dumps(event))
        said: dict[str, Any] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        return said

    def dead_letters(self, queue: str) -> list[dict[str, Any]]:
        """What is in that queue of dead letters; it stays there."""
        sqs = self.account.client("sqs")
        url = sqs.get_queue_url(QueueName=self.outputs["dead_letter_names"][queue])["QueueUrl"]
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


def eventually(ask: Callable[[], T | None], *, within_s: float) -> T:
    """The first answer that is one: queues and streams take their time."""
    deadline = time.monotonic() + within_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"nothing within {within_s} s"
        time.sleep(0.5)
    return answer


@pytest.fixture(scope="module")
def zips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both zips, for the Python that the emulator runs its functions on."""
    binary(), mirror()
    out = tmp_path_factory.mktemp("zips")
    command = [str(peer_python()), str(AWS / "build.py"), "--host", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the zips could not be made: {done.stderr.strip()[-500:]}")
    return out


@pytest.fixture(scope="module")
def deployed(zips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with (
        ministack(enforce_iam=True) as emulator,
        moto() as cloudwatch,
        TwilioServer(manual=True) as twilio,
        OpenAIServer() as openai,
    ):
        # The account that the emulator assumes where a caller, like Twilio, has no credentials.
        account = Account(endpoint=emulator.endpoint, access_key_id="000000000000")
        _keep_secrets(account, twilio)
        variables = _variables(zips, twilio, openai)
        environment = {**account.environment, **variables, "AWS_ENDPOINT_URL_CLOUDWATCH": cloudwatch.endpoint}
        workspace = Workspace.copy(tmp_path_factory.mktemp("live") / "terraform", environment)
        workspace.init(EXAMPLE)
        workspace.run(EXAMPLE, "apply", "-auto-approve", "-input=false", "-no-color")
        outputs = workspace.outputs(EXAMPLE)
        yield Deployment(workspace=workspace, account=account, twilio=twilio, openai=openai, outputs=outputs)


def _keep_secrets(account: Account, twilio: TwilioServer) -> None:
    secrets = {"twilio-auth-token": twilio.auth_token, "openai-api-key": "sk-planted", "hash-key": "h" * 32}
    for name, value in secrets.items():
        account.client("ssm").put_parameter(Name=f"/costtrace/{name}", Value=value, Type="SecureString")


def _variables(zips: Path, twilio: TwilioServer, openai: OpenAIServer) -> dict[str, str]:
    variables: dict[str, Any] = {
        "name": NAME,
        "chat_zip": str(zips / "chat.zip"),
        "callback_zip": str(zips / "callback.zip"),
        "deletion_protection": False,
        "twilio_account_sid": twilio.account_sid,
        "from_number": OURS,
        "exporters": [],
        "parked": {"retry_s": 20, "receives": 2},
        "extra_variables": {"COSTTRACE_TWILIO_BASE_URL": twilio.base_url, "OPENAI_BASE_URL": openai.base_url},
    }
    return {
        f"TF_VAR_{name}": value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()
    }


def test_a_second_plan_changes_nothing(deployed: Deployment) -> None:
    """Exit code 0 is "no changes"; 2 would be some."""
    deployed.workspace.run(EXAMPLE, "plan", "-detailed-exitcode", "-input=false", "-no-color")


def test_a_conversation_to_the_last_digit_of_its_cost(deployed: Deployment) -> None:
    """An SMS comes in, is answered by the queue's function, delivered, settled, and shown in the chat table."""
    twilio, text = deployed.twilio, "Where is my parcel?"
    deployed.openai.script(Reply(text="It arrives tomorrow.", usage=USAGE))
    sid = twilio.receive(from_=CUSTOMER, to=OURS, body=text, lost=True).sid
    came = deployed.form("/sms/inbound", sid, From=CUSTOMER, To=OURS, Body=text, NumSegments="1", NumMedia="0")

    assert deployed.post(came) == (200, EMPTY_TWIML)
    assert deployed.post(came) == (200, EMPTY_TWIML)  # Twilio says things twice
    sent = eventually(lambda: [each for each in twilio.messages if each.direction == "outbound-api"], within_s=120)
    assert [(each.to, each.from_, each.body) for each in sent] == [(CUSTOMER, OURS, "It arrives tomorrow.")]

    twilio.advance(sent[0].sid, "sent", "delivered")
    for status in ("delivered", "sent", "delivered"):
        assert deployed.post(twilio.webhook(sent[0].sid, status)) == (204, b"")
    assert deployed.invoke("settlement", {})["failed"] == 0

    reply_uuid = reply_uuid_of(message_uuid_of(sid))
    reply = deployed.ledger.message(reply_uuid)
    assert reply.total.complete
    assert reply.total.actual.usd == 450 * Decimal("0.00000015") + 200 * Decimal("0.0000006") + Decimal("0.0083")
    costs = eventually(lambda: _settled_costs(deployed.chat, reply_uuid), within_s=60)
    assert costs["gpt"]["costUsd"] == Decimal("0.0001875")
    assert (costs["twilio"]["status"], costs["twilio"]["price"]) == ("delivered", "-0.00830")


def _settled_costs(chat: ChatMessages, message_uuid: str) -> Mapping[str, Any] | None:
    row = chat.by_uuid(message_uuid)
    return row.costs if row is not None and row.costs.get("twilio", {}).get("price") else None


def test_what_twilio_did_not_sign_is_refused(deployed: Deployment) -> None:
    signed = deployed.form("/sms/callback", "SM" + "1" * 32, MessageStatus="delivered")
    forged = Webhook(url=signed.url, body=signed.body.replace(b"delivered", b"failed"), headers=signed.headers)
    assert deployed.post(forged)[0] == 403
    assert deployed.ledger.find("sms/SM" + "1" * 32) is None


def test_the_chat_is_not_open(deployed: Deployment) -> None:
    question = Webhook(url=f"{deployed.base_url}/chat", body=b'{"thread_id": "t1"}', headers={})
    assert deployed.post(question)[0] == 403


def test_a_callback_of_a_message_nobody_knows_ends_among_the_dead_letters(deployed: Deployment) -> None:
    """Parked, tried twice, and then where an alarm looks."""
    sid = "SM" + "2" * 32
    callback = deployed.form("/sms/callback", sid, MessageStatus="delivered", SmsStatus="delivered")
    assert deployed.post(callback)[0] == 204
    letters = eventually(lambda: deployed.dead_letters("parked"), within_s=180)
    assert [letter["message_sid"] for letter in letters] == [sid]


def test_a_notification_is_sent_once(deployed: Deployment) -> None:
    data = {"name": "Ada", "company": "Example"}
    event = {"type": "welcome", "idempotency_key": "signup/u1", "user_id": "u1", "to": CUSTOMER, "data": data}
    first, second = deployed.invoke("notifications", event), deployed.invoke("notifications", event)
    assert (first["outcome"], second["outcome"]) == ("sent", "already_sent")
    assert deployed.ledger.message(first["message_uuid"]).context.message_type == "welcome"


def test_the_nightly_comparison_may_do_what_it_does(deployed: Deployment) -> None:
    assert deployed.invoke("reconcile", {"days": 1})["truncated"] is False


def test_nothing_was_lost_on_the_way(deployed: Deployment) -> None:
    assert deployed.dead_letters("replies") == []
    assert deployed.dead_letters("undelivered") == []


def test_destroy_leaves_nothing(deployed: Deployment) -> None:
    """The last test of this file: it takes away what the others look at."""
    deployed.workspace.run(EXAMPLE, "destroy", "-auto-approve", "-input=false", "-no-color")
    assert deployed.account.client("dynamodb").list_tables()["TableNames"] == []
    assert deployed.account.client("lambda").list_functions()["Functions"] == []
    assert deployed.account.client("sqs").list_queues().get("QueueUrls", []) == []
