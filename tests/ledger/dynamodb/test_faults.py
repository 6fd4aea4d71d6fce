"""What goes wrong on AWS's side: what may pass is waited for, what needs a person is said in one sentence."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import boto3
import pytest

from costtrace import CostCallbackHandler, Recorder, open_ledger
from costtrace.errors import ConfigurationError, LedgerUnavailable, LedgerUnusable
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.client import client_from, dynamodb_client
from costtrace.ledger.dynamodb.faults import as_ledger_errors
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.sandbox.openai import OpenAIServer
from tests.bars import within
from tests.factories import MESSAGE, make_entry
from tests.langchain.calls import chat_model
from tests.ledger.dynamodb.conftest import TABLE, Store, client_of
from tests.peers.emulator import Account, Emulator
from tests.peers.fault_proxy import Fault, FaultProxy


class TestWhatMayPass:
    @pytest.mark.parametrize("fault", [Fault.THROTTLE, Fault.BUSY, Fault.ERROR, Fault.DROP_BEFORE])
    def test_is_tried_again_and_nobody_notices(self, store: Store, fault_proxy: FaultProxy, fault: Fault) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.script(fault, Fault.PASS, fault)
        assert ledger.append([make_entry()]) == {make_entry().entry_id}
        fault_proxy.script(fault)
        assert ledger.message(MESSAGE).entries == (make_entry(),)

    @pytest.mark.parametrize("fault", [Fault.THROTTLE, Fault.BUSY])
    def test_for_ever_is_said_within_six_seconds(self, store: Store, fault_proxy: FaultProxy, fault: Fault) -> None:
        """However long the random waits between the four attempts turn out; see `TestPatience` for the longest."""
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.always(fault)
        began = time.monotonic()
        with pytest.raises(
            LedgerUnavailable, match="DynamoDB table 'costtrace-ledger' in eu-central-1: PutItem was put"
        ):
            ledger.spool(make_entry())
        assert time.monotonic() - began < within(6)
        assert fault_proxy.seen == ["PutItem"] * 4

    def test_is_no_answer_as_well(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.script(Fault.HANG)
        began = time.monotonic()
        ledger.spool(make_entry())
        assert 2 <= time.monotonic() - began < within(4)

    def test_is_a_service_nobody_can_reach(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.stop()
        with pytest.raises(LedgerUnavailable, match=rf"no connection to {fault_proxy.endpoint}; is the network up"):
            ledger.append([make_entry()])
        health = ledger.health()
        assert health.problem is not None
        assert "no connection" in health.problem

    def test_leaves_the_users_answer_unharmed_and_the_entry_is_stored_later(
        self, store: Store, fault_proxy: FaultProxy
    ) -> None:
        recorder = Recorder(store.ledger(fault_proxy.endpoint))
        fault_proxy.always(Fault.ERROR)
        with OpenAIServer() as server:
            answer = chat_model(server).invoke("Hi", {"callbacks": [CostCallbackHandler(recorder)]})
        assert answer.text
        assert (recorder.health().buffered, recorder.health().lost) == (1, 0)
        assert store.rows("feed") == []
        fault_proxy.heal()
        health = recorder.flush()
        assert (health.recorded, health.buffered, health.problem) == (1, 0, None)
        [(_, entry)] = store.ledger().entries()
        assert (entry.kind, entry.status) == ("llm", "completed")


class TestPatience:
    """A request takes six seconds at most, whatever happens to it."""

    def test_with_a_table_that_is_throttled_for_ever_ends_in_time_at_the_longest_waits(
        self, store: Store, fault_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(random, "uniform", lambda _least, most: most)
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.always(Fault.THROTTLE)
        began = time.monotonic()
        with pytest.raises(LedgerUnavailable, match="was put off"):
            ledger.spool(make_entry())
        assert 2.8 <= time.monotonic() - began < within(6)
        assert set(fault_proxy.seen) == {"PutItem"}
        assert 3 <= len(fault_proxy.seen) <= 4  # on a slow machine the fourth would begin too late

    def test_with_a_service_that_never_answers_ends_in_time(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.always(Fault.HANG)
        began = time.monotonic()
        with pytest.raises(LedgerUnavailable, match=r"no answer \(ReadTimeoutError\)"):
            ledger.spool(make_entry())
        assert 4 <= time.monotonic() - began < within(6)
        assert fault_proxy.seen == ["PutItem"] * 2

    def test_is_asked_of_the_application_once_in_an_outage(self, store: Store, fault_proxy: FaultProxy) -> None:
        """The first call waits; the next are kept at once, and tried again in the background."""
        recorder = Recorder(store.ledger(fault_proxy.endpoint))
        fault_proxy.always(Fault.THROTTLE)
        waited: list[float] = []
        for number in range(10):
            began = time.monotonic()
            recorder.record(make_entry(number))
            waited.append(time.monotonic() - began)
            time.sleep(0.4)
        assert sum(waited) < within(6)
        assert sum(waited[1:]) < within(0.5)
        assert (recorder.health().buffered, recorder.health().lost) == (10, 0)
        fault_proxy.heal()
        assert (recorder.flush().buffered, len(store.rows(f"m#{MESSAGE}"))) == (0, 10)

    def test_is_not_shown_with_what_needs_a_person(self, aws: Account) -> None:
        began = time.monotonic()
        said(DynamoDBLedger(client_of(aws), table="misspelt"))
        assert time.monotonic() - began < within(2)


def test_what_a_garbage_collection_ends_in_the_middle_of_a_request_has_to_wait(store: Store) -> None:
    """It is on the thread that holds the locks of boto3's connections, and must not wait for them."""
    ledger = store.ledger()
    with as_ledger_errors(store.client, TABLE), pytest.raises(LedgerUnavailable, match="in the middle of a request"):
        ledger.spool(make_entry())
    ledger.spool(make_entry())


def said(ledger: DynamoDBLedger) -> str:
    """The sentence with which the store refuses, the same for a write and a read."""
    with pytest.raises(LedgerUnusable) as written:
        ledger.append([make_entry()])
    with pytest.raises(LedgerUnusable):
        ledger.message(MESSAGE)
    assert ledger.health().problem is not None
    return str(written.value)


class TestWhatNeedsAPerson:
    def test_a_missing_table_is_named(self, aws: Account) -> None:
        sentence = said(DynamoDBLedger(client_of(aws), table="misspelt"))
        assert sentence == (
            "DynamoDB table 'misspelt' in eu-central-1: there is no such table, or it has no index FeedIndex; make it"
            " with the Terraform module, or name table and region in the ledger's address:"
            " dynamodb://?region=...&ledger=..."
        )

    def test_the_wrong_region_is_named(self, store: Store) -> None:
        account = store.account
        elsewhere = Account(endpoint=account.endpoint, access_key_id=account.access_key_id, region="us-west-2")
        assert said(DynamoDBLedger(client_of(elsewhere))).startswith(
            f"DynamoDB table {TABLE!r} in us-west-2: there is no such table"
        )

    def test_a_wrong_secret_is_named(self, enforcing_emulator: Emulator) -> None:
        account = user_without(enforcing_emulator.account(), "nothing")
        wrong = Account(endpoint=account.endpoint, access_key_id=account.access_key_id, secret="wrong")  # noqa: S106
        assert said(DynamoDBLedger(client_of(wrong))).endswith(
            "AWS does not accept the credentials (InvalidSignatureException); check AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and this machine's clock"
        )

    def test_an_unknown_key_is_named(self, enforcing_emulator: Emulator) -> None:
        wrong = Account(endpoint=enforcing_emulator.endpoint, access_key_id="AKIAIOSFODNN7EXAMPLE")
        assert "AWS does not accept the credentials (UnrecognizedClientException)" in said(
            DynamoDBLedger(client_of(wrong))
        )

    @pytest.mark.parametrize("missing", ["PutItem", "Query"])
    def test_a_missing_permission_is_named(self, enforcing_emulator: Emulator, missing: str) -> None:
        root = enforcing_emulator.account()
        create_tables(root.client(), messages=None)
        limited = user_without(root, missing)
        ledger = DynamoDBLedger(client_of(limited))
        with pytest.raises(LedgerUnusable) as refusal:
            ledger.append([make_entry()]) if missing == "PutItem" else ledger.message(MESSAGE)
        assert str(refusal.value) == (
            f"DynamoDB table {TABLE!r} in eu-central-1: permission dynamodb:{missing} is missing; allow it in the"
            " role's policy"
        )

    def test_credentials_that_are_nowhere_are_asked_for(
        self, aws: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        session: Any = boto3.session.Session(region_name="eu-central-1")
        client = client_from(session, endpoint_url=aws.endpoint)
        assert "no AWS credentials that can be used; set AWS_ACCESS_KEY_ID" in said(DynamoDBLedger(client))

    def test_a_region_that_is_nowhere_is_asked_for(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        for variable in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(ConfigurationError, match="no region is named; set AWS_REGION, or say dynamodb://"):
            open_ledger("dynamodb://")

    def test_a_configuration_boto3_cannot_use_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(ConfigurationError, match=r"boto3 cannot make a client: .*nobody"):
            dynamodb_client("eu-central-1", "http://127.0.0.1:1")

    def test_a_table_of_another_kind_is_said(self, aws: Account) -> None:
        create_tables(aws.client(), ledger=None, messages="chat-messages")
        sentence = said(DynamoDBLedger(client_of(aws), table="chat-messages"))
        assert sentence.startswith("DynamoDB table 'chat-messages' in eu-central-1: PutItem was refused (Validation")


def user_without(root: Account, action: str) -> Account:
    """A user who may do everything the ledger does, but for one action."""
    allowed = [f"dynamodb:{name}" for name in ("PutItem", "GetItem", "Query", "DeleteItem") if name != action]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    iam = root.client("iam")
    iam.create_user(UserName="app")
    iam.put_user_policy(UserName="app", PolicyName="ledger", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="app")["AccessKey"]
    return Account(endpoint=root.endpoint, access_key_id=key["AccessKeyId"], secret=key["SecretAccessKey"])
