"""The floor that other figures are ratios to: the raw embedder on the same texts, batched by tokens, tokenizing included."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from localmind.embedding.port import Embedder


class Floor(NamedTuple):
    chunks: int
    wall_s: float
    cpu_s: float

    @property
    def chunks_per_s(self) -> float:
        return self.chunks / self.wall_s

    @property
    def chunks_per_cpu_s(self) -> float:
        """Steadier than chunks_per_s where others use the machine too."""
        return self.chunks / self.cpu_s


def measure_floor(embedder: Embedder, texts: Sequence[str]) -> Floor:
    """One run over the texts with the embedder warm. CPU is the whole process's, so nothing else may run in it."""
    embedder.embed_documents(texts[:32])
    wall, cpu = time.perf_counter(), time.process_time()
    embedder.embed_documents(texts)
    return Floor(len(texts), time.perf_counter() - wall, time.process_time() - cpu)
