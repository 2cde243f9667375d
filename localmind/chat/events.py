"""What an answer in the making consists of: tokens, then the citations, then the whole."""

from __future__ import annotations

from dataclasses import dataclass

from localmind.model import Answer, Citation


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer's text. All pieces joined are `Answer.answer`; a citation's [n] is never cut in two."""

    text: str


@dataclass(frozen=True, slots=True)
class Citations:
    """The evidence of every [n] in the answer, by n. Comes once, after the last token."""

    items: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The last event: the answer is stored in its conversation."""

    answer: Answer


Event = Token | Citations | Done
