"""The embedder against sentence-transformers on torch in fp32, in turns on the same chunks, and a query's latency beside an ingest.

    python benchmarks/embedding.py [--pdf FILE] [--chunks N] [--torch-python PYTHON]

Chunks are cut from the PDF's text by the product (or from this repository's Markdown). PYTHON is the interpreter of another virtual
environment with torch and sentence-transformers; without it only the runtimes are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
from floor import Floor, measure_floor

from localmind.chunking import chunk, embedding_text
from localmind.embedding.minilm import model_folder
from localmind.embedding.onnx import LocalEmbedder, Runtime
from localmind.embedding.tokenizer import MiniLMTokenizer
from localmind.model import Document, Page, SourceId, TenantId

MANUAL = Path("/usr/share/R/doc/manual/fullrefman.pdf")
QUERY = "How do I fit a linear model with weights?"
TORCH = """
import json, sys, time
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], device="cpu")
texts = json.load(open(sys.argv[2]))
model.encode(texts[:32])
for line in sys.stdin:
    wall, cpu = time.perf_counter(), time.process_time()
    vectors = model.encode(texts, batch_size=int(line), normalize_embeddings=True)
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
    vectors.astype("float32").tofile(sys.argv[3])
"""


def document(pdf: Path) -> Document:
    if not pdf.is_file():
        text = "\n\n".join(file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parents[1].glob("**/*.md")))
        return Document(text, "text/markdown")
    import pypdfium2

    pages, texts, start = [], [], 0
    with pypdfium2.PdfDocument(pdf) as file:
        for number in range(min(len(file), 400)):
            text = file[number].get_textpage().get_text_bounded().replace("\r\n", "\n").replace("\ufffe", "")
            pages.append(Page(number + 1, start, start + len(text)))
            texts.append(text)
            start += len(text) + 1
    return Document("\n".join(texts), "application/pdf", pages=tuple(pages))


class Torch:
    """sentence-transformers in another interpreter, asked to embed again and again."""

    def __init__(self, python: str, texts: list[str], folder: Path) -> None:
        self._count = len(texts)
        (folder / "texts.json").write_text(json.dumps(texts))
        self._out = folder / "vectors.bin"
        command = [python, "-c", TORCH, str(model_folder()), str(folder / "texts.json"), str(self._out)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def run(self, batch: int) -> Floor:
        assert self._process.stdin and self._process.stdout
        print(batch, file=self._process.stdin, flush=True)
        wall, cpu = map(float, self._process.stdout.readline().split())
        return Floor(self._count, wall, cpu)

    def vectors(self) -> np.ndarray:
        self.close()
        return np.fromfile(self._out, np.float32).reshape(self._count, -1)

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def latency_ms(embedder: LocalEmbedder, *, queries: int = 60) -> str:
    times = []
    for _ in range(queries):
        began = time.perf_counter()
        embedder.embed_query(QUERY)
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(0.02)
    times.sort()
    return f"p50 {statistics.median(times):.1f} ms, p95 {times[int(queries * 0.95)]:.1f} ms"


def show(name: str, runs: list[Floor], base: list[Floor]) -> None:
    wall, cpu = (statistics.median(getattr(run, field) for run in runs) for field in ("chunks_per_s", "chunks_per_cpu_s"))
    ratios = ""
    if base:
        reference = (statistics.median(getattr(run, field) for run in base) for field in ("chunks_per_s", "chunks_per_cpu_s"))
        ratios = "".join(f" {ours / theirs:5.2f} x |" for ours, theirs in zip((wall, cpu), reference, strict=True))
    every = ", ".join(f"{run.chunks_per_s:.0f}" for run in runs)
    print(f"| {name} | {wall:6.1f} | {cpu:6.1f} |{ratios} {every} |", flush=True)


def beside_an_ingest(embedder: LocalEmbedder, texts: list[str]) -> None:
    idle = latency_ms(embedder)
    ingest = threading.Thread(target=embedder.embed_documents, args=(texts * 3,))
    ingest.start()
    time.sleep(0.5)
    busy = latency_ms(embedder)
    ingest.join()
    print(f"a query idle: {idle}; during an ingest: {busy}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pdf", type=Path, default=MANUAL)
    parser.add_argument("--chunks", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-python")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "localmind-test-models")
    options = parser.parse_args()

    tokenizer = MiniLMTokenizer()
    source = document(options.pdf)
    tokenizer.open()
    began = time.process_time()
    found = list(chunk(source, tokenizer, source_id=SourceId("b"), tenant=TenantId("b"), title="R", max_tokens=256, overlap_tokens=24))
    chunking = (time.process_time() - began) / len(found)
    texts = [embedding_text("R", one.heading, one.text) for one in found[-options.chunks :]]
    tokens = [len(ids) for ids in tokenizer.ids(texts)]
    print(f"{len(texts)} chunks, {statistics.mean(tokens):.0f} tokens each (10% under {sorted(tokens)[len(tokens) // 10]})")

    with tempfile.TemporaryDirectory() as folder:
        torch = Torch(options.torch_python, texts, Path(folder)) if options.torch_python else None
        runtimes: tuple[Runtime, ...] = ("openvino", "onnxruntime")
        embedders = {runtime: LocalEmbedder(options.cache, runtime=runtime) for runtime in runtimes}
        runs: dict[str, list[Floor]] = {}
        for _ in range(options.rounds):
            for embedder in embedders.values():
                runs.setdefault(embedder.describe(), []).append(measure_floor(embedder, texts))
            for batch in (32, 8) if torch else ():
                assert torch
                runs.setdefault(f"torch fp32, batches of {batch}", []).append(torch.run(batch))
        base = next((floors for name, floors in runs.items() if "torch" in name), [])
        print("| embedder | chunks/s | chunks/CPU-s |" + (" to torch, wall | to torch, CPU |" if base else "") + " each run |")
        print("|---|---|---|" + ("---|---|" if base else "") + "---|")
        for name, floors in runs.items():
            show(name, floors, base)
        for runtime, embedder in embedders.items():
            if torch:
                cosines = np.sum(embedder.embed_documents(texts) * torch.vectors(), axis=1)
                print(f"{runtime}: cosine to torch fp32 {cosines.mean():.5f} mean, {cosines.min():.5f} least")
            beside_an_ingest(embedder, texts)
        cost = 1 / statistics.median(run.chunks_per_cpu_s for run in next(iter(runs.values())))
        print(f"chunking: {chunking * 1000:.2f} ms CPU a chunk, {100 * chunking / cost:.1f}% of embedding it")
    print(f"RSS with both runtimes open: {psutil.Process().memory_info().rss / 1e6:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
