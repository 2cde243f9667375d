"""robots.txt: what a site asks programs to leave alone (RFC 9309). Pure; a rule's match takes time linear in the path."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

AGENT = "localmind"
MAX_BYTES = 512_000
"""RFC 9309, 2.5: parsers read at least 500 KiB."""


class Rule(NamedTuple):
    path: str
    allows: bool


def rules(text: str) -> list[Rule]:
    """The rules for AGENT; where no group names it, those for everybody."""
    groups: dict[str, list[Rule]] = {}
    agents: list[str] = []
    is_naming = False
    for line in text.lstrip("\ufeff").splitlines():
        field, _, value = line.partition("#")[0].partition(":")
        field, value = field.strip().lower(), value.strip()
        if field == "user-agent":
            agents = [*agents, _product(value)] if is_naming else [_product(value)]
            groups.setdefault(agents[-1], [])
            is_naming = True
        elif field in ("allow", "disallow"):
            is_naming = False
            for agent in agents if value else ():
                groups[agent].append(Rule(_normal(value), field == "allow"))
    return groups.get(AGENT, groups.get("*", []))


def may_fetch(found: Sequence[Rule], path: str) -> bool:
    """path: with its query. The longest rule that matches decides, of equal ones the allowing; without one it may."""
    path = _normal(path or "/")
    matching = [(len(rule.path), rule.allows) for rule in found if _matches(rule.path, path)]
    return max(matching, default=(0, True))[1]


def _product(value: str) -> str:
    """`LocalMind/1.0` -> `localmind`."""
    named = re.match(r"[A-Za-z_-]+", value)
    return named[0].lower() if named else value[:1]


def _normal(path: str) -> str:
    """Percent-encoding made alike, so that /%7Eann and /~ann are one."""
    return quote(unquote(path, errors="surrogateescape"), safe="/*$?&=;:@!+,~", errors="surrogateescape")


def _matches(rule: str, path: str) -> bool:
    """A rule is a beginning of the path; * stands for any characters, $ at its end for the path's end."""
    is_whole = rule.endswith("$")
    first, *pieces = rule.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    last = pieces.pop() if pieces and is_whole else ""
    for piece in pieces:
        at = path.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    if not is_whole:
        return True
    if "*" not in rule:
        return at == len(path)
    return path.endswith(last) and len(path) - len(last) >= at
