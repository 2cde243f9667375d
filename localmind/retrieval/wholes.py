"""Whether a question is about the whole of what somebody has, rather than about something in it. Pure, and cheap: a few patterns."""

from __future__ import annotations

import re

_THEMES = r"(?:themes?|topics?|subjects?|ideas?|areas?|threads?|takeaways?|points?|insights?|concepts?)"
_ALL = r"(?:everything|all (?:of )?(?:this|that|these|those|it|my|our|the)|this|these|those|my|our|the (?:whole|entire|complete))"
_HELD = r"(?:documents?|files?|sources?|notes?|collection|corpus|library|knowledge base|base|papers?|texts?|archive|material|uploads?)"
_MAIN = r"(?:main|major|key|central|common|overall|overarching|recurring|important|general|high.level|top|biggest|principal)"
_SUM_UP = r"(?:summari[sz]e|sum up|overview of|give me an overview|outline|describe|synopsis of|summary of)"

_ENGLISH = (
    # The main themes, but not those of something by name.
    rf"\b{_MAIN} {_THEMES}\b(?!\s+(?:of|in|about|behind|from|to|for)\s+(?!{_ALL}|{_HELD}|all\b|the {_HELD}))",
    rf"\b(?:what|which) (?:\w+ ){{0,2}}{_THEMES} (?:are|is|do|does|come|run|recur|appear)\b"
    rf"(?!.*\b(?:section|chapter|page)\b)(?=.*(?:{_HELD}|covered|there|discussed\W*$))",
    rf"\bwhat(?: are| is| do| does|'s) {_ALL} (?:\w+ )?{_HELD} (?:all )?(?:about|cover|contain|deal with|discuss)",
    rf"\b{_SUM_UP} (?:\w+ ){{0,2}}?(?:{_ALL} )?(?:\w+ )?(?:{_HELD}|everything)\b",
    rf"\bwhat(?: is|'s|’s) (?:all )?(?:in|inside) (?:here|my|this|the) ?(?:\w+ )?{_HELD}\b",
    r"\bwhat (?:have i|do i have|did i|is there) (?:got |put |saved |collected |stored )?(?:in )?(?:here|in (?:my|this|the) \w+)\W*$",
)
_OTHERS = (
    r"\b(?:haupt|kern|wichtigste[nrs]? |zentrale[nrs]? |größte[nrs]? )(?:themen?|thema|aussagen?|punkte?)\b",
    r"\b(?:worum|wovon) (?:geht|handeln|handelt)\b.*\b(?:dokumente?n?|unterlagen|quellen|dateien|sammlung|texte?n?|notizen)\b",
    r"\b(?:überblick|zusammenfassung|fasse?)\b.*\b(?:alle[sr]?|dokumente?n?|unterlagen|quellen|sammlung|gesamte[nrs]?|notizen)\b",
    r"\b(?:principaux|grands|principales|grandes) (?:th[èe]mes|sujets|id[ée]es|lignes|points)\b",
    r"\b(?:r[ée]sum\w+|aper[çc]u|vue d'ensemble)\b.*\b(?:documents?|sources|fichiers|tout|ensemble|notes)\b",
    r"\b(?:temas?|ideas?|asuntos?) (?:principal\w*|central\w*|clave|importantes)\b|\bprincipales (?:temas|ideas)\b",
    r"\b(?:resum\w+|panorama|visi[óo]n general)\b.*\b(?:documentos|archivos|fuentes|todo|notas)\b",
)
_PATTERN = re.compile("|".join(f"(?:{each})" for each in (*_ENGLISH, *_OTHERS)), re.IGNORECASE)

MOST_CHARS = 200
"""A longer question says what it is about."""


def is_general(question: str) -> bool:
    """ "What are the main themes?", "Give me an overview of these documents"; not "the main themes of chapter 3"."""
    return len(question) <= MOST_CHARS and _PATTERN.search(question) is not None
