"""The bundled model, run on this machine: OpenVINO in bf16 where the CPU has it, else onnxruntime in int8."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from localmind.embedding import minilm
from localmind.embedding.batching import pad, plan
from localmind.embedding.tokenizer import MiniLMTokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localmind.model import Vector

Runtime = Literal["auto", "openvino", "onnxruntime"]

BATCH_TOKENS = 512
"""Padded tokens of a batch. 256 to 2,048 ran equally fast; small ones keep memory low and end soon."""

WINDOW_TEXTS = 64
"""Texts that are tokenized and sorted together: their padding is under 1%. One window is tokenized while another is embedded."""


class _Session(Protocol):
    version: str
    pad_to: int

    def documents(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]: ...

    def query(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]: ...


class _Opened(NamedTuple):
    session: _Session
    pool: ThreadPoolExecutor
    description: str


class LocalEmbedder:
    """Embedder and Tokenizer over all-MiniLM-L6-v2. Callers' batches share the cores first come, first served."""

    def __init__(self, cache_dir: Path, *, runtime: Runtime = "auto", threads: int = 0) -> None:
        """cache_dir: keeps what is made of the weights (3 s at the first start, 150 MB at most). threads: 0 takes every core."""
        self._cache_dir = cache_dir
        self._runtime = runtime
        self._streams = threads or available_cores()
        self._tokenizer = MiniLMTokenizer()
        self._opening = threading.Lock()
        self._opened: _Opened | None = None

    @property
    def model(self) -> str:
        return minilm.MODEL

    @property
    def dim(self) -> int:
        return minilm.DIM

    def open(self) -> None:
        """Raises ConfigurationError (weights or runtime not installed), DiskFull."""
        self._open()

    def close(self) -> None:
        with self._opening:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.pool.shutdown(cancel_futures=True)

    def describe(self) -> str:
        """Which runtime runs and why, for doctor."""
        return self._open().description

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        opened = self._open()
        vectors = np.empty((len(texts), minilm.DIM), np.float32)
        windows: deque[list[Future[None]]] = deque()
        try:
            for start in range(0, len(texts), WINDOW_TEXTS):
                ids = self._tokenizer.ids(texts[start : start + WINDOW_TEXTS])
                windows.append(self._submit(opened, ids, vectors[start : start + WINDOW_TEXTS]))
                if len(windows) > 2:
                    _wait(windows.popleft())
            while windows:
                _wait(windows.popleft())
        finally:
            for future in (future for window in windows for future in window):
                future.cancel()
        return vectors

    def embed_query(self, text: str) -> Vector:
        opened = self._open()
        vector: Vector = opened.session.query(*pad(self._tokenizer.ids([text]), to=opened.session.pad_to))[0]
        return vector

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        return self._tokenizer.spans(text)

    def spans_batch(self, texts: Sequence[str]) -> Sequence[Sequence[tuple[int, int]]]:
        return self._tokenizer.spans_batch(texts)

    def _submit(self, opened: _Opened, ids: list[NDArray[np.int64]], vectors: NDArray[np.float32]) -> list[Future[None]]:
        def embed(rows: list[int]) -> None:
            vectors[rows] = opened.session.documents(*pad([ids[row] for row in rows], to=opened.session.pad_to))

        batches = plan([len(row) for row in ids], budget=BATCH_TOKENS, streams=self._streams)
        return [opened.pool.submit(embed, rows) for rows in batches]

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is not None:
            return opened
        with self._opening:
            if self._opened is None:
                self._tokenizer.open()
                session, description = self._start()
                self._opened = _Opened(session, ThreadPoolExecutor(self._streams, thread_name_prefix="embed"), description)
            return self._opened

    def _start(self) -> tuple[_Session, str]:
        feature = bf16_feature()
        reason = f"the CPU has {feature}" if feature else "the CPU has no bf16"
        if self._runtime == "openvino" or (self._runtime == "auto" and feature):
            try:
                session = self._openvino(bf16=feature is not None)
            except ImportError as error:
                if self._runtime == "openvino":
                    raise _not_installed("openvino") from error
                reason += ", but OpenVINO is not installed"
            else:
                precision = "bf16" if feature else "fp32"
                return session, f"OpenVINO {session.version} in {precision}, {self._streams} streams ({reason})"
        try:
            from localmind.embedding.onnxruntime import OnnxRuntimeSession

            fallback = OnnxRuntimeSession(self._cache_dir)
        except ImportError as error:
            raise _not_installed("onnxruntime") from error
        if self._runtime == "onnxruntime":
            reason = "EMBEDDING_RUNTIME=onnxruntime"
        return fallback, f"onnxruntime {fallback.version} in int8, {self._streams} threads ({reason})"

    def _openvino(self, *, bf16: bool) -> _Session:
        from localmind.embedding.openvino import OpenVinoSession

        return OpenVinoSession(self._cache_dir, streams=self._streams, bf16=bf16)


def _wait(window: list[Future[None]]) -> None:
    for future in window:
        future.result()


def _not_installed(package: str) -> Exception:
    from localmind.errors import ConfigurationError

    return ConfigurationError(f"{package} is not installed.", hint=f"pip install {package}, or set EMBEDDING_RUNTIME=auto.")


def available_cores() -> int:
    """Cores that this process may use; containers and taskset often leave it fewer than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def bf16_feature(cpuinfo: Path = Path("/proc/cpuinfo")) -> str | None:
    """The CPU's instructions for bf16 products, or None; where the system does not tell (not Linux), None.

    OpenVINO also claims bf16 for CPUs that only emulate it, which is slower than int8.
    """
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return next((feature for feature in ("amx_bf16", "avx512_bf16") if feature in flags), None)
