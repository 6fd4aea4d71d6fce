"""The same numbers for machines: JSON with money as text, and CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from starlette.responses import Response

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_]+", re.ASCII)
"""What has a meaning in a header or in a path; a tag may be called anything."""
_LONGEST: Final = 80


def json_answer(value: Any) -> Response:
    """One JSON value, indented."""
    return Response(json.dumps(value, indent=2) + "\n", media_type="application/json")


def csv_answer(rows: Iterable[Sequence[str]], name: str) -> Response:
    """Rows of texts, for a file of that name."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    safe = _UNSAFE.sub("-", name).strip("-")[:_LONGEST]
    disposition = {"content-disposition": f'attachment; filename="costtrace-{safe}.csv"'}
    return Response(written.getvalue(), media_type="text/csv; charset=utf-8", headers=disposition)
