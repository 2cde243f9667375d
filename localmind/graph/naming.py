"""The normal form under which names are merged: "The Data-Frames" and "data frame" are one entity."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_POSSESSIVE = re.compile(r"(?<=[^\W_])'s(?![^\W_])|(?<=s)'(?![^\W_])")
_ELISION = re.compile(r"^(?:l|d|dell|all|nell|sull|un)'(?=[^\W_]{2})")  # l'Oréal, dell'Arte
_ABBREVIATION = re.compile(r"(?<![^\W_])[^\W\d_](?:\.[^\W\d_])+(?![^\W_])\.?")  # u.s.a.
_DECIMAL = re.compile(r"(?<=\d)\.(?=\d)")
_SPACED_INITIALS = re.compile(r"(?<!\S)[a-z](?: [a-z](?!\S))+")  # j r r tolkien
_NUMBERED = re.compile(r"(?<=[^\W\d_]) (?=\d)")  # covid 19, windows 10
_ARTICLE = re.compile(r"^(?:the (?=\S)|an? (?=\S+ \S))")  # "a team" keeps its a, since "A-Team" must
_PLURAL = re.compile(r"(?<![^ ])[a-z]{3,}s$")
_ACCENTS = re.compile("(?<=[a-z\u0370-\u03ff])[\u0300-\u036f]+|(?<=\u0435)\u0308")  # й is a letter of its own, ё is written е

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ŀ": "l"})
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´′", "'"))

# Words that mean something else without their s, then surnames that are another name without it.
_NOT_PLURAL = """
windows news series species sales goods customs arms means times always perhaps besides does goes towards afterwards overseas
adams andrews brooks banks burns collins daniels edwards evans fields gates gibbs hopkins jacobs james jones marks matthews myers
nichols parks parsons perkins peters phillips richards rivers roberts rogers saunders simmons simons stephens stevens summers
walters waters watkins wells williams woods mars
https ftps smtps imaps ldaps corps
"""
_NO_PLURALS = frozenset(_NOT_PLURAL.split())
_ACRONYMS = frozenset({"apis", "guis", "clis"})


class _Separators(dict[int, str]):
    """For str.translate: letters, digits, marks and what `kept` holds stay, everything else becomes a space. Filled as it is asked."""

    kept = frozenset("+#'.")

    def __missing__(self, code: int) -> str:
        char = chr(code)
        value = char if unicodedata.category(char)[0] in "LNM" or char in self.kept else " and " if char == "&" else " "
        self[code] = value
        return value


_SEPARATORS = _Separators()


@lru_cache(maxsize=100_000)
def entity_key(name: str) -> str:
    """Names with equal keys are one entity. Idempotent; "" only for a name without a letter or digit.

    Case, accents, punctuation, hyphens, a leading article, possessives and an English plural at the end make no difference.
    Letters of other scripts are kept.
    """
    key = name
    while (shorter := _simplify(key)) != key:
        key = shorter
    # Some Arabic and Japanese compatibility letters dissolve into marks alone.
    return key if key or not any(map(str.isalnum, name)) else name.casefold()


def _simplify(name: str) -> str:
    text = name.casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS))
        text = unicodedata.normalize("NFKC", _ACCENTS.sub("", text)).translate(_APOSTROPHES)
    text = _words(text)
    if not any(map(str.isalnum, text)):
        return ""
    return singular(_without_article(text))


def _words(text: str) -> str:
    """Words parted by one space, without punctuation."""
    text = text.replace("`", "'")
    if "'" in text:
        text = _ELISION.sub("", _POSSESSIVE.sub("", text.strip()))
    text = text.translate(_SEPARATORS).replace("'", "")
    if "." in text:
        text = _ABBREVIATION.sub(lambda match: match[0].replace(".", ""), text)
        text = _DECIMAL.sub("\0", text).replace(".", " ").replace("\0", ".")
    text = " ".join(text.split())
    return _NUMBERED.sub("", _SPACED_INITIALS.sub(lambda match: match[0].replace(" ", ""), text))


def _without_article(text: str) -> str:
    return _ARTICLE.sub("", text, count=1)


def singular(text: str) -> str:
    """Only where it is safe: the last word's plain -s, -es and -ies."""
    match = _PLURAL.search(text)
    if match and match[0] in _ACRONYMS:
        return text[:-1]
    if match is None or match[0] in _NO_PLURALS or match[0][-2] in "sui":
        return text
    word = match[0]
    if word.endswith("ies") and len(word) > 5:
        return f"{text[:-3]}y"
    if word.endswith(("sses", "xes", "shes", "tches", "nches", "rches", "oaches", "eaches", "zzes")):
        return text[:-2]
    return text[:-1]
