"""The queries of every panel of the dashboards, and what a Prometheus that scraped a system at work has to answer them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.stack.fleet import ROOT

BOARDS = sorted((ROOT / "infrastructure" / "grafana" / "dashboards").glob("*.json"))
QUERIES = [
    (path.stem, panel["title"], target["expr"])
    for path in BOARDS
    for panel in json.loads(path.read_text())["panels"]
    for target in panel.get("targets", ())
]

ELSEWHERE = {"Certificates end in"}
"""No server of the tests speaks TLS: what gives this its data has tests of its own."""

GRAFANAS = {"$__rate_interval": "2m", "$__range": "10m"}

each_query = pytest.mark.parametrize(
    ("board", "title", "expression"), QUERIES, ids=[f"{board}-{title}-{n}" for n, (board, title, _) in enumerate(QUERIES)]
)


def check_panel(query: Callable[[str], list[Any]], board: str, title: str, expression: str) -> None:
    """That the panel has data. query: what a Prometheus answers to an expression."""
    asked = re.sub("|".join(map(re.escape, GRAFANAS)), lambda found: GRAFANAS[found[0]], expression)
    assert "$" not in asked
    found = query(asked)
    if title in ELSEWHERE:
        assert found == []
        return
    assert any(math.isfinite(float(series["value"][1])) for series in found), (board, title, asked, found)
