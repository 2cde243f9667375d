"""Entities and relations without an LLM: names, terms and identifiers of a chunk, related where they share a sentence.

It knows no dictionary of the world: a capital, a repetition, a heading and what parts words tell what a text is about.
Pure Python over one pass of a regular expression: 0.5 ms a chunk, where embedding it takes ten.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations

from localmind.extraction.candidates import Candidate, candidates
from localmind.extraction.kinds import kind_of
from localmind.extraction.lexicon import Language, lexicon
from localmind.extraction.port import ExtractionResult, Passage
from localmind.extraction.subjects import names_something, subjects, takes_up, without_disambiguation
from localmind.extraction.tokens import Kind, Token, tokens
from localmind.graph.naming import entity_key
from localmind.model import MOST_PASSING, ExtractedEntity, ExtractedRelation, Extraction

MOST_ENTITIES = 16
MOST_RELATIONS = 12
FEW_ENTITIES = 6  # up to so many are filled up with what is named once in passing
CLEAR_SCORE = 0.6
MOST_TITLE_WORDS = 30
MOST_NAME_WORDS = 6
MOST_QUERY_NAMES = 120
MOST_QUERY_WORDS = 8

_SHORT_FORM = re.compile(r"\(([^\W\d_][\w&-]{1,9})\)")
_LONG_FORM = re.compile(r"(?<![\w-])([A-Z][A-Za-z&-]{0,8}[A-Z][A-Za-z]?) \(([^\W\d_][^()\n]{6,80})\)")
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]{2,}")
_ANY_WORD = re.compile(r"[^\W_]+")
_SENTENCE_END = re.compile(r"[.;:!?()]|\n\n")


class KeyphraseExtractor:
    """At most 16 entities beside the chunk's subjects (5 at most), and 12 relations, heaviest first.

    Deterministic; a chunk's result depends on nothing else.
    """

    version = "keyphrase-2"
    costly = False

    def extract(self, passages: Sequence[Passage]) -> list[ExtractionResult]:
        return [ExtractionResult(_extract(passage)) for passage in passages]


def _extract(passage: Passage) -> Extraction:
    read = tokens(passage.text)
    language = _language(read)
    found = candidates(read, language)
    _weigh_titles(passage, found)
    pairs = _abbreviations(passage.text, found)
    about = subjects(passage, read, found, language)
    chosen = _choose(found) | {key: found.setdefault(key, candidate) for key, (candidate, _) in about.items()}
    weights = {key: min(candidate.score, MOST_PASSING) for key, candidate in chosen.items()}
    weights |= {key: weight for key, (_, weight) in about.items()}
    entities = tuple(
        ExtractedEntity(found.name, kind_of(found.name, proper=found.proper), weight=round(weights[key], 2))
        for key, found in sorted(chosen.items(), key=lambda item: -weights[item[0]])
    )
    return Extraction(entities, _relations(chosen, pairs))


def _language(read: Sequence[Token]) -> Language:
    return lexicon().language(token.text.lower() for token in read if token.kind <= Kind.CAPITAL)


def _choose(found: Mapping[str, Candidate]) -> dict[str, Candidate]:
    """The heaviest, ties by their order in the text."""
    ranked = sorted(found.items(), key=lambda item: -item[1].score)[:MOST_ENTITIES]
    clear = sum(candidate.score >= CLEAR_SCORE for _, candidate in ranked)
    return dict(ranked[: max(clear, FEW_ENTITIES)])


def _weigh_titles(passage: Passage, found: dict[str, Candidate]) -> None:
    """What the title or the heading names and the text takes up is what the chunk is about; so are the two themselves."""
    above = {key for text in (passage.title, passage.heading) for key in _keys_within(text)}
    for key, candidate in found.items():
        if key in above:
            candidate.score *= 1.5
    title = without_disambiguation(passage.title)
    heading = passage.heading.rsplit("›", 1)[-1].strip()
    if takes_up(passage.text, title):
        _add_title(title, found)
    _add_title(heading, found)


@lru_cache(maxsize=256)  # the same for every chunk of a section
def _keys_within(text: str) -> frozenset[str]:
    words = text.replace("›", " ").split()[:MOST_TITLE_WORDS]
    rows = (" ".join(words[at : at + length]) for length in (1, 2, 3, 4) for at in range(len(words) - length + 1))
    return frozenset(map(entity_key, rows))


def _add_title(text: str, found: dict[str, Candidate]) -> None:
    """A title or heading that is short enough to name something."""
    words, language = text.split(), lexicon().english
    if not names_something(text, words=MOST_NAME_WORDS):
        return
    if key := entity_key(text):
        proper = all(word[0].isupper() for word in words if word.lower() not in language.breaks)
        known = found.setdefault(key, Candidate(text, len(words), proper))
        known.proper |= proper
        known.score = max(known.score, 1.5)


def _abbreviations(text: str, found: dict[str, Candidate]) -> list[tuple[str, str]]:
    """Pairs of keys, short and long: "Message Queue (MQ)", "MQ (message queue)". Both become candidates."""
    if "(" not in text:
        return []
    pairs = [
        (match[1], long)
        for match in _SHORT_FORM.finditer(text)
        if not match[1].islower() and (long := _spelled_out(match[1], text[max(0, match.start() - 120) : match.start()]))
    ]
    pairs += [(match[1], match[2]) for match in _LONG_FORM.finditer(text) if _spelled_out(match[1], match[2]) == match[2]]
    keys = []
    for short, long in pairs:
        pair = (entity_key(short), entity_key(long))
        if pair[0] and pair[1] and pair[0] != pair[1]:
            for key, name in zip(pair, (short, long), strict=True):
                known = found.setdefault(key, Candidate(name, name.count(" ") + 1, name[0].isupper()))
                known.score = max(known.score, 1.0) + 0.5
            keys.append(pair)
    return keys


def _spelled_out(short: str, before: str) -> str | None:
    """The last words of `before` that the letters of `short` begin, small words between them left out; None without such."""
    letters = [letter.lower() for letter in short.rstrip("s") if letter.isalpha()]
    words = list(_ANY_WORD.finditer(before))
    small = lexicon().english.function
    at = len(words)
    for letter in reversed(letters):
        at -= 1
        while at > 0 and words[at][0][0].lower() != letter and words[at][0].lower() in small:
            at -= 1
        if at < 0 or words[at][0][0].lower() != letter:
            return None
    long = before[words[at].start() :].strip() if len(letters) > 1 else ""
    return " ".join(long.split()) if long and not _SENTENCE_END.search(long) else None


def _relations(chosen: Mapping[str, Candidate], pairs: Sequence[tuple[str, str]]) -> tuple[ExtractedRelation, ...]:
    """Those that share a sentence; the fewer share it, the more it says. Weight also grows with both scores."""
    by_sentence: defaultdict[int, list[str]] = defaultdict(list)
    for key, candidate in chosen.items():
        for sentence in dict.fromkeys(candidate.sentences):
            by_sentence[sentence].append(key)
    shared: defaultdict[tuple[str, str], float] = defaultdict(float)
    for keys in by_sentence.values():
        for pair in combinations(keys, 2):
            shared[pair] += 1 / (len(keys) - 1)
    abbreviations = {(short, long) for short, long in pairs if short in chosen and long in chosen}
    known = [ExtractedRelation(chosen[short].name, chosen[long].name, "abbreviation", weight=2.0) for short, long in sorted(abbreviations)]
    weighed = [
        (math.sqrt(chosen[one].score * chosen[other].score) * share, one, other)
        for (one, other), share in shared.items()
        if (one, other) not in abbreviations and (other, one) not in abbreviations
    ]
    weighed.sort(key=lambda item: (-item[0], item[1], item[2]))
    together = [
        ExtractedRelation(chosen[one].name, chosen[other].name, weight=round(weight, 2)) for weight, one, other in weighed if weight > 0
    ]
    return (*known, *together)[:MOST_RELATIONS]


def query_names(query: str) -> list[str]:
    """Names that a query may mean, for Graph.link: names and terms in it, and its rows of up to 8 words; longest first, at most 120.

    Rows of stop words alone are left out, unless capitals make a name of them ("Changed It"). Case does not matter otherwise.
    """
    read = tokens(query)
    found = candidates(read, _language(read))
    words = [token.text for token in read if token.kind < Kind.BREAK]
    rows = (words[at : at + length] for length in range(1, MOST_QUERY_WORDS + 1) for at in range(len(words) - length + 1))
    names: dict[str, str] = {}
    unspaced = _unspaced_rows(query)
    for name in (*(candidate.name for candidate in found.values()), *(" ".join(row) for row in rows if _may_name(row)), *unspaced):
        key = entity_key(name)
        if len(key) > 1 and len(names) < MOST_QUERY_NAMES:
            names.setdefault(key, name)
    return sorted(names.values(), key=lambda name: -name.count(" "))


def _unspaced_rows(query: str) -> Iterator[str]:
    """Of scripts that write no spaces, every row of 2 to 8 characters: where a name begins and ends the graph knows."""
    for match in _UNSPACED.finditer(query):
        run = match[0]
        for length in range(2, MOST_QUERY_WORDS + 1):
            yield from (run[at : at + length] for at in range(len(run) - length + 1))


def _may_name(row: Sequence[str]) -> bool:
    empty = lexicon().english.breaks
    return not all(word.lower() in empty or len(word) < 2 for word in row) or (len(row) > 1 and all(word[0].isupper() for word in row))
