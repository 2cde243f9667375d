"""What schemathesis is told beside the schema: how NDJSON is written, and cases that it takes for valid and that are not."""

from __future__ import annotations

import json
import os
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx: Any, value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    return "\n".join(json.dumps(line) for line in (value if isinstance(value, list) else [value])).encode()


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """False for a case that is not what it is taken for, or that would take away the key that all cases are asked with.

    Where a string has a pattern and a length, it adds a member "body" that `additionalProperties: false` forbids, and calls that
    valid. A file with the bytes `null` it calls invalid, since null is no string; a multipart body has nothing but bytes.
    """
    if os.environ.get("SCHEMA_KEY_ID") == (case.path_parameters or {}).get("key_id"):
        return False
    if not isinstance(case.body, dict):
        return True
    files = case.body.get("file", [])
    return not isinstance(case.body.get("body"), dict) and all(
        isinstance(one, str | bytes) for one in (files if isinstance(files, list) else [files])
    )
