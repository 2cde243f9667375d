"""Turns as both protocols write them."""

from __future__ import annotations

from collections.abc import Iterable

from localmind.llm.port import Turn


def messages(turns: Iterable[Turn]) -> list[dict[str, str]]:
    """Half a surrogate pair, which a client's JSON can hold, can't be sent: it becomes a question mark."""
    return [{"role": turn.role, "content": turn.content.encode("utf-8", "replace").decode()} for turn in turns]
