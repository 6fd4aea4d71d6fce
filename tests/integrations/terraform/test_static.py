"""What the .tf files say, read as text: runs where there is no Terraform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from costtrace.aws.runtime import SECRETS
from costtrace.settings import VARIABLES
from tests.integrations.terraform.terraform import AWS, SOURCE

HANDLERS = AWS / "handlers"
FILES = sorted(path for path in SOURCE.rglob("*.tf") if ".terraform" not in path.parts)
FOLDERS = sorted({path.parent for path in FILES})
TWILIO_SECRET = re.compile(r"\b[0-9a-f]{32}\b")
HANDLER = re.compile(r"^(def|from|import) .*\bhandler\b|^handler\b", re.MULTILINE)
ASKS_SECRETS = re.compile(r"\bsecrets=\(([^)]*)\)")
READS_SECRETS = re.compile(r"aws_ssm_parameter|aws_secretsmanager_secret_version")
API_KEY = re.compile(r"\b(sk|phc|phx|rk|AKIA|ASIA)[-_A-Za-z0-9]{16,}")


def parsed(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        plain: dict[str, Any] = _plain(hcl2.load(file))
    return plain


def _plain(value: Any) -> Any:
    """Without the marks of the parser: quotes around what is quoted, and notes of its own."""
    if isinstance(value, dict):
        return {_plain(key): _plain(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def local_values(name: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for block in parsed(SOURCE / name)["locals"]:
        values.update(block)
    return values


def resources(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in FILES:
        for block in parsed(path).get("resource", []):
            found.update(block.get(kind, {}))
    return found


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def attributes(table: dict[str, Any]) -> dict[str, str]:
    return {attribute["name"]: attribute["type"] for attribute in table["attribute"]}


def test_the_ledger_table() -> None:
    ledger = resources("aws_dynamodb_table")["ledger"]
    assert (ledger["hash_key"], ledger["range_key"]) == ("pk", "sk")
    assert attributes(ledger) == {"pk": "S", "sk": "S", "feed": "S", "seq": "N"}
    assert ledger["global_secondary_index"] == [
        {"name": "FeedIndex", "hash_key": "feed", "range_key": "seq", "projection_type": "ALL"}
    ]
    assert (ledger["stream_enabled"], ledger["stream_view_type"]) == (True, "NEW_IMAGE")


def test_the_table_of_chat_messages() -> None:
    chat = resources("aws_dynamodb_table")["chat_messages"]
    assert (chat["hash_key"], chat["range_key"]) == ("threadId", "timestamp")
    assert attributes(chat) == {"threadId": "S", "timestamp": "S", "messageId": "S"}
    assert chat["global_secondary_index"] == [
        {"name": "MessageUuidIndex", "hash_key": "messageId", "projection_type": "KEYS_ONLY"}
    ]


@pytest.mark.parametrize("name", ["ledger", "chat_messages"])
def test_what_holds_for_both_tables(name: str) -> None:
    table = resources("aws_dynamodb_table")[name]
    assert table["billing_mode"] == "PAY_PER_REQUEST"
    assert table["point_in_time_recovery"] == [{"enabled": True}]
    assert table["server_side_encryption"] == [{"enabled": True, "kms_key_arn": "${var.kms_key_arn}"}]
    assert table["ttl"] == [{"attribute_name": "expiresAt", "enabled": True}]
    assert table["deletion_protection_enabled"] == "${var.deletion_protection}"


def test_tables_are_protected_unless_you_say_otherwise() -> None:
    variables = {name: body for block in parsed(SOURCE / "variables.tf")["variable"] for name, body in block.items()}
    assert variables["deletion_protection"]["default"] is True


def test_no_other_table_is_made_or_changed() -> None:
    assert set(resources("aws_dynamodb_table")) == {"ledger", "chat_messages"}
    assert not any(resources(kind) for kind in ("aws_dynamodb_table_item", "aws_dynamodb_tag"))


def test_the_routes() -> None:
    locals_of_api = parsed(SOURCE / "modules" / "api" / "main.tf")["locals"][0]
    assert {route["key"] for route in locals_of_api["routes"].values()} == {
        "POST /chat",
        "POST /sms/inbound",
        "POST /sms/callback",
    }
    routes = resources("aws_apigatewayv2_route")
    assert routes["sms"]["authorization_type"] == "NONE"
    assert routes["chat"]["authorization_type"] == '${var.chat_jwt == null ? "AWS_IAM" : "JWT"}'


def test_every_function_has_its_file() -> None:
    """The handlers in the zips and the functions that name them are the same ones."""
    functions = local_values("functions.tf")["functions"]
    handlers = {path.stem for path in HANDLERS.glob("*.py")} - {"__init__", "agent"}
    assert set(functions) == set(local_values("permissions.tf")["may"])
    assert set(functions) == set(local_values("secrets.tf")["uses_secrets"])
    if not handlers:
        pytest.skip("integrations/aws/handlers holds no handler")
    assert set(functions) == handlers
    for name in functions:
        assert re.search(
            r"^(def|from|import) .*\bhandler\b|^handler\b", (HANDLERS / f"{name}.py").read_text(), re.MULTILINE
        )


def test_a_function_gets_the_secrets_it_asks_for() -> None:
    """And no others: what its handler names is what it may read."""
    for name, given in local_values("secrets.tf")["uses_secrets"].items():
        asked = ASKS_SECRETS.search((HANDLERS / f"{name}.py").read_text(encoding="utf-8"))
        settings = re.findall(r'"(\w+)"', asked[1]) if asked else []
        assert sorted(given) == sorted(SECRETS[setting] for setting in settings), name


def test_variables_are_known_to_costtrace() -> None:
    """Those that begin like ours are read by somebody."""
    text = (SOURCE / "functions.tf").read_text(encoding="utf-8") + (SOURCE / "secrets.tf").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:COSTTRACE|POSTHOG|TWILIO|OPENAI)_[A-Z_]+\b", text))
    assert named - set(VARIABLES) == set()


def test_functions_of_the_callback_zip_are_left_their_files() -> None:
    """chat.zip runs the agent; what is left out of callback.zip belongs to it."""
    functions = local_values("functions.tf")["functions"]
    assert {name for name, function in functions.items() if "chat_zip" in function["zip"]} == {"chat", "reply"}


def test_no_statement_allows_everything() -> None:
    """No action has a wildcard. A resource has one where AWS knows no other way: X-Ray, and streams that are listed."""
    grants = local_values("permissions.tf")["grants"]
    own = parsed(SOURCE / "modules" / "function" / "main.tf")["locals"][0]["own"]
    statements = {statement["Sid"]: statement for statement in [*grants.values(), *own]}
    assert [
        sid for sid, statement in statements.items() if any("*" in action for action in strings(statement["Action"]))
    ] == []
    assert {
        sid: list(strings(statement["Resource"]))
        for sid, statement in statements.items()
        if any("*" in resource for resource in strings(statement["Resource"]))
    } == {
        "Log": ["${aws_cloudwatch_log_group.this.arn}:*"],
        "Streams": ["${local.ledger.arn}/stream/*"],
        "Traces": ["*"],
    }


def test_who_only_reads_cannot_write() -> None:
    """The exporter of the stream writes what a message cost into the chat table, and nothing else anywhere."""
    may = local_values("permissions.tf")["may"]
    assert may["stream"] == [
        "${local.grants.read_ledger}",
        "${local.reads_stream}",
        "${local.reads_chat}",
        "${local.grants.costs}",
        "${local.grants.dead_letters}",
    ]
    assert [name for name, grants in may.items() if "${local.grants.costs}" in grants] == ["chat", "stream"]


def test_what_is_written_in_the_ledger_stays() -> None:
    """Nobody may update it, and only markers may be deleted: their keys begin with w#."""
    grants = local_values("permissions.tf")["grants"]
    on_ledger = {
        action: statement
        for statement in grants.values()
        if statement["Resource"] == ["${local.ledger.arn}"]
        for action in statement["Action"]
    }
    assert set(on_ledger) == {"dynamodb:PutItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:DeleteItem"}
    assert on_ledger["dynamodb:DeleteItem"]["Condition"] == {
        "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["w#*"]}
    }


def test_secrets_are_references() -> None:
    """Nothing that looks like a secret stands in a file, and no data source would bring one into the state."""
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert not TWILIO_SECRET.search(text), path
        assert not API_KEY.search(text), path
        assert not re.search(r"aws_ssm_parameter|aws_secretsmanager_secret_version|aws_ssm_parameters_by_path", text), (
            path
        )


def test_failed_records_come_again_alone() -> None:
    mappings = resources("aws_lambda_event_source_mapping")
    assert set(mappings) == {"parked", "replies", "stream"}
    assert all(mapping["function_response_types"] == ["ReportBatchItemFailures"] for mapping in mappings.values())
    stream = mappings["stream"]
    assert stream["bisect_batch_on_function_error"] is True
    assert stream["maximum_retry_attempts"] == 1000
    assert stream["destination_config"][0]["on_failure"] == [{"destination_arn": "${module.queues.undelivered.arn}"}]


def test_functions_run_on_arm_and_are_traced() -> None:
    function = resources("aws_lambda_function")["this"]
    assert (function["runtime"], function["architectures"]) == ("python3.12", ["arm64"])
    assert function["tracing_config"] == [{"mode": "Active"}]


def test_every_log_is_forgotten_some_day() -> None:
    for group in resources("aws_cloudwatch_log_group").values():
        assert group["retention_in_days"] == "${var.log_retention_days}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(SOURCE)))
def test_every_folder_asks_for_the_same_versions(folder: Path) -> None:
    (wanted,) = parsed(folder / "versions.tf")["terraform"]
    assert wanted["required_version"] == ">= 1.6"
    assert wanted["required_providers"] == [{"aws": {"source": "hashicorp/aws", "version": ">= 5.60, < 6.0"}}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_variables_and_outputs_are_described(path: Path) -> None:
    for kind in ("variable", "output"):
        for block in parsed(path).get(kind, []):
            for name, body in block.items():
                assert body.get("description"), name
