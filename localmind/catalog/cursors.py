"""Opaque list cursors: what the last item sorted by, in base64."""

from __future__ import annotations

import base64
import binascii
import json

from localmind.errors import BadCursor


def encode(*values: str | int | float) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode(cursor: str, *types: type) -> tuple[object, ...]:
    """Raises BadCursor where it is not one of ours, of values of these types."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != len(types) or not all(isinstance(v, t) for v, t in zip(values, types, strict=True)):
        raise BadCursor(f"The cursor {cursor[:40]!r} is not one that this list gave out.", hint="Begin again without a cursor.")
    return tuple(values)
