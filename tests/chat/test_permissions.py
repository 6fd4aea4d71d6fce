"""What each method may do in IAM's words: exactly what docs/dynamodb.md says, and where it is missing, that is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from costtrace.chat import ChatMessage, ChatMessages
from costtrace.chat.imports import ChatImport
from costtrace.errors import LedgerUnusable
from costtrace.messages import fold
from costtrace.testing import MemoryLedger
from tests.chat.conftest import TABLE, make_table
from tests.factories import MESSAGE, make_entry
from tests.peers.emulator import Account, Emulator
from tests.peers.fixtures import *  # noqa: F403 - fixtures

PAGE = Path(__file__).parents[2] / "docs" / "dynamodb.md"
KNOWN = ChatMessage(thread_id="t1", timestamp="2026-01-20T09:30:00.000000Z", message_uuid=MESSAGE, role="assistant")
NEEDS: dict[str, tuple[str, ...]] = {
    "save": ("PutItem", "Query"),
    "history": ("Query",),
    "by_uuid": ("Query", "GetItem"),
    "project": ("Query", "GetItem", "UpdateItem"),
    "costtrace import chat-messages": ("Scan",),
}
"""`save` asks with Query only where another message has the same microsecond."""


def used(client: Any, name: str) -> None:
    """One use of each method, with all that it may ask for."""
    chat = ChatMessages(client, sleep=lambda _: None)
    uses: dict[str, Callable[[], object]] = {
        "save": lambda: chat.save(replace(KNOWN, message_uuid="another")),
        "history": lambda: chat.history("t1"),
        "by_uuid": lambda: (chat.by_uuid(MESSAGE), chat.by_uuid("nobody", thread_id="t1")),
        "project": lambda: chat.project(fold([make_entry(1)])),
        "costtrace import chat-messages": lambda: ChatImport(client, MemoryLedger(), table=TABLE).run(),
    }
    uses[name]()


def allowed(root: Account, actions: tuple[str, ...]) -> Any:
    """A client of a user who may do that with the table, and with its index what is asked of an index."""
    arn = f"arn:aws:dynamodb:{root.region}:{root.access_key_id}:table/{TABLE}"
    statement = {
        "Effect": "Allow",
        "Action": [f"dynamodb:{action}" for action in actions],
        "Resource": [arn, f"{arn}/index/MessageUuidIndex"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam = root.client("iam")
    iam.create_user(UserName="function")
    iam.put_user_policy(UserName="function", PolicyName="may", PolicyDocument=policy)
    key = iam.create_access_key(UserName="function")["AccessKey"]
    iam.close()
    return replace(root, access_key_id=key["AccessKeyId"], secret=key["SecretAccessKey"]).client()


@pytest.fixture
def root(enforcing_emulator: Emulator) -> Account:
    """The owner of a table with one message in it."""
    account = enforcing_emulator.account()
    client = account.client()
    make_table(client)
    ChatMessages(client).save(KNOWN)
    client.close()
    return account


@pytest.mark.parametrize("method", NEEDS)
def test_each_method_does_with_what_the_documentation_says(root: Account, method: str) -> None:
    client = allowed(root, NEEDS[method])
    used(client, method)
    client.close()


@pytest.mark.parametrize(("method", "missing"), [(method, each) for method, needs in NEEDS.items() for each in needs])
def test_a_permission_that_is_missing_is_named(root: Account, method: str, missing: str) -> None:
    client = allowed(root, tuple(action for action in NEEDS[method] if action != missing) or ("DescribeTable",))
    with pytest.raises(LedgerUnusable, match=f"table 'chat-messages'.* permission dynamodb:{missing} is missing"):
        used(client, method)
    client.close()


@pytest.mark.parametrize(("method", "needs"), NEEDS.items())
def test_the_documentation_has_a_line_for_each(method: str, needs: tuple[str, ...]) -> None:
    line = next(line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{method}`"))
    assert all(f"`{action}`" in line for action in needs)
