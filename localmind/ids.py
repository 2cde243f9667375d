"""Ids derived from content, so that a repeated write is the same write."""

from __future__ import annotations

import base64
import hashlib
import re
import uuid

ID_ALPHABET = re.compile(r"[a-z0-9_-]{1,64}")
"""Every id and tenant fits this, so it can stand in an engine's filter that takes no parameters."""


def stable_id(*parts: str | int) -> str:
    """26 characters of a-z2-7 (128 bits of BLAKE2b) over the parts; parts can't run into each other."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return base64.b32encode(digest.digest()).decode().rstrip("=").lower()


def random_id() -> str:
    """An id for what has no content to derive one from (jobs, conversations). Sorts by time (UUIDv7 layout)."""
    return uuid7().hex


def uuid7() -> uuid.UUID:
    """RFC 9562 UUID version 7; in the standard library only from Python 3.14 on."""
    import os
    import time

    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def text_hash(text: str) -> str:
    """Hash of a text, for caches."""
    return stable_id("text", text)


def is_id(value: str) -> bool:
    return ID_ALPHABET.fullmatch(value) is not None
