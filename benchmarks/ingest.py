"""What an ingest costs beside the raw embedder on the same chunks, in one run; the floor is measured before and after.

    python benchmarks/ingest.py long PDF         a long document: chunks/s, time from bytes to searchable, reading's share, memory
    python benchmarks/ingest.py short            1,000 notes
    python benchmarks/ingest.py scale            1,000 notes into 1,000 and into 49,000; deletes at both; search at 100,000
    python benchmarks/ingest.py search           each mode at 1,000 and at 100,000 chunks

CPU is the process's own, all threads, and its reader processes'. Ratios over the floor: 1.0 is the embedder alone.
"""

from __future__ import annotations

import argparse
import io
import itertools
import random
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from localmind.chunking import embedding_text
from localmind.ingest.sources import NewText
from localmind.model import PERSONAL, Accepted, JobStatus, Mode
from localmind.settings import Settings
from localmind.wiring import LocalMind, build

WORDS_A_NOTE = 150
FLOOR_BATCH = 1024


class Instant:
    """Answers at once with random unit vectors: fills a base with everything but the embedding done for real."""

    _random = np.random.default_rng(1)
    """One for all fills: with vectors that come again a search has to look at all that tie."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def embed_documents(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        vectors = self._random.standard_normal((len(texts), self._real.dim), dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@contextmanager
def product(models: Path) -> Iterator[LocalMind]:
    with tempfile.TemporaryDirectory() as folder:
        models.mkdir(parents=True, exist_ok=True)
        (Path(folder) / "models").symlink_to(models)
        mind = build(Settings(data_dir=Path(folder), seed_guides=False, _env_file=None))  # type: ignore[call-arg]
        mind.open()
        try:
            yield mind
        finally:
            mind.close()


def cpu_s() -> float:
    """Seconds of CPU of this process and its living and ended children."""
    me = psutil.Process()
    times = me.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in me.children(recursive=True):
        try:
            total += child.cpu_times().user + child.cpu_times().system
        except psutil.NoSuchProcess:
            continue
    return total


class Span:
    """Wall and CPU seconds of a block, and the most memory in it."""

    def __enter__(self) -> Span:
        self._done = threading.Event()
        self.peak = self.before = self._rss()
        self._watch = threading.Thread(target=self._sample, daemon=True)
        self._watch.start()
        self._cpu, self._wall = cpu_s(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, cpu_s() - self._cpu
        self._done.set()
        self._watch.join()

    def _sample(self) -> None:
        while not self._done.wait(0.05):
            self.peak = max(self.peak, self._rss())

    @staticmethod
    def _rss() -> int:
        me = psutil.Process()
        total = me.memory_info().rss
        for child in me.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def wait(mind: LocalMind, accepted: Sequence[Accepted]) -> None:
    for each in accepted:
        assert each.job_id is not None
        last = list(mind.jobs.watch(PERSONAL, each.job_id))[-1]
        assert last.status is JobStatus.SUCCEEDED, last.error


def texts_of(mind: LocalMind) -> list[str]:
    """What the embedder was given for every chunk in the base."""
    ids = [key for key, _ in mind.catalog.chunks.all_ids(PERSONAL)]
    return [embedding_text(title, chunk.heading, chunk.text) for chunk, title in mind.catalog.chunks.get(PERSONAL, ids)]


def floor(mind: LocalMind, texts: Sequence[str]) -> Span:
    """The raw embedder on the texts, in large calls."""
    with Span() as span:
        for at in range(0, len(texts), FLOOR_BATCH):
            mind.embedder.embed_documents(texts[at : at + FLOOR_BATCH])
    return span


def notes(count: int, seed: int = 0) -> list[NewText]:
    """Notes of about a chunk each, of a vocabulary with a natural distribution, with names in them."""
    generator = random.Random(seed)
    guides = " ".join(path.read_text() for path in sorted((Path(__file__).parents[1] / "docs").glob("*/*.md")))
    vocabulary = sorted(set(re.findall(r"[a-z]{3,}", guides)))
    generator.shuffle(vocabulary)
    weights = [1 / (rank + 5) for rank in range(len(vocabulary))]
    names = [f"{a.capitalize()} {b.capitalize()}" for a, b in zip(vocabulary[::7], vocabulary[3::7], strict=False)]
    made = []
    for number in range(count):
        words = generator.choices(vocabulary, weights, k=WORDS_A_NOTE)
        sentences = [" ".join(words[at : at + 15]).capitalize() + f" near {generator.choice(names)}." for at in range(0, WORDS_A_NOTE, 15)]
        made.append(NewText(f"Note {seed}-{number}", " ".join(sentences), uri=f"urn:note:{seed}:{number}"))
    return made


def report(name: str, run: Span, floors: Sequence[Span], chunks: int) -> None:
    wall, cpu = sum(f.wall for f in floors) / len(floors), sum(f.cpu for f in floors) / len(floors)
    print(
        f"{name}: {chunks} chunks; floor {chunks / wall:.1f} chunks/s"
        f" (before {chunks / floors[0].wall:.1f}, after {chunks / floors[-1].wall:.1f})"
    )
    print(
        f"  ingest {chunks / run.wall:.1f} chunks/s = {wall / run.wall:.2f} x floor; CPU {run.cpu / cpu:.2f} x floor; wall {run.wall:.1f} s"
    )
    print(f"  memory: {run.before / 2**20:.0f} MiB before, at most {run.peak / 2**20:.0f} MiB (+{(run.peak - run.before) / 2**20:.0f})")


def long(models: Path, pdf: Path) -> None:
    with product(models) as mind:
        mind.search.search(PERSONAL, "warm up")
        data = pdf.read_bytes()
        with tempfile.NamedTemporaryFile(suffix=".pdf") as file:
            file.write(data)
            file.flush()
            with Span() as reading:
                mind.readers.read(Path(file.name), filename=pdf.name)
        mind.embedder.embed_documents(["warm up"] * 64)
        with Span() as run:
            wait(mind, [mind.sources.upload(PERSONAL, filename=pdf.name, data=io.BytesIO(data))])
        texts = texts_of(mind)
        floors = [floor(mind, texts), floor(mind, texts)]
        report(pdf.name, run, floors, len(texts))
        print(
            f"  bytes to searchable {run.wall / (sum(f.wall for f in floors) / 2):.2f} x floor;"
            f" reading {reading.wall:.2f} s = {100 * reading.wall / run.wall:.1f}%"
        )
        _settle(mind)
        _disk(mind)


def short(models: Path, count: int = 1000) -> None:
    with product(models) as mind:
        texts = [embedding_text(note.title, "", note.text) for note in notes(count)]
        floors = [floor(mind, texts)]
        with Span() as run:
            wait(mind, mind.sources.add_texts(PERSONAL, notes(count), bulk=True))
        floors.append(floor(mind, texts_of(mind)))
        report(f"{count} short documents", run, floors, len(texts_of(mind)))
        again = notes(count, seed=9)
        with Span() as accepting:
            accepted = mind.sources.add_texts(PERSONAL, again, bulk=True)
        wait(mind, accepted)
        print(f"  accepting {count}: {accepting.wall:.2f} s ({1000 * accepting.wall / count:.2f} ms each)")


def fill(mind: LocalMind, count: int, seed: int) -> None:
    real, mind.pipeline._embedder = mind.pipeline._embedder, Instant(mind.embedder)
    for at in range(0, count, 2000):
        wait(mind, mind.sources.add_texts(PERSONAL, notes(min(2000, count - at), seed=seed * 1_000_000 + at), bulk=True))
    mind.pipeline._embedder = real


def scale(models: Path, large: int = 100_000) -> None:
    """growth, delete and search on one base, filled without the embedder."""
    with product(models) as mind:
        mind.search.search(PERSONAL, "warm up")
        fill(mind, 1000, 1)
        early = _ingest(mind, seed=2)
        _delete(mind, 1000)
        fill(mind, 47_000, 3)
        _settle(mind)
        late = _ingest(mind, seed=4)
        print(f"growth: from 49,000 on against from 1,000 on: wall {late.wall / early.wall:.2f} x, CPU {late.cpu / early.cpu:.2f} x")
        print(f"  {early.wall:.1f} s and {late.wall:.1f} s for 1,000 documents")
        _delete(mind, 50_000)
        for round_ in itertools.count(5):
            missing = large - mind.catalog.chunks.count(PERSONAL)
            if missing <= 0:
                break
            fill(mind, min(2000, missing), round_)
        _settle(mind)
        measure_search(mind)
        _search_during_ingest(mind)
        _settle(mind)
        _disk(mind)


def search(models: Path, sizes: Sequence[int] = (1000, 100_000)) -> None:
    """Each mode as the base grows, filled without the embedder; communities are left aside."""
    with product(models) as mind:
        mind.keeper.close()
        mind.search.search(PERSONAL, "warm up")
        for size in sizes:
            for round_ in itertools.count(size):
                missing = size - mind.catalog.chunks.count(PERSONAL)
                if missing <= 0:
                    break
                fill(mind, min(2000, missing), round_)
            _settle(mind)
            print(f"{mind.catalog.chunks.count(PERSONAL)} chunks")
            measure_search(mind)


def _ingest(mind: LocalMind, seed: int) -> Span:
    with Span() as span:
        wait(mind, mind.sources.add_texts(PERSONAL, notes(1000, seed=seed), bulk=True))
    return span


def _settle(mind: LocalMind) -> None:
    mind.store.vectors.optimize(PERSONAL)
    time.sleep(3)  # the tidy thread's turn, outside the measurement


def _delete(mind: LocalMind, size: int, rounds: int = 20) -> None:
    spent = {"ingest": 0.0, "delete": 0.0}
    for note in notes(rounds, seed=7_000_000 + size):
        spent["ingest"] += _cpu_of(lambda note=note: wait(mind, mind.sources.add_texts(PERSONAL, [note])))  # type: ignore[misc]
        source = mind.sources.list(PERSONAL, limit=1).items[0]
        spent["delete"] += _cpu_of(lambda source=source: wait(mind, [mind.sources.delete(PERSONAL, source.id)]))  # type: ignore[misc]
    per = {name: 1000 * seconds / rounds for name, seconds in spent.items()}
    print(f"delete at {size} documents: {per['delete']:.1f} ms CPU, ingest {per['ingest']:.1f} ms: {per['delete'] / per['ingest']:.2f} x")


def rest_after_start(process: psutil.Process, seconds: int = 3, most: int = 300) -> None:
    """Until the process has done nothing for some seconds: at its start it looks whether themes and names are up to date."""
    quiet = 0
    for _ in range(most):
        before = sum(process.cpu_times()[:2])
        time.sleep(1)
        quiet = quiet + 1 if sum(process.cpu_times()[:2]) - before < 0.05 else 0
        if quiet == seconds:
            return


def measure_search(mind: LocalMind, rounds: int = 200) -> None:
    """Each mode and the bare parts in turns, on the same queries."""
    table = mind.store.vectors
    questions = [f"{note.text.split('.')[0][:60]}?" for note in notes(rounds, seed=11)]
    took: dict[str, list[float]] = {}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = action()
        took.setdefault(name, []).append(1000 * (time.perf_counter() - began))
        return result

    modes = tuple(Mode)
    rest_after_start(psutil.Process())
    for number, question in enumerate(questions):
        vector = timed("embed the query", lambda question=question: mind.embedder.embed_query(question))  # type: ignore[misc]
        timed("vectors alone", lambda vector=vector: table.search(PERSONAL, vector, limit=10))  # type: ignore[misc]
        for mode in (
            *modes[number % len(modes) :],
            *modes[: number % len(modes)],
        ):  # each as often the first to touch what a question needs
            asked = f"{mode} {question}"  # asked by no mode before: the query's embedding is not in the cache
            timed(mode, lambda asked=asked, mode=mode: mind.search.search(PERSONAL, asked, mode=mode))  # type: ignore[misc]
    bare = [a + b for a, b in zip(took["embed the query"], took["vectors alone"], strict=True)]
    took["embed + vectors"] = bare
    middle = float(np.percentile(bare, 50))
    for name, values in took.items():
        p50, p95 = np.percentile(values, [50, 95])
        print(f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p50 {p50 / middle:.2f} x (embed + vectors)")


def _search_during_ingest(mind: LocalMind, documents: int = 1000) -> None:
    """Hybrid searches alone, then one after the other for as long as an ingest runs."""

    def ask(number: int, note: NewText) -> float:
        began = time.perf_counter()
        mind.search.search(PERSONAL, f"{number} {note.text.split('.')[0][:60]}?")
        return 1000 * (time.perf_counter() - began)

    questions = notes(100, seed=12)
    idle = [ask(number, note) for number, note in enumerate(questions)]
    accepted = mind.sources.add_texts(PERSONAL, notes(documents, seed=13), bulk=True)
    last = accepted[-1].job_id
    assert last is not None
    busy: list[float] = []
    while mind.jobs.get(PERSONAL, last).status in (JobStatus.QUEUED, JobStatus.RUNNING):
        busy.append(ask(1000 + len(busy), questions[len(busy) % len(questions)]))
        time.sleep(0.02)
    wait(mind, accepted)
    for name, values in (("idle", idle), ("during an ingest", busy)):
        p50, p95 = np.percentile(values, [50, 95])
        print(f"hybrid {name}: {len(values)} searches, p50 {p50:.1f} ms, p95 {p95:.1f} ms, p50 {p50 / np.percentile(idle, 50):.2f} x idle")


def _disk(mind: LocalMind) -> None:
    """What lies on the disk at rest against the text and the vectors in it."""
    stats = mind.maintenance.stats(PERSONAL)
    kept = {name: size for name, size in stats.disk_bytes.items() if name != "models"}
    bare = sum(len(text.encode()) for text in texts_of(mind)) + stats.vectors * mind.embedder.dim * 4
    print(f"disk at {stats.chunks} chunks: {kept}; {sum(kept.values()) / bare:.2f} x (text + vectors = {bare})")


def _cpu_of(action: Callable[[], None]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("long", "short", "scale", "search"))
    parser.add_argument("pdf", nargs="?", type=Path)
    parser.add_argument("--models", type=Path, default=Path(tempfile.gettempdir()) / "localmind-bench-models")
    arguments = parser.parse_args()
    if arguments.what == "long":
        if arguments.pdf is None:
            parser.error("long needs a PDF")
        long(arguments.models, arguments.pdf)
    else:
        {"short": short, "scale": scale, "search": search}[arguments.what](arguments.models)


if __name__ == "__main__":
    main()
