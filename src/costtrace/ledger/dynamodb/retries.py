"""How often DynamoDB is asked again, and for how long at most: a model call waits for it.

Which retries botocore makes unless told so has changed from release to release, from ten attempts in 25 seconds to four
in as many, and how long it waits between them is left to chance. So botocore asks once, and this decides the rest.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ConnectionError as NoConnection
from botocore.exceptions import HTTPClientError

from costtrace.ledger.dynamodb.faults import PASSING, SERVER_ERROR

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ATTEMPTS: Final = 4
_WAITS_S: Final = (0.4, 0.8, 1.6)
"""How long to wait at most after each attempt; at least half of it, so that many clients do not come at once."""
_LATEST_S: Final = 3.0
"""No attempt is begun later than that after the first. An attempt takes 3 seconds at most, so a request takes 6."""
_BEGAN: Final = "costtrace_began"


def install(client: DynamoDBClient) -> None:
    """Have that client, which by itself asks once, ask as often and as long as this file says."""
    client.meta.events.register("before-call.dynamodb", _begin, unique_id="costtrace-begin")
    decide: Callable[..., Any] = _wait_s  # botocore's stubs do not know that this event is answered
    client.meta.events.register("needs-retry.dynamodb", decide, unique_id="costtrace-retry")


def _begin(params: dict[str, Any], **_: Any) -> None:
    params["context"][_BEGAN] = time.monotonic()


def _wait_s(
    response: tuple[Any, dict[str, Any]] | None,
    attempts: int,
    caught_exception: Exception | None,
    request_dict: dict[str, Any],
    **_: Any,
) -> float | None:
    """Seconds until the next attempt; None where there shall be none."""
    if attempts >= ATTEMPTS or not _may_pass(response, caught_exception):
        return None
    wait_s = _WAITS_S[attempts - 1] * random.uniform(0.5, 1)  # noqa: S311 - no secret
    until_s = time.monotonic() + wait_s - request_dict["context"][_BEGAN]
    return wait_s if until_s <= _LATEST_S else None


def _may_pass(response: tuple[Any, dict[str, Any]] | None, error: Exception | None) -> bool:
    if response is None:
        return isinstance(error, (NoConnection, HTTPClientError))
    answer, parsed = response
    return answer.status_code >= SERVER_ERROR or parsed.get("Error", {}).get("Code") in PASSING
