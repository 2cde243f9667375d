"""What a full-text index is given: words apart from each other, also in languages that write none apart.

Pure functions of their text. An index without a copy of its content can only forget a text that it is shown again as it was,
so a change to `indexable` needs a migration that builds the index anew.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

# Thai, Lao, Myanmar, Khmer, kana and Han are written without spaces; Korean has them.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]+)"
)
_SIGNED = re.compile(r"(?<![\w+#])([A-Za-z]\w*)(\+\+|#)(?![\w+#])")
_SIGN_NAMES = {"++": "plusplus", "#": "sharp"}
_CLITIC = re.compile(r"(?<=\w)['’](?:s|t|re|ve|ll|d|m)\b", re.IGNORECASE)

LONGEST_COMPOUND = 8


def indexable(text: str) -> str:
    """The text with a space between its words: 東京都 becomes 東京 京都 都, C++ becomes Cplusplus.

    Compatibility forms are resolved (NFKC): ligatures, which PDFs are full of, and full-width letters.
    """
    text = _resolved(text)
    return text if text.isascii() else _UNSPACED.sub(_pairs, text)


class Term(NamedTuple):
    """What a query asks for: a word, or words that stand side by side; in lower case, and none of it is any engine's syntax.

    begins: words that begin with it count as well.
    """

    words: str
    begins: bool = False


def query_terms(query: str) -> list[Term]:
    """The query's words, each once, in order. [] where there is no word.

    A compound that looks like an identifier (foo_bar, v2.3.5) is a term beside its parts, as a phrase. "Einstein's" asks for
    Einstein: an "s" would match every other possessive.
    """
    terms: dict[Term, None] = {}
    for piece in _CLITIC.sub("", _resolved(query)).lower().split():
        parts = "".join(char if _is_of_a_word(char) else " " for char in piece).split()
        if 1 < len(parts) <= LONGEST_COMPOUND and ("_" in piece or any(char.isdigit() for char in piece)):
            terms[Term(indexable(" ".join(parts)))] = None
        for part in parts:
            terms.update(dict.fromkeys(_terms_of(part)))
    return list(terms)


def _terms_of(part: str) -> Iterator[Term]:
    for at, run in enumerate(_UNSPACED.split(part)):
        if at % 2 == 0:
            yield from [Term(run)] if run else []
        elif len(run) == 1:
            yield Term(run, begins=True)  # every pair that begins with it, and itself where it ends a run
        else:
            yield from (Term(run[i : i + 2]) for i in range(len(run) - 1))


def _is_of_a_word(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char)[0] == "M"


def _resolved(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    if "++" in text or "#" in text:
        text = _SIGNED.sub(lambda found: found[1] + _SIGN_NAMES[found[2]], text)
    return text


def _pairs(run: re.Match[str]) -> str:
    text = run[0]
    return f" {' '.join(text[at : at + 2] for at in range(len(text)))} "
