"""Documents that give a language model orders, and what a model says that obeys them: tests/data/injections.jsonl."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Injection(NamedTuple):
    id: str
    language: str
    text: str
    obeyed: str


def injections() -> list[Injection]:
    lines = (Path(__file__).parent / "data" / "injections.jsonl").read_text("utf-8").splitlines()
    return [Injection(**json.loads(line)) for line in lines]
