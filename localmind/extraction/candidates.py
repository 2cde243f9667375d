"""What a chunk may speak of: proper names, identifiers and terms, each with where it stands. Pure.

A run is a row of words that no stop word, verb or punctuation parts. Capitalised words in it are names; the run itself is a
term. Rows of one to three words that come back within other runs are terms too (the idea of RAKE's word degree: Rose et al.,
Automatic keyword extraction from individual documents, 2010).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from localmind.extraction.lexicon import Language, lexicon
from localmind.extraction.tokens import Kind, Token
from localmind.graph.naming import entity_key

MOST_NAME_WORDS = 8
MOST_TERM_WORDS = 4
NAME_WORDS = 2  # at either end of a run, where no capital tells the name: "der schweizer ingenieur maurice koechlin"
MOST_CHARS = 100

CAPITALS = 50
"""A text with fewer capitalised words than one in so many is written without capitals."""

_POSSESSIVES = ("'s", "’s", "s'", "s’")


@dataclass(slots=True)
class Candidate:
    """name: as first written. sentences: one number an occurrence. score: > 0, how much the chunk is about it."""

    name: str
    words: int
    proper: bool
    sentences: list[int] = field(default_factory=list)
    score: float = 0.0


def candidates(tokens: Sequence[Token], language: Language) -> dict[str, Candidate]:
    """By entity_key, in order of first appearance."""
    pool = _Pool(language, cased=_is_cased(tokens))
    for run, sentence in _runs(tokens, language):
        pool.take(run, sentence)
    return pool.result()


def _is_cased(tokens: Sequence[Token]) -> bool:
    """Whether capitals tell names: not in a script without them, nor in a text that is written without."""
    words = sum(token.kind <= Kind.CAPITAL for token in tokens)
    return CAPITALS * sum(token.kind == Kind.CAPITAL for token in tokens) >= words


def _runs(tokens: Sequence[Token], language: Language) -> Iterator[tuple[list[Token], int]]:
    """Rows of words, with the number of their sentence."""
    run: list[Token] = []
    sentence = 0
    last = len(tokens) - 1
    for at, token in enumerate(tokens):
        following = tokens[at + 1] if at < last else _NOTHING
        if _belongs(token, following, run, tokens, at, language):
            run.append(token)
            if not (token.text.endswith(_POSSESSIVES) and (following.kind == Kind.CAPITAL or token.kind == Kind.LOWER)):
                continue
        if run:
            yield run, sentence
            run = []
        if token.kind == Kind.END:
            sentence += 1
    if run:
        yield run, sentence


def _belongs(token: Token, following: Token, run: Sequence[Token], tokens: Sequence[Token], at: int, language: Language) -> bool:
    kind, text, opens = token
    if kind > Kind.CAPITAL:
        return kind == Kind.CODE or (kind == Kind.NUMBER and _numbers_name(run, text, following, language))
    lower = text.lower()
    if (
        lower in language.breaks
        or (kind == Kind.LOWER and lower in lexicon().connectors)
        or (language.code == "en" and lower.endswith("ly") and len(lower) > 4 and lower not in lexicon().not_adverbs)
    ):
        starts_name = following.kind == Kind.CAPITAL and lower in language.adjectives if opens else lower not in language.function
        if kind == Kind.CAPITAL and starts_name:
            return True  # New York, the Great War
        return _joins_name(run, token, tokens, at)
    if lower in lexicon().captions and (following.kind == Kind.NUMBER or (kind == Kind.CAPITAL and not run)):
        return False  # Table 3, see section 4; but Visual Studio Code
    return len(text) > 1 or kind == Kind.CAPITAL


_NOTHING = Token(Kind.END, "", False)


def _joins_name(run: Sequence[Token], token: Token, tokens: Sequence[Token], at: int) -> bool:
    """Duke of Wellington, The Lord of the Rings, Gone With the Wind: a stop word between two parts of one name."""
    if not run or (run[-1].kind != Kind.CAPITAL and run[-1].text.lower() not in lexicon().connectors):
        return False
    word = token.text.lower()
    if token.kind == Kind.LOWER and (
        word not in lexicon().connectors or (word == "for" and run[-1].text.lower() not in lexicon().takes_for)
    ):
        return False
    for after in tokens[at + 1 : at + 3]:
        if after.kind == Kind.CAPITAL:
            return not after.opens and after.text.lower() not in lexicon().kinds["organisation"]  # Smith of the University
        if after.text.lower() not in lexicon().connectors:
            return False
    return False


def _numbers_name(run: Sequence[Token], number: str, following: Token, language: Language) -> bool:
    """Windows 10, Apollo 11; but not "in Paris 30 people" or "Table 3"."""
    if not run or run[-1].kind != Kind.CAPITAL or len(number) > 3 or not number.isdecimal():
        return False
    return following.kind != Kind.LOWER or following.text.lower() in language.breaks


def _without_verbs(run: Sequence[Token]) -> Iterator[list[Token]]:
    """German adjectives stand before their noun; what follows it in lower case is a verb, and a new run begins."""
    part: list[Token] = []
    for token in run:
        if token.kind == Kind.LOWER and part and part[-1].kind == Kind.CAPITAL and not part[-1].opens:
            yield part
            part = []
        else:
            part.append(token)
    if part:
        yield part


def _joined(words: Sequence[Token]) -> str:
    text = " ".join(token.text for token in words)
    if text.endswith(_POSSESSIVES):
        return text[:-2] if text[-1] == "s" else text[:-1]
    return text[:-1] if text[-3:-2] == " " and text[-1] == "." else text  # a sentence's end that looked like an initial


class _Pool:
    """Collects candidates from runs."""

    def __init__(self, language: Language, *, cased: bool) -> None:
        self._language = language
        self._cased = cased
        self._ends: list[tuple[Sequence[Token], int]] = []
        self._found: dict[str, Candidate] = {}
        self._within: defaultdict[str, list[int]] = defaultdict(list)  # rows of 1 to 3 words inside runs: their sentences
        self._spelling: dict[str, str] = {}  # of those words: in lower case, if the text has them so

    def take(self, run: list[Token], sentence: int) -> None:
        name: list[Token] = []
        for token in (*run, _NOTHING):
            if token.kind == Kind.CAPITAL or (name and token.kind != Kind.CODE and (token.kind == Kind.NUMBER or self._is_break(token))):
                name.append(token)
                continue
            if name:
                self._take_name(name, sentence)
                name = []
            if token.kind == Kind.CODE and token.text not in lexicon().calls:
                self._add(token.text, 1, sentence, proper=True)
        for part in _without_verbs(run) if self._language.nouns_capitalised else (run,):
            self._take_term(part, sentence)

    def _is_break(self, token: Token) -> bool:
        return token.kind == Kind.LOWER and (token.text.lower() in self._language.breaks or token.text.lower() in lexicon().connectors)

    def _take_name(self, name: list[Token], sentence: int) -> None:
        while name and (self._is_break(name[-1]) or name[-1].text.lower() in self._language.breaks or name[-1].text[-2:-1] == " "):
            name.pop()
        if not name or len(name) > MOST_NAME_WORDS or max(len(token.text.rstrip(".")) for token in name) < 2:
            return
        if len(name) == 1:
            token = name[0]
            plain = token.text[1:].islower()
            if plain and (token.opens or self._language.nouns_capitalised):
                return  # any word may be capitalised there: it is taken as a term
            if token.text.lower() in self._language.generic:
                return
        text = _joined(name)
        if len(name) > 1 and text.isupper() and all(len(token.text) > 3 for token in name if not self._is_connector(token)):
            text = text.title()  # a heading that shouts
        self._add(text, len(name), sentence, proper=True)
        self._take_bare(name, sentence)

    def _take_bare(self, name: Sequence[Token], sentence: int) -> None:
        """King Frederick IV of Denmark is Frederick IV of Denmark as well."""
        before = lexicon().kinds["person_before"]
        last = next((at for at in range(len(name) - 2, -1, -1) if name[at].text.lower() in before), None)
        if last is not None and name[last + 1].kind == Kind.CAPITAL:
            bare = name[last + 1 :]
            self._add(_joined(bare), len(bare), sentence, proper=True)

    def _take_term(self, run: list[Token], sentence: int) -> None:
        words = self._term(run)
        if not words:
            return
        nouns, generic = self._language.nouns_capitalised, self._language.generic
        opening = words[0].opens and words[0].kind == Kind.CAPITAL and words[0].text[1:].islower()  # its capital tells nothing
        if all(token.kind == Kind.CAPITAL for token in words) and not (len(words) == 1 and (nouns or opening)):
            return  # a name
        self._note_rows(words, sentence, opening=opening)
        if not self._cased and len(words) > NAME_WORDS:
            self._ends += [(words[:NAME_WORDS], sentence), (words[-NAME_WORDS:], sentence)]
        if len(words) > MOST_TERM_WORDS:
            words = words[-3:]
        if len(words) > 1 and not all(token.text.lower() in generic for token in words):
            text = _joined(words)
            self._add(text[0].lower() + text[1:] if opening else text, len(words), sentence, proper=False)

    def _note_rows(self, words: Sequence[Token], sentence: int, *, opening: bool) -> None:
        generic, within = self._language.generic, self._within
        last: list[str] = []  # at most two words that are no part of a name
        for at, token in enumerate(words):
            word = token.text.lower()
            if token.kind == Kind.LOWER:
                self._spelling[word] = word
            elif self._language.nouns_capitalised or (at == 0 and opening):
                self._spelling.setdefault(word, token.text)
            else:
                last = []
                continue
            tells = word not in generic
            if tells:
                within[word].append(sentence)
            if last and (tells or last[-1] not in generic):
                within[f"{last[-1]} {word}"].append(sentence)
                if len(last) == 2:
                    within[f"{last[0]} {last[1]} {word}"].append(sentence)
            last = [*last[-1:], word]

    def _term(self, run: list[Token]) -> list[Token]:
        """The part of a run that may be a term; [] where it is a name with what follows it, or code."""
        if any(token.kind > Kind.CAPITAL or self._is_break(token) for token in run):
            return []
        if self._language.nouns_capitalised:
            return run
        capitals = sum(token.kind == Kind.CAPITAL for token in run)
        if capitals and run[0].kind == Kind.CAPITAL and run[0].opens:
            capitals -= 1
        return run if capitals == 0 or (capitals == 1 and self._language.code == "en") else []

    @staticmethod
    def _is_connector(token: Token) -> bool:
        return token.text.lower() in lexicon().connectors

    def _add(self, name: str, words: int, sentence: int, *, proper: bool) -> None:
        key = entity_key(name)
        if len(key) < 2 or len(name) > MOST_CHARS:
            return
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = Candidate(name, words, proper)
        elif proper and not found.proper:
            found.name, found.proper = name, True
        found.sentences.append(sentence)

    def result(self) -> dict[str, Candidate]:
        for text, sentences in self._within.items():
            words = text.count(" ") + 1
            key = entity_key(text)
            found = self._found.get(key)
            if found is not None:
                found.sentences = max(found.sentences, sentences, key=len)
            elif words == 1 or len(sentences) > 1:
                name = " ".join(self._spelling[word] for word in text.split(" "))
                self._found[key] = Candidate(name, words, False, sentences)
        self._fold_last_names()
        self._drop_parts()
        for part, sentence in self._ends:
            self._add(_joined(part), NAME_WORDS, sentence, proper=False)
        for key, candidate in tuple(self._found.items()):
            candidate.score = self._score(key, candidate)
            if not candidate.score:
                del self._found[key]
        return self._found

    def _drop_parts(self) -> None:
        """Of terms within terms the one stays that is said more often; of two said alike, the longer."""
        terms = {key: candidate for key, candidate in self._found.items() if not candidate.proper}
        for key, candidate in terms.items():
            if candidate.words < 2:
                continue
            words = key.split(" ")
            for length in range(1, len(words)):
                for at in range(len(words) - length + 1):
                    part = terms.get(" ".join(words[at : at + length]))
                    if part is None or (part.name[0].isupper() and not self._language.nouns_capitalised):
                        continue
                    if len(part.sentences) <= len(candidate.sentences):
                        self._found.pop(entity_key(part.name), None)
                    elif length > 1:
                        self._found.pop(key, None)

    def _fold_last_names(self) -> None:
        """Nolan is Christopher Nolan where the chunk names but one."""
        full: dict[str, str | None] = {}
        for key, candidate in self._found.items():
            if candidate.proper and 1 < candidate.words <= 4:
                last = key.rsplit(" ", 1)[-1]
                full[last] = None if last in full else key
        for last, whole in full.items():
            short = self._found.get(last)
            if whole is not None and short is not None and short.proper and short.words == 1 and not short.name.isupper():
                self._found[whole].sentences.extend(short.sentences)
                del self._found[last]

    def _score(self, key: str, candidate: Candidate) -> float:
        """0 drops it. The figures were set by looking at what two manuals and Wikipedia passages give."""
        count = len(candidate.sentences)
        if candidate.proper:
            if all(word in self._language.generic for word in candidate.name.lower().split()):
                return 0.0
            return count * (1.4 if candidate.words > 1 else 1.0)
        if candidate.words > 1:
            return 0.6 * count
        if key[0] > "\u2fff":
            return 0.4 * count if count > 1 or len(key) > 3 else 0.3
        if len(key) < 3 or (self._language.code == "en" and key.endswith("ed")):
            return 0.0
        if count > 1:
            return 0.4 * count
        return 0.3 if len(key) > (3 if candidate.name[0].isupper() else 5) else 0.0
