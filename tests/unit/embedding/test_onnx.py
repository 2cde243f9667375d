from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from localmind.embedding.onnx import LocalEmbedder, bf16_feature
from localmind.errors import ConfigurationError

GENOA = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f avx512_bf16 avx512_vnni\n\nprocessor\t: 1\nflags\t\t: fpu sse2\n"
SAPPHIRE_RAPIDS = "flags\t\t: avx512_bf16 amx_bf16 amx_tile amx_int8\n"
ICE_LAKE = "flags\t\t: avx2 avx512f avx512_vnni\n"
GRAVITON = "Features\t: fp asimd bf16 i8mm\n"


@pytest.mark.parametrize(
    ("cpuinfo", "feature"), [(GENOA, "avx512_bf16"), (SAPPHIRE_RAPIDS, "amx_bf16"), (ICE_LAKE, None), (GRAVITON, None), ("", None)]
)
def test_bf16_is_found_in_the_cpus_flags(tmp_path: Path, cpuinfo: str, feature: str | None) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    assert bf16_feature(file) == feature


def test_a_system_without_cpuinfo_has_no_bf16(tmp_path: Path) -> None:
    assert bf16_feature(tmp_path / "missing") is None


def test_auto_takes_openvino_where_the_cpu_has_bf16_and_onnxruntime_elsewhere(model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for feature, runtime in (("avx512_bf16", "OpenVINO"), (None, "onnxruntime")):
        monkeypatch.setattr("localmind.embedding.onnx.bf16_feature", lambda feature=feature: feature)
        embedder = LocalEmbedder(model_cache, threads=1)
        description = embedder.describe()
        assert description.startswith(runtime)
        assert ("the CPU has avx512_bf16" if feature else "the CPU has no bf16") in description
        embedder.close()


def test_without_openvino_auto_falls_back_and_says_so(model_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localmind.embedding.onnx.bf16_feature", lambda: "amx_bf16")
    monkeypatch.setitem(sys.modules, "openvino", None)
    embedder = LocalEmbedder(model_cache, threads=1)
    assert "int8" in embedder.describe()
    assert "OpenVINO is not installed" in embedder.describe()
    embedder.close()
    with pytest.raises(ConfigurationError, match="pip install openvino"):
        LocalEmbedder(model_cache, runtime="openvino").open()


class Gate:
    """A runtime whose document batches wait until they are let go; queries don't."""

    version = "0"
    pad_to = 1

    def __init__(self, *, fail: bool = False) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.batches = 0
        self.fail = fail

    def documents(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        self.batches += 1
        self.begun.release()
        assert self.go.wait(10)
        if self.fail:
            raise RuntimeError("the runtime failed")
        return np.ones((len(ids), 384), np.float32)

    def query(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.ones((1, 384), np.float32)


def gated(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> LocalEmbedder:
    monkeypatch.setattr(LocalEmbedder, "_start", lambda self: (gate, "gate"))
    return LocalEmbedder(Path("unused"), threads=2)


def test_a_query_does_not_wait_for_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    embedder = gated(monkeypatch, gate)
    ingest = threading.Thread(target=embedder.embed_documents, args=(["a long document " * 60] * 50,))
    ingest.start()
    gate.begun.acquire()
    gate.begun.acquire()
    assert embedder.embed_query("how long do I wait?").shape == (384,)
    gate.go.set()
    ingest.join()
    embedder.close()


def test_at_most_three_windows_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    embedder = gated(monkeypatch, gate)
    tokenized: list[int] = []
    ids = embedder._tokenizer.ids
    third = threading.Event()

    def counted(texts: list[str]) -> list[NDArray[np.int64]]:
        tokenized.append(len(texts))
        if len(tokenized) == 3:
            third.set()
        return ids(texts)

    monkeypatch.setattr(embedder._tokenizer, "ids", counted)
    ingest = threading.Thread(target=embedder.embed_documents, args=(["text"] * 640,))
    ingest.start()
    assert third.wait(10)
    assert tokenized == [64, 64, 64]
    gate.go.set()
    ingest.join()
    assert sum(tokenized) == 640
    embedder.close()


def test_a_failing_batch_fails_the_call_and_the_rest_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(fail=True)
    gate.go.set()
    embedder = gated(monkeypatch, gate)
    with pytest.raises(RuntimeError, match="the runtime failed"):
        embedder.embed_documents(["a long document " * 60] * 640)
    embedder.close()
    assert gate.batches < 640


def test_importing_it_loads_no_runtime() -> None:
    heavy = "{'numpy', 'openvino', 'onnxruntime', 'onnx', 'tokenizers', 'openai'}"
    program = (
        "import sys, localmind.embedding.onnx, localmind.embedding.openai, localmind.embedding.sentence_transformers, localmind.chunking\n"
        f"print({heavy} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "set()"
