"""A guess at what a name stands for, from its own words."""

from __future__ import annotations

import re

from localmind.extraction.lexicon import lexicon

_KINDS = ("organisation", "place", "event", "document")
_FILE = re.compile(r".+\.(?:pdf|docx?|pptx?|xlsx?|csv|txt|html?|md|json|xml|ya?ml|epub|odt|eml)", re.IGNORECASE)
_IDENTIFIER = re.compile(r"\w+(?:\.\w+)*\(\)|\w+_\w+|\w+(?:(?:\.|:::?)\w+)+|\w+(?:\+\+|#)")
_PERSON = re.compile(
    r"(?!U\.)(?:[^\W\d_]\.\s?)+(?:(?:von|van|de|der|den|la|le|da|di|du)\s)*[^\W\d_]{2,}|[^\W\d_]{2,}\s(?:[^\W\d_]\.\s?)+[^\W\d_]{2,}"
)
_PRODUCT = re.compile(r".*[^\W\d_].*\s?\d{1,4}[A-Za-z]?")


def kind_of(name: str, *, proper: bool) -> str:
    """person, organisation, place, product, technology, event, document, name (a proper name that tells no more) or concept."""
    if _FILE.fullmatch(name):
        return "document"
    if _IDENTIFIER.fullmatch(name):
        return "technology"
    if not proper:
        return "concept"
    words = name.lower().replace(".", " ").split()
    if len(words) > 1:
        kind = _told_by(words)
        if kind:
            return kind
        if _PERSON.fullmatch(name):
            return "person"
    if _PRODUCT.fullmatch(name):
        return "product"
    return "technology" if _mixed_case(name) else "name"


def _told_by(words: list[str]) -> str | None:
    cues = lexicon().kinds
    if words[0] in cues["person_before"] and words[1] != "of":
        return "person"
    told = (kind for word in (words[-1], words[0]) for kind in _KINDS if word in cues[kind])
    return next(told, None)


def _mixed_case(name: str) -> bool:
    """OpenVINO, iPhone; but not McDonald, Müller-Lüdenscheidt, DeLillo."""
    if " " in name or "-" in name or name.isupper() or name.startswith(("Mc", "Mac", "O'", "O’", "De", "La", "Le", "Fitz")):
        return False
    return any(map(str.isupper, name[1:])) and any(map(str.islower, name))
