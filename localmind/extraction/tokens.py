"""A text as words, identifiers, numbers and the breaks between them: what candidates for entities are made of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from localmind.extraction.lexicon import lexicon


class Kind(IntEnum):
    LOWER = 0  # a word in lower case
    CAPITAL = 1  # a word with a capital somewhere, or a name's initial
    CODE = 2  # an identifier: data.frame, read_csv, lm()
    NUMBER = 3
    BREAK = 4  # punctuation within a sentence
    END = 5  # a sentence's end


class Token(NamedTuple):
    """opens: it stands where any word has a capital (a sentence's first, after a colon)."""

    kind: Kind
    text: str
    opens: bool


# Marks of Indic scripts, Thai and Arabic belong to words, though \w does not know them.
_MARKS = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0981-\u0983\u09bc-\u09cd\u0b82\u0bbe-\u0bcd\u0e31-\u0e4e"
_LETTER = rf"[^\W_]|[{_MARKS}]"
_TOKEN = re.compile(
    rf"""
      (?P<skip>(?:https?|ftp|file)://\S+ | www\.\S+ | (?<![\w.+-])[\w.+-]++@\w[\w.-]*)
    | (?P<code>(?<![\w.:])[A-Za-z_][\w.]*+(?::::?[\w.]++)*+(?=\((?!e?s\)|\s))    # a call, but not parameter(s) or Smith( born 1911)
              | (?<![\w.:])[A-Za-z]\w++(?:(?:\.|:::?)[A-Za-z_]\w++)++(?![.]\w)   # data.frame, std::vector
              | (?<![\w.:])[A-Za-z]+_\w++)                                      # read_csv
    | (?P<dotted>(?<!\w)(?:[^\W\d_a-z]\.){{2,}}+(?:[^\W\d_a-z](?!\w))?)         # U.S.A., J.R.
    | (?P<initial>(?<!\w)[^\W\d_a-z]\.(?=\s+[^\W\d_a-z])                       # J. Smith
                  | (?<![\w.])(?<=[^\W\d_A-Z]\ )[a-z]\.(?=\ [a-z]{{2}}))                # noel m. smith
    | (?P<title>(?<!\w)(?:Dr|Mr|Mrs|Ms|Prof|St|Mt|Gen|Col|Capt|Lt|Sgt|Rev|Hon)\.(?=\s+[^\W\d_a-z]))
    | (?P<elided>(?<!\w)(?:qu|[ldnsjtcm]|dell|dall|nell|sull|all|un)['’](?=\w) | (?<!\w)[LD]['’](?=[^\W\d_A-Z]))  # l'eau
    | (?P<number>\d[\d.,:/–-]*(?<![.,:/–-])[A-Za-z%°]*)
    | (?P<word>[^\W\d_](?:{_LETTER})*+(?:[-'’&·‑](?:{_LETTER})++)*+(?:\+\+|\#(?!\w))?)
    | (?P<end>\n\s*\n | [。！？]+)
    | (?P<line>\n)
    | (?P<punctuation>[^\w\s]+)
    """,
    re.VERBOSE,
)
_CODE_LINE = re.compile(r"^[^\n]*(?:<-|==|\+=|=>|[{};][ \t]*$|^[ \t]*(?:[>$]|>>>|#)[ \t])[^\n]*$", re.MULTILINE)
_CALL = re.compile(r"(?<![\w.:])[A-Za-z_][\w.]*+(?:::[\w.]++)*+(?=\()")
_LEADERS = re.compile(r"(?:\.[ \t]?){4,}\d*")  # the dots of a table of contents
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff]")
_KANA = re.compile("[\u3040-\u30ff]")
_JAPANESE = re.compile("[\u3400-\u9fff々]{2,}|[\u30a1-\u30faー]{2,}|[A-Za-z0-9]{2,}")
_CHINESE = re.compile(
    "[^的是了在和与與及或等也有这那這之为為以于於从從到对對将將被把个個一不就都而其并並由使用需要进行進行可以通过通過]{2,}"
)
_FULL_STOPS = frozenset(".!?…")
_OPENERS = re.compile(r"[:;•●▪–—|*#>]|^[\"“„«(\[]")


def tokens(text: str) -> list[Token]:
    """In the text's order. Lines of program code give their calls alone, addresses nothing."""
    if "(" in text or "<-" in text or "{" in text:
        text = _CODE_LINE.sub(lambda line: " ; ".join(f"{call}()" for call in _CALL.findall(line[0])) + " .", text)
    if "...." in text or ". . ." in text:
        text = _LEADERS.sub(" .\n\n", text)
    found: list[Token] = []
    opens, line_start = True, 0
    japanese = _KANA.search(text) is not None
    short_line = 0.6 * max(map(len, text.split("\n")))
    for match in _TOKEN.finditer(text):
        group, word = match.lastgroup, match[0]
        if group == "word":
            if word[0] > "\u2fff" and _CJK.search(word):
                found.extend(_cjk_words(word, _JAPANESE if japanese else _CHINESE))
                continue
            found.append(Token(Kind.LOWER if word.islower() or not _has_capital(word) else Kind.CAPITAL, word, opens))
            opens = False
        elif group == "elided":
            found.append(Token(Kind.BREAK, word, False))
        elif group == "punctuation":
            ends = _ends_sentence(word, text[match.end() : match.end() + 1], found)
            found.append(Token(Kind.END if ends else Kind.BREAK, word, False))
            opens = ends or _OPENERS.search(word) is not None
        elif group == "end":
            found.append(Token(Kind.END, word, False))
            opens, line_start = True, match.end()
        elif group == "line":
            if _line_ends_sentence(text, match.start(), short=match.start() - line_start < short_line):
                found.append(Token(Kind.END, word, False))
                opens = True
            line_start = match.end()
        elif group in ("dotted", "initial"):
            found.append(Token(Kind.LOWER if word.islower() else Kind.CAPITAL, word, False))
            opens = False
        elif group == "title":
            found.append(Token(Kind.CAPITAL if word in ("St.", "Mt.") else Kind.BREAK, word, False))
            opens = False
        elif group == "skip":
            found.append(Token(Kind.BREAK, "", False))
        else:
            kind = Kind.NUMBER if group == "number" else Kind.CODE
            called = kind == Kind.CODE and text[match.end() : match.end() + 1] == "("
            found.append(Token(kind, f"{word}()" if called else word, opens))
            opens = opens and kind == Kind.NUMBER  # 2.4 Logical vectors
    return found


def _cjk_words(run: str, words: re.Pattern[str]) -> Iterator[Token]:
    """Chinese and Japanese write no spaces. Kana between kanji are grammar, katakana are words; in Chinese particles part words."""
    for match in words.finditer(run):
        yield Token(Kind.LOWER, match[0], False)
        yield Token(Kind.BREAK, "", False)


def _has_capital(word: str) -> bool:
    return any(map(str.isupper, word))


def _ends_sentence(mark: str, following: str, before: Sequence[Token]) -> bool:
    if mark.rstrip("\"'”’»)]")[-1:] not in _FULL_STOPS or not (following == "" or following.isspace()):
        return False
    return mark[0] != "." or not before or before[-1].text.lower() not in lexicon().abbreviations


def _line_ends_sentence(text: str, at: int, *, short: bool) -> bool:
    """A short line before a capital, a digit or a bullet is a heading or an item of a list; others are wrapped prose."""
    following = text[at + 1 : at + 2]
    return not following.isalnum() or (short and not following.islower())
