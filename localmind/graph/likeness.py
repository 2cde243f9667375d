"""Whether two names may be spellings of one thing, from the names alone. Pure; what surrounds them is weighed elsewhere.

Careful by design: a wrong merge makes two things one for every reader, a missed one leaves what there was. So numbers, versions,
years, single letters and generational suffixes have to be the same, "Acme Ltd" is not "Acme GmbH", and nothing is ever left out of
a name but legal forms and forms of address: "Paris, Texas" is not "Paris".
"""

from __future__ import annotations

import re
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from localmind.graph.naming import singular

BLOCK_CHARS = 64
MOST_CHARS = 80
"""A longer name is a sentence, and a distance between two of them costs."""

SORTED_FROM = 5
"""A block of fewer consonants keeps their order: sorted ones would be met by chance."""

LEAST_LETTERS = 6
"""Of names that differ in a letter or in a space: "a part" is not "apart"."""

# Forms of one class are written for each other.
_LEGAL_CLASSES = (
    "inc incorporated corp corporation",
    "co company",
    "ltd limited",
    "gmbh mbh",
    "llc",
    "llp",
    "plc",
    "ag",
    "sa",
    "sas",
    "sarl",
    "srl",
    "spa",
    "bv",
    "nv",
    "kg",
    "kgaa",
    "oyj oy",
    "ab",
    "pty",
    "pvt",
    "kk",
)
_LEGAL = {form: forms.split()[0] for forms in _LEGAL_CLASSES for form in forms.split()}
_ADDRESS = frozenset(["mr", "mrs", "ms", "dr", "prof", "professor", "sir", "dame", "herr", "frau", "monsieur", "madame", "senor", "senora"])
_GENERATION = frozenset(
    [
        "jr",
        "sr",
        "junior",
        "senior",
        "elder",
        "younger",
        "ii",
        "iii",
        "iv",
        "v",
        "vi",
        "vii",
        "viii",
        "ix",
        "x",
        "xi",
        "xii",
        "xiii",
        "xiv",
        "xv",
        "xvi",
    ]
)
_SHORT_WORDS = {
    "univ": "university",
    "dept": "department",
    "intl": "international",
    "natl": "national",
    "assoc": "association",
    "bros": "brothers",
    "govt": "government",
    "mt": "mount",
}

_SOUNDS = str.maketrans({"z": "s", "c": "k", "q": "k", "w": "v", "h": None, "y": None} | dict.fromkeys("aeiou"))
_TWICE = re.compile(r"(.)\1+")
_LATIN = re.compile(r"[a-z]+")
_FOLDS = (  # British to American, at a word's end or inside it
    (re.compile(r"is(?=(?:e|es|ed|er|ers|ing|ation|ations|able)$)"), "iz"),
    (re.compile(r"ys(?=(?:e|es|ed|er|ing)$)"), "yz"),
    (re.compile(r"(?<=[^\W\d_]{2})our(?!s?e)"), "or"),
    (re.compile(r"(?<=[tbh])re$"), "er"),
    (re.compile(r"ogue$"), "og"),
    (re.compile(r"gramme$"), "gram"),
    (re.compile(r"enc(?=e$)"), "ens"),
    (re.compile(r"ll(?=ed$|ing$|er$)"), "l"),
    (re.compile(r"(?<=.)[ao]e"), "e"),
)
_UMLAUTS = (("ae", "a"), ("oe", "o"), ("ue", "u"))


class Likeness(IntEnum):
    DIFFERENT = 0
    MAYBE = 1
    """The names allow it: what they stand among decides."""
    SAME = 2


class Named(NamedTuple):
    """key: entity_key(name)."""

    key: str
    name: str
    type: str


@lru_cache(maxsize=100_000)
def block_of(key: str) -> str:
    """What spellings of one name share: its consonants, without legal forms, forms of address, spaces, order and doubled letters.

    "" for what is too long to be a name. Two names with one block may still be anything but the same.
    """
    if len(key) > MOST_CHARS:
        return ""
    words = [singular(_SHORT_WORDS.get(word, word)) for word in _core(key)]
    digits = "".join(sorted(word for word in words if any(map(str.isdigit, word))))
    letters = "".join(word for word in words if not any(map(str.isdigit, word)))
    if letters.isascii():
        sounds = _TWICE.sub(r"\1", letters.replace("ph", "f").replace("ck", "k").translate(_SOUNDS))
        letters = letters if len(sounds) < 3 else "".join(sorted(sounds)) if len(sounds) >= SORTED_FROM else sounds
    return f"{letters}{digits}"[:BLOCK_CHARS]


def compare(one: Named, other: Named) -> Likeness:
    """Of two names with different keys. Symmetric."""
    first, second = one.key.split(), other.key.split()
    if len(one.key) > MOST_CHARS or len(other.key) > MOST_CHARS or _marks(first) != _marks(second):
        return Likeness.DIFFERENT
    legal = _legal_of(one.key), _legal_of(other.key)
    if legal[0] and legal[1] and legal[0] != legal[1]:
        return Likeness.DIFFERENT
    left, right = ([_SHORT_WORDS.get(word, word) for word in _core(key)] for key in (one.key, other.key))
    if left == right:
        return _differently_dressed(one, other, left)
    if "".join(left) == "".join(right):
        return Likeness.SAME if len("".join(left)) >= LEAST_LETTERS else Likeness.MAYBE
    if len(left) == len(right) and [singular(word) for word in left] == [singular(word) for word in right]:
        return Likeness.SAME if _is_term(one) and _is_term(other) else Likeness.MAYBE
    if _inverted(one.name) == right or _inverted(other.name) == left:
        return Likeness.SAME
    if _transliterated(one, other):
        return Likeness.SAME
    if [_folded(word) for word in left] == [_folded(word) for word in right]:
        return Likeness.SAME if _is_term(one) and _is_term(other) else Likeness.MAYBE
    if min(len(one.key), len(other.key)) >= LEAST_LETTERS + 1 and _is_slip("".join(left), "".join(right)):
        return Likeness.MAYBE
    return Likeness.DIFFERENT


def _differently_dressed(one: Named, other: Named, core: list[str]) -> Likeness:
    """Names that differ in a legal form or a form of address."""
    if len(core) > 1:
        return Likeness.SAME
    if not core or _is_addressed(one.key) or _is_addressed(other.key):  # "Dr. Smith" is one of many
        return Likeness.MAYBE
    bare = one if one.key == core[0] else other
    # An apple is no company, and "Jackson" may be anybody.
    if not bare.name[:1].isupper() or bare.type in ("person", "place", "concept", "event"):
        return Likeness.MAYBE
    return Likeness.SAME


def _core(key: str) -> list[str]:
    words = key.split()
    while len(words) > 1 and words[0] in _ADDRESS:
        words = words[1:]
    return _without_legal(words)


def _without_legal(words: list[str]) -> list[str]:
    end = len(words)
    while end > 1 and (words[end - 1] in _LEGAL or (words[end - 1] == "and" and end < len(words))):
        end -= 1
    return words[:end]


@lru_cache(maxsize=10_000)
def _legal_of(key: str) -> tuple[str, ...]:
    words = key.split()
    return tuple(_LEGAL[word] for word in words[len(_without_legal(words)) :] if word in _LEGAL)


def _is_addressed(key: str) -> bool:
    return key.split()[0] in _ADDRESS


def _marks(words: list[str]) -> list[str]:
    """What has to be the same: numbers, single letters, generations, and signs that are part of a name (C++, C#)."""
    found = []
    for word in words:
        digits = re.sub(r"\D+", " ", word).split()
        found += digits
        if (len(word) == 1 and not digits) or word in _GENERATION or "+" in word or "#" in word:
            found.append(word)
    return sorted(found)


def _is_term(named: Named) -> bool:
    """Written small: a word for a kind of thing, of which spelling is a matter of taste."""
    return not any(map(str.isupper, named.name[1:])) and named.type in ("concept", "technology")


def _inverted(name: str) -> list[str]:
    """ "Smith, John" as the words of "John Smith"; [] for anything else."""
    from localmind.graph.naming import entity_key

    parts = name.split(",")
    if len(parts) != 2 or len(parts[0].split()) > 2 or len(parts[1].split()) > 2 or not parts[1].strip()[:1].isupper():
        return []
    return entity_key(f"{parts[1]} {parts[0]}").split()


def _transliterated(one: Named, other: Named) -> bool:
    """Müller and Mueller: one of the two has the letter."""
    for marked, written in ((one, other), (other, one)):
        if set("äöüÄÖÜøØåÅ") & set(marked.name):
            plain = written.key
            for pair, letter in _UMLAUTS:
                plain = plain.replace(pair, letter)
            bare = marked.key
            for pair, letter in _UMLAUTS:
                bare = bare.replace(pair, letter)
            if plain == bare:
                return True
    return False


@lru_cache(maxsize=10_000)
def _folded(word: str) -> str:
    if len(word) >= 5 and _LATIN.fullmatch(word):
        for pattern, to in _FOLDS:
            word = pattern.sub(to, word)
    return word


def _is_slip(one: str, other: str) -> bool:
    """One letter more, less or another, or two neighbours changed over; the first letter is the same."""
    if abs(len(one) - len(other)) > 1 or one[:1] != other[:1]:
        return False
    if len(one) == len(other):
        places = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        if len(places) == 1:
            return True
        return (
            any(
                (at, after) == (places[0], places[-1]) and after == at + 1 and one[at] == other[after] and one[after] == other[at]
                for at, after in pairwise(places)
            )
            and len(places) == 2
        )
    short, long = sorted((one, other), key=len)
    return any(long[:at] + long[at + 1 :] == short for at in range(len(long)))
