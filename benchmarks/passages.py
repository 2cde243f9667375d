"""What an LLM reads of the evidence, with and without the neighbours of the best passages, and what it costs in tokens.

    DATA_DIR=/tmp/manuals .venv/bin/python benchmarks/passages.py benchmarks/r_manuals.jsonl

A base with the documents (benchmarks/RESULTS.md, "Right page of real manuals"), and questions whose `note` is a word that their answer
has. No LLM is asked: the prompts are built as for one. "page": a passage of a right page is among those read. "word": such a passage has
the word. "around N": the share of the N characters before and after the word (at its best place) that is read, and for how many
questions at least 95% of them are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from localmind.chat import prompt
from localmind.chat.service import WITH_NEIGHBOURS
from localmind.llm.tokens import estimated_tokens
from localmind.model import PERSONAL, Chunk, Hit
from localmind.retrieval.search import Search
from localmind.settings import Settings
from localmind.wiring.product import LocalMind, build

AROUND = (300, 600)
ENOUGH = 0.95


class Place(NamedTuple):
    """Where the word of an answer stands, and where the text of its source ends."""

    source_id: str
    start: int
    end: int
    length: int


def places(case: Mapping[str, Any], chunks: Mapping[str, Sequence[Chunk]]) -> list[Place]:
    pattern = re.compile(r"\s+".join(map(re.escape, case["note"].split())), re.IGNORECASE)
    return [
        Place(chunk.source_id, chunk.start + found.start(), chunk.start + found.end(), chunks[wanted["source"]][-1].end)
        for wanted in case["sources"]
        for chunk in chunks[wanted["source"]]
        if _is_on(chunk.page, chunk.breaks, wanted["pages"])
        for found in pattern.finditer(chunk.text)
    ]


def covered(passages: Sequence[Hit], place: Place, width: int) -> float:
    """Share of the text from `width` characters before the place to as many after that the passages have."""
    low, high = max(0, place.start - width), min(place.length, place.end + width)
    spans = sorted((max(low, hit.start), min(high, hit.end)) for hit in passages if hit.source_id == place.source_id)
    at, read = low, 0
    for start, end in spans:
        read += max(0, end - max(start, at))
        at = max(at, end)
    return read / (high - low)


def measured(case: Mapping[str, Any], passages: Sequence[Hit], found: Sequence[Place]) -> list[float]:
    texts = [hit for hit in passages for at in found if hit.source_id == at.source_id and hit.start <= at.start and at.end <= hit.end]
    sources = {at.source_id for at in found}
    pages = {page for wanted in case["sources"] for page in wanted["pages"]}
    shares = [max(covered(passages, place, width) for place in found) for width in AROUND]
    on_page = any(hit.source_id in sources and _is_on(hit.page, hit.breaks, pages) for hit in passages)
    return [float(on_page), float(bool(texts)), *(value for share in shares for value in (share, float(share >= ENOUGH)))]


def read(search: Search, question: str, limit: int, best: int, context_tokens: int) -> tuple[Sequence[Hit], int]:
    """The passages of the prompt, and its tokens."""
    hits = search.search(PERSONAL, question, limit=limit).hits
    neighbours = search.neighbours(PERSONAL, [hit.chunk_id for hit in hits[:best]])
    built = prompt.build(question, hits, [], context_tokens=context_tokens, neighbours=neighbours)
    return built.passages, sum(estimated_tokens(turn.content) for turn in built.turns)


def chunks_of(mind: LocalMind, names: set[str]) -> Iterator[tuple[str, list[Chunk]]]:
    for source in mind.sources.list(PERSONAL, limit=200).items:
        if source.filename in names:
            yield source.filename, [chunk for batch in mind.catalog.chunks.of_source(PERSONAL, source.id) for chunk in batch]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    given = parser.parse_args()
    cases = [json.loads(line) for line in given.questions.read_text("utf-8").splitlines()]
    settings = Settings(llm_model="mock", seed_guides=False, web=False, log_level="ERROR")
    mind = build(settings)
    mind.open()
    try:
        chunks = dict(chunks_of(mind, {wanted["source"] for case in cases for wanted in case["sources"]}))
        found = [places(case, chunks) for case in cases]
        shown = "".join(f" around {width} | whole {width} |" for width in AROUND)
        print(f"| hits | neighbours of | page | word |{shown} passages | tokens |")
        print("|---" * (6 + 2 * len(AROUND)) + "|")
        for limit, best in [(8, 0), (8, 1), (8, WITH_NEIGHBOURS), (8, 8), (12, 0), (16, 0)]:
            rows = []
            for case, at in zip(cases, found, strict=True):
                passages, tokens = read(mind.search, case["question"], limit, best, settings.context_window)
                rows.append([*(100 * value for value in measured(case, passages, at)), len(passages), tokens])
            means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
            print(f"| {limit} | {best} | " + " | ".join(f"{mean:.1f}" for mean in means[:-1]) + f" | {means[-1]:.0f} |")
    finally:
        mind.close()


def _is_on(page: int | None, breaks: Sequence[int], wanted: Sequence[int] | set[int]) -> bool:
    return page is not None and any(page <= one <= page + len(breaks) for one in wanted)


if __name__ == "__main__":
    main()
