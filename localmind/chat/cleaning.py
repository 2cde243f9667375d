"""Takes out of a text what no store and no protocol can carry."""

from __future__ import annotations


def cleaned(text: str) -> str:
    """Without NUL (PostgreSQL has no place for it); lone surrogates, which UTF-8 can't say, become question marks."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
