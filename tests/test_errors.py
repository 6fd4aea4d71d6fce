"""Errors travel between processes as they are."""

from __future__ import annotations

import pickle

import pytest

from costtrace.errors import (
    CostTraceError,
    ExporterUnavailable,
    InvalidValue,
    LedgerUnavailable,
    MissingExtra,
    UnknownMessage,
)


@pytest.mark.parametrize(
    "error",
    [
        ExporterUnavailable("no answer", retry_after_s=3.0),
        InvalidValue("usage.input", -1, "a whole number of zero or more"),
        LedgerUnavailable("locked"),
        MissingExtra(package="boto3", feature="a ledger in DynamoDB", extra="dynamodb"),
        UnknownMessage("m1", "memory"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_raised_in_another_process_arrives_whole(error: CostTraceError) -> None:
    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(arrived), str(arrived), vars(arrived)) == (type(error), str(error), vars(error))
