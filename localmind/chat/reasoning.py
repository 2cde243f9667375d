"""Leaves out what a reasoning model thinks aloud before its answer: some servers send it as a part of the text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from localmind.model import Usage

OPENING = "<think>"
CLOSING = "</think>"


def left_out(pieces: Iterable[str | Usage]) -> Iterator[str | Usage]:
    """The pieces without a leading <think>...</think>; one that is never closed leaves nothing."""
    waiting: str | None = ""  # None: the answer has begun
    for piece in pieces:
        if waiting is None or isinstance(piece, Usage):
            yield piece
            continue
        waiting += piece
        begun = waiting.lstrip()
        if begun.startswith(OPENING):
            thought, closed, answer = begun.partition(CLOSING)
            # Of a thought only its end is of use: closing tags can come in pieces.
            waiting = None if closed and answer.strip() else begun if closed else OPENING + thought[len(OPENING) :][-len(CLOSING) :]
            if waiting is None:
                yield answer.lstrip()
        elif not OPENING.startswith(begun):
            yield waiting
            waiting = None
    if waiting and not waiting.lstrip().startswith(OPENING):
        yield waiting


def of_whole(text: str) -> str:
    """The answer in a text that may begin with a thought; "" where the thought never ended."""
    return "".join(piece for piece in left_out([text]) if isinstance(piece, str))
