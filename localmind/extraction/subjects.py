"""What a chunk is about: what its title and its heading name and it takes up, and what it opens with. Pure.

A walk over the graph goes from a name to the text that tells of it, rather than to all that mention it in passing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from localmind.extraction.candidates import Candidate
from localmind.extraction.lexicon import Language, lexicon
from localmind.extraction.port import Passage
from localmind.extraction.tokens import Kind, Token
from localmind.graph.naming import entity_key
from localmind.model import ABOUT

NAMED_ABOVE = ABOUT + 3
HEAD_OF_TITLE = ABOUT + 2
OPENED_WITH = ABOUT + 1

MOST_TITLE_WORDS = 12
OPENING_TOKENS = 14
OPENING_WORDS = 8

FILE_ENDINGS = (".pdf", ".docx", ".pptx", ".xlsx", ".html", ".htm", ".md", ".txt", ".csv", ".json", ".epub", ".eml", ".odt")
_DISAMBIGUATION = re.compile(r"\s*\([^)]*\)$")
_HEAD_END = re.compile(r"[,:;(–—]| - ")


def subjects(
    passage: Passage, read: Sequence[Token], found: Mapping[str, Candidate], language: Language
) -> dict[str, tuple[Candidate, float]]:
    """By entity_key, each with the weight of its mention, at least ABOUT. read, found: the text's tokens and candidates."""
    about: dict[str, tuple[Candidate, float]] = {}
    opening = _opening(read, found, language)
    if opening:
        about[opening] = (found[opening], OPENED_WITH)
    for title in (passage.title, passage.heading.rsplit("›", 1)[-1]):
        for name, weight in _names_of(title):
            key = entity_key(name)
            if len(key) > 1 and takes_up(passage.text, name):
                about[key] = (found.get(key) or Candidate(name, name.count(" ") + 1, name[:1].isupper(), score=1.5), weight)
    return about


def without_disambiguation(title: str) -> str:
    return _DISAMBIGUATION.sub("", title.strip())


def _names_of(title: str) -> Iterator[tuple[str, float]]:
    """The title, and what stands before its first comma, colon or dash: "Laie, Hawaii" is about Laie."""
    title = without_disambiguation(title)
    if not names_something(title):
        return
    head = _HEAD_END.split(title, maxsplit=1)[0].strip()
    if head != title and names_something(head):
        yield head, HEAD_OF_TITLE
    yield title, NAMED_ABOVE


def names_something(text: str, *, words: int = MOST_TITLE_WORDS) -> bool:
    """Short enough for a name, no file's, and more than "Chapter 3" or "Introduction"."""
    parts = text.split()
    if len(parts) > words or len(text) < 2 or text.lower().endswith(FILE_ENDINGS):
        return False
    language = lexicon().english
    bare = [part.lower().strip(".,:;()") for part in parts]
    return not all(word in language.generic or (len(parts) == 1 and word in language.breaks) or not word[:1].isalpha() for word in bare)


def takes_up(text: str, title: str) -> bool:
    """Half of the words that tell something: the text of "Christopher Nolan" begins "Christopher Edward Nolan".

    A title that a chunk does not take up would tie every chunk of a book to the same entity.
    """
    english = lexicon().english
    lower = text.lower()
    words = title.lower().split()
    telling = [word for word in words if len(word) > 2 and word not in english.generic and word not in english.breaks]
    return bool(words) and (2 * sum(word in lower for word in telling) >= len(telling) > 0 or title.lower() in lower)


def _opening(read: Sequence[Token], found: Mapping[str, Candidate], language: Language) -> str | None:
    """The name or term that the text begins with, an article aside: what a definition defines."""
    words: list[str] = []
    for token in read[:OPENING_TOKENS]:
        if token.kind >= Kind.NUMBER:
            if words:
                break
        elif words or token.text.lower() not in language.function:
            words.append(token.text)
    for length in range(min(len(words), OPENING_WORDS), 0, -1):
        key = entity_key(" ".join(words[:length]))
        if key in found and (length > 1 or found[key].proper or (language.nouns_capitalised and words[0][0].isupper())):
            return key
    return None
