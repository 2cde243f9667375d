"""Tokens without content: random, shown once, kept as a hash. 256 bits need no slow hash: nobody guesses them."""

from __future__ import annotations

import hashlib
import secrets
from typing import NamedTuple

REFRESH, COOKIE, INVITATION, FLOW, API_KEY = "lmr", "lms", "lmi", "lmf", "lm"


def new_token(kind: str) -> str:
    """kind: what it begins with, so that a leaked one can be recognised."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


def digest(token: str) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class NewKey(NamedTuple):
    prefix: str
    text: str


def new_api_key() -> NewKey:
    """lm_PREFIX_SECRET: the prefix is kept, so that a person knows one key from another."""
    prefix = secrets.token_hex(5)
    return NewKey(prefix, f"{API_KEY}_{prefix}_{secrets.token_urlsafe(32)}")


def prefix_of(text: str) -> str | None:
    """The prefix of what looks like an API key; None for what doesn't."""
    parts = text.split("_", 2)
    return parts[1] if len(parts) == 3 and parts[0] == API_KEY and len(parts[1]) == 10 else None
