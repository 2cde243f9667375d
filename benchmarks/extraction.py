"""What extraction without an LLM costs beside embedding the same chunks, and what it finds.

    .venv/bin/python benchmarks/extraction.py --pdf /usr/share/R/doc/manual/R-exts.pdf --chunks 600
    .venv/bin/python benchmarks/extraction.py --questions ../shared/data/retrieval_dev/hotpotqa

The first: both run in this process, one after the other, three times in turn; the best of each counts, in CPU time, so that a busy machine
matters less. The embedder is the product's own, on all cores. With --no-embed only extraction is measured.
The second: how many of the names in questions are entities of a passage that answers them, and so can be linked by a search.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.lexicon import lexicon
from localmind.extraction.port import Passage
from localmind.graph.naming import entity_key

CHUNK_CHARS = 1000  # about 256 tokens of a manual's English
ROUNDS = 3


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = arguments.add_mutually_exclusive_group(required=True)
    what.add_argument("--pdf", type=Path)
    what.add_argument("--questions", type=Path, help="folder with passages.jsonl and questions.jsonl")
    arguments.add_argument("--chunks", type=int, default=600)
    arguments.add_argument("--no-embed", action="store_true")
    arguments.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "localmind-benchmark-model")
    options = arguments.parse_args()
    if options.questions:
        linking(options.questions)
    else:
        cost(options)


def cost(options: argparse.Namespace) -> None:
    chunks = chunks_of(options.pdf)[: options.chunks]
    passages = [Passage(options.pdf.stem, "", text) for text in chunks]
    extractor = KeyphraseExtractor()

    runs: dict[str, Callable[[], object]] = {"extract": lambda: extractor.extract(passages)}
    if not options.no_embed:
        from localmind.embedding.onnx import LocalEmbedder

        embedder = LocalEmbedder(options.cache)
        embedder.open()
        runs["embed"] = lambda: embedder.embed_documents(chunks)
    for run in runs.values():
        run()  # caches warm
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            best[name] = min(best.get(name, (float("inf"), 0.0)), measured(run))

    for name, (cpu_s, wall_s) in best.items():
        print(f"{name:8} {1000 * cpu_s / len(chunks):6.2f} ms CPU a chunk, {len(chunks) / wall_s:7.0f} chunks/s")
    if "embed" in best:
        share = best["extract"][0] / best["embed"][0]
        print(f"extraction takes {share:.1%} of the embedder's CPU: {1 / share:.1f}x faster")
    report(extractor, passages)


def chunks_of(path: Path) -> list[str]:
    """Naive chunks: lines until there are 1,000 characters."""
    import pypdfium2

    pages = pypdfium2.PdfDocument(path)
    text = "\n".join(page.get_textpage().get_text_range().replace("\r\n", "\n").replace("\ufffe", "") for page in pages)
    chunks, lines, size = [], [], 0
    for line in text.split("\n"):
        lines.append(line)
        size += len(line) + 1
        if size > CHUNK_CHARS:
            chunks.append("\n".join(lines))
            lines, size = [], 0
    return [*chunks, "\n".join(lines)]


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def report(extractor: KeyphraseExtractor, passages: list[Passage]) -> None:
    extractions = [result.extraction for result in extractor.extract(passages)]
    names = {entity_key(entity.name): entity.name for extraction in extractions for entity in extraction.entities}
    mentions = Counter(entity_key(entity.name) for extraction in extractions for entity in extraction.entities)
    relations = sum(len(extraction.relations) for extraction in extractions)
    print(f"{mentions.total() / len(passages):.1f} entities, {relations / len(passages):.1f} relations a chunk; {len(names)} names")
    print("most mentioned: " + ", ".join(f"{names[key]} {count}" for key, count in mentions.most_common(50)))


NAME = re.compile(r"(?<!\w)[A-Z][\w’'.-]+(?:\s+(?:(?:of|the|de|von|van)\s+)*[A-Z][\w’'.-]+)*")
FIRST_WORD = re.compile(
    r"^(?:Who|What|Which|When|Where|Are|Is|Did|Do|Does|Was|Were|In|How|Why|If|At|The|This|From|Between|For|On|Of|A|An)(?:\s+|$)"
)
NO_NAMES = lexicon().english.generic | {"film", "song", "album"}  # nationalities and months among them


def linking(folder: Path) -> None:
    """A name is a run of capitalised words, found by another rule than the extractor's."""
    passages = {row["id"]: row for row in map(json.loads, (folder / "passages.jsonl").open(encoding="utf-8"))}
    questions = [json.loads(line) for line in (folder / "questions.jsonl").open(encoding="utf-8")]
    extractor = KeyphraseExtractor()
    for titled in (True, False):
        named, standing, linked = 0, 0, 0
        for question in questions:
            gold = [passages[key] for key in question["gold"]]
            found = extractor.extract([Passage(row["title"] if titled else "", "", row["text"]) for row in gold])
            keys = {entity_key(entity.name) for result in found for entity in result.extraction.entities}
            for span in NAME.findall(question["question"]):
                name = FIRST_WORD.sub("", re.sub(r"[’']s$|[.'’]$", "", span))
                if name and name.lower() not in NO_NAMES:
                    named += 1
                    standing += any(name in f"{row['title']} {row['text']}" for row in gold)
                    linked += entity_key(name) in keys
        print(
            f"{folder.name}, {'with' if titled else 'without'} titles: {linked} of {named} names in questions are entities of a passage "
            f"that answers ({linked / named:.1%}); {standing} of them stand in one as written"
        )


if __name__ == "__main__":
    main()
