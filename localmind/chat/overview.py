"""Answers about the whole: theme by theme, each with a sentence that a source says, and its citation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from localmind.chat import sentences
from localmind.chat.citations import CitedText, Span
from localmind.chat.sentences import Kind
from localmind.model import Hit
from localmind.retrieval.wholes import is_general

if TYPE_CHECKING:
    from localmind.retrieval.themes import Theme

PASSAGES = 12
SECTION = "Theme: "

NO_THEMES = (
    "No themes are found in your documents yet: they are looked for a little after documents were added,"
    " and need a few passages that speak of the same."
)
WHOLE = "The main themes of your documents:"
NOT_CLOSE = "No theme of your documents is close to this question. The largest ones:"
PART = "What your documents say about this, theme by theme:"


def passages(themes: Sequence[Theme]) -> list[Hit]:
    """What an LLM answers from: one passage of every theme, then the second of each; their section names the theme."""
    found: dict[str, Hit] = {}
    for turn in range(max((len(theme.statements) for theme in themes), default=0)):
        for theme in themes:
            if turn < len(theme.statements):
                hit = theme.statements[turn].hit
                found.setdefault(hit.chunk_id, replace(hit, heading=f"{SECTION}{theme.community.title}"))
    return list(found.values())[:PASSAGES]


def outline(themes: Sequence[Theme]) -> list[tuple[str, str]]:
    """Title and summary of each."""
    return [(theme.community.title, theme.community.summary) for theme in themes]


def listed(text: CitedText, themes: Sequence[Theme], question: str) -> Iterator[str]:
    """The answer without a language model: a list, each item cited."""
    if not themes:
        yield text.add_plain(NO_THEMES)
        return
    heading = PART if themes[0].score is not None else WHOLE if is_general(question) else NOT_CLOSE
    yield text.add_plain(f"{heading}\n")
    for theme in themes:
        first = theme.statements[0]
        said = sentences.display(first.hit.text[first.start : first.end], Kind.PROSE)
        yield text.add(f"\n- **{theme.community.title}**: {said}", first.hit, Span(first.start, first.end))
