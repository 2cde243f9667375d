"""Where a passage speaks of what a model noted: found in the text, never taken from the model. Pure."""

from __future__ import annotations

import re
import unicodedata

_LEAST_CHARS = 2
"""A single letter stands everywhere; a single ideograph is a word."""


def place_of(text: str, *spellings: str) -> tuple[int, int] | None:
    """(start, end) of the first spelling that the text has, where it stands first; None where it has none of them.

    Case and the kind of white space between words make no difference. Whole words only, but in scripts that don't part them.
    """
    return next((found for spelling in spellings if (found := _first(text, spelling))), None)


def _first(text: str, spelling: str) -> tuple[int, int] | None:
    words = spelling.split()
    if not words or (len(spelling.strip()) < _LEAST_CHARS and not _is_unparted(spelling)):
        return None
    pattern = r"\s+".join(map(re.escape, words))
    if not _is_unparted(words[0][0]):
        pattern = rf"(?<!\w){pattern}"
    if not _is_unparted(words[-1][-1]):
        pattern = rf"{pattern}(?!\w)"
    found = re.search(pattern, text, re.IGNORECASE)
    return found.span() if found else None


def _is_unparted(text: str) -> bool:
    """Whether a text begins with a letter of a script whose words are not parted by spaces: Chinese, Japanese, Thai and the like."""
    char = text.strip()[:1]
    return bool(char) and unicodedata.name(char, "").startswith(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"))
