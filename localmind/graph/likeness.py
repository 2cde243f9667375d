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

from localmind.graph.naming import entity_key, singular

BLOCK_CHARS = 64
MOST_CHARS = 80
"""A longer name is a sentence, and a distance between two of them costs."""

SORTED_FROM = 5
"""A block of fewer consonants keeps their order: sorted ones would be met by chance."""

LONG_LETTERS = 12
"""Of names that only sound the same."""

HEARD_LETTERS = 5
"""Of a word that only sounds the same: Marc is not Mark."""

LONG_WORD = 8
"""In which two letters changed over are a slip."""

SAME_DOUBLED = 7
"""Of a word in which a doubled letter tells nothing: Johnny is not Joni."""

LEAST_LETTERS = 6
"""Of names that differ in a letter or in a space: "a part" is not "apart"."""

# Forms of one class are written for each other. "Co" and "Company" are none: Walt Disney is not the Walt Disney Company; nor is
# KG, which earls have behind their names.
_LEGAL_CLASSES = (
    "inc incorporated corp corporation",
    "ltd limited",
    "gmbh mbh",
    "llc",
    "llp",
    "plc",
    "ag",
    "sa",
    "sarl",
    "srl",
    "bv",
    "nv",
    "kgaa",
    "oyj",
    "pty",
    "pvt",
)
_LEGAL = {form: forms.split()[0] for forms in _LEGAL_CLASSES for form in forms.split()}
_COMPANY = frozenset(("co", "company"))
_ADDRESS = re.compile(r"(?:(?:Mr|Ms|Dr|Prof|Professor|Doctor|Herr)\.?\s+)+(?=\S+\s+\S)")
_KNIGHT = re.compile(r"(?:Sir|Dame)\s+(?=\S+\s+\S)")
_RANK_WORDS = "prince princess king queen emperor empress duke duchess count countess earl saint pope lady lord sir sultan"
_RANKS = frozenset(_RANK_WORDS.split())
_GENERATION_WORDS = """
jr sr junior senior elder younger ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi
"""
_GENERATION = frozenset(_GENERATION_WORDS.split())
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

_DROPPED_BEFORE = frozenset(("mr", "ms", "dr", "prof", "professor", "doctor", "herr", "sir", "dame"))
_IDENTIFIER = re.compile(r"[_:()/@$]|\.\w")
_SOUNDS = str.maketrans({"z": "s", "c": "k", "q": "k", "w": "v", "h": None, "y": None} | dict.fromkeys("aeiou"))
_SOFT_C = re.compile(r"c(?=[eiy])")
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
    words = key.split()
    while len(words) > 1 and words[0] in _DROPPED_BEFORE:
        words = words[1:]
    while len(words) > 1 and (words[-1] in _LEGAL or words[-1] in _COMPANY):
        words = words[:-1]
    words = [singular(word) for word in _full(words)]
    digits = "".join(sorted(word for word in words if any(map(str.isdigit, word))))
    letters = "".join(word for word in words if not any(map(str.isdigit, word)))
    if letters.isascii():
        sounds = _TWICE.sub(r"\1", _SOFT_C.sub("s", letters.replace("ph", "f").replace("ck", "k")).translate(_SOUNDS))
        letters = letters if len(sounds) < 3 else "".join(sorted(sounds)) if len(sounds) >= SORTED_FROM else sounds
    return f"{letters}{digits}"[:BLOCK_CHARS]


def compare(one: Named, other: Named) -> Likeness:
    """Of two names with different keys. Symmetric."""
    if len(one.key) > MOST_CHARS or len(other.key) > MOST_CHARS or _marks(one.key.split()) != _marks(other.key.split()):
        return Likeness.DIFFERENT
    left, right = _undressed(one.name), _undressed(other.name)
    if left.legal and right.legal and left.legal != right.legal:
        return Likeness.DIFFERENT
    if left.words == right.words:
        return _differently_dressed(one, other, left, right)
    if left.words[:-1] == right.words or right.words[:-1] == left.words:
        longer = one if len(left.words) > len(right.words) else other
        is_company = entity_key(longer.name.split()[-1]) in _COMPANY and longer.name.split()[-1][:1].isupper()
        return Likeness.MAYBE if is_company else Likeness.DIFFERENT
    if "".join(left.words) == "".join(right.words):
        return _differently_spaced(one, other)
    if len(left.words) == len(right.words) and [singular(word) for word in left.words] == [singular(word) for word in right.words]:
        return Likeness.SAME if _is_term(one) and _is_term(other) else Likeness.MAYBE
    if _inverted(one.name) == right.words or _inverted(other.name) == left.words or _transliterated(one, other):
        return Likeness.SAME
    if [_folded(word) for word in left.words] == [_folded(word) for word in right.words]:
        return Likeness.SAME if (_is_term(one) and _is_term(other)) or _is_long(left.words, right.words) else Likeness.MAYBE
    if _sound_the_same(left.words, right.words) or _is_changed_over(left.words, right.words):
        return Likeness.SAME
    if min(len(one.key), len(other.key)) >= LEAST_LETTERS + 1 and _is_slip("".join(left.words), "".join(right.words)):
        return Likeness.MAYBE
    return Likeness.DIFFERENT


class _Undressed(NamedTuple):
    """words: of the key of what is left of a name. legal: the classes of its legal forms."""

    words: list[str]
    legal: tuple[str, ...]
    is_knighted: bool


@lru_cache(maxsize=20_000)
def _undressed(name: str) -> _Undressed:
    """Without forms of address and legal forms, which begin with a capital: an "American company" is not American Inc."""
    rest = _ADDRESS.sub("", name.strip())
    plain = _KNIGHT.sub("", rest)
    words = plain.split()
    legal: list[str] = []
    while len(words) > 1 and _is_written_large(words[-1]) and (form := _LEGAL.get(words[-1].strip(".,()").replace(".", "").lower())):
        legal.insert(0, form)
        words = words[:-1]
        if words[-1] in ("&", "and"):
            words = words[:-1]
    key = entity_key(" ".join(words).rstrip(","))
    return _Undressed(_full(key.split()) or [""], tuple(legal), plain != rest)


def _is_written_large(word: str) -> bool:
    """Two letters wholly: "Sa" is Saturday."""
    return word.isupper() or (word[:1].isupper() and len(word) > 2)


def _full(words: list[str]) -> list[str]:
    return [_SHORT_WORDS.get(word, word) for word in words]


def _differently_dressed(one: Named, other: Named, left: _Undressed, right: _Undressed) -> Likeness:
    """Names that differ in a legal form, a form of address, or a word's short form."""
    if left.is_knighted != right.is_knighted:  # one of many of that name
        return Likeness.MAYBE
    if len(left.words) > 1 or (left.legal and right.legal):
        return Likeness.SAME
    if not left.legal and not right.legal:
        return Likeness.MAYBE
    bare = one if not left.legal else other
    # An apple is no company, and "Jackson" may be anybody: a word alone has to look like a company's, or be told by its neighbours.
    return Likeness.SAME if bare.name.isupper() or bare.type in ("organisation", "technology", "product") else Likeness.MAYBE


def _differently_spaced(one: Named, other: Named) -> Likeness:
    """ "Web site" and "website", "Red Hat" and "RedHat"; but Georgetown is not George Town, and get_source() not a "get source"."""
    joined = [re.sub(r"[\s\-‐-―]+", "", named.name) for named in (one, other)]
    if any(_IDENTIFIER.search(named.name) for named in (one, other)) or min(map(len, joined)) < LEAST_LETTERS:
        return Likeness.MAYBE
    is_plain = all(map(_is_term, (one, other))) and joined[0][:1].isupper() == joined[1][:1].isupper()
    is_camel = joined[0] == joined[1] and any(map(str.isupper, joined[0][1:])) and not joined[0].isupper()
    return Likeness.SAME if is_plain or is_camel else Likeness.MAYBE


def _sound_the_same(left: list[str], right: list[str]) -> bool:
    """Elisabeth and Elizabeth, Nicolaus and Nikolaus, in names long enough to be nobody else's."""
    if not _is_long(left, right) or any(a != b and min(len(a), len(b)) < HEARD_LETTERS for a, b in zip(left, right, strict=True)):
        return False
    return [_sound(word) for word in left] == [_sound(word) for word in right]


def _is_long(left: list[str], right: list[str]) -> bool:
    """So long that a difference that can't be heard makes no other name of it. "Prince Henry" is one of many."""
    letters = min(len("".join(left)), len("".join(right)))
    return len(left) == len(right) and len(left) > 1 and letters >= LONG_LETTERS and left[0] not in _RANKS


def _is_changed_over(left: list[str], right: list[str]) -> bool:
    """Two neighbours changed over inside a long word: "Consoritum". At a word's end that makes names: Cristina, Cristian."""
    if len(left) != len(right):
        return False
    different = [(a, b) for a, b in zip(left, right, strict=True) if a != b]
    if len(different) != 1 or len(different[0][0]) != len(different[0][1]) or len(different[0][0]) < LONG_WORD:
        return False
    one, other = different[0]
    places = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    return len(places) == 2 and 0 < places[0] == places[1] - 1 < len(one) - 3 and sorted(one) == sorted(other)


@lru_cache(maxsize=20_000)
def _sound(word: str) -> str:
    if not word.isascii() or len(word) < 4:
        return word
    sound = _SOFT_C.sub("s", word.replace("ph", "f").replace("ck", "k")).replace("c", "k").replace("z", "s").replace("y", "i")
    sound = sound[0] + sound[1:].replace("h", "")
    return _TWICE.sub(r"\1", sound) if len(word) >= SAME_DOUBLED else sound


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
    return not any(map(str.isupper, named.name[1:])) and named.type == "concept"


def _inverted(name: str) -> list[str]:
    """ "Smith, John" as the words of "John Smith"; [] for anything else."""
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
