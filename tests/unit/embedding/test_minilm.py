"""The graph gives the vectors that sentence-transformers gave once; how near, depends on what it runs in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from localmind.embedding import minilm
from localmind.embedding.batching import pad
from localmind.embedding.onnx import LocalEmbedder, bf16_feature
from localmind.embedding.tokenizer import MiniLMTokenizer

REFERENCE = json.loads((Path(__file__).parents[2] / "data" / "minilm_reference.json").read_text(encoding="utf-8"))
TEXTS: list[str] = REFERENCE["texts"]
VECTORS = np.array(REFERENCE["vectors"], np.float32)


def cosines(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(VECTORS, axis=1) * np.linalg.norm(vectors, axis=1)
    return np.sum(VECTORS * vectors, axis=1) / lengths


def test_the_graph_in_fp32_gives_the_reference_vectors_padded_or_not(tmp_path: Path) -> None:
    minilm.write_graph(tmp_path / "graph.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "graph.onnx", providers=["CPUExecutionProvider"])
    rows = MiniLMTokenizer().ids(TEXTS)

    def run(rows: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        ids, mask = pad(rows, to=1)
        return session.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    assert cosines(np.concatenate([run([row]) for row in rows])).min() >= 0.99999
    assert cosines(run(rows)).min() >= 0.99999


def test_openvino_keeps_to_the_reference_in_bf16(model_cache: Path) -> None:
    if bf16_feature() is None:
        pytest.skip("this CPU has no bf16 products")
    embedder = LocalEmbedder(model_cache, runtime="openvino")
    assert "bf16" in embedder.describe()
    assert cosines(embedder.embed_documents(TEXTS)).mean() >= 0.9999
    embedder.close()


def test_onnxruntime_keeps_to_the_reference_in_int8(model_cache: Path) -> None:
    embedder = LocalEmbedder(model_cache, runtime="onnxruntime")
    # A text of one or two odd tokens has nothing to average over: those alone are 0.96.
    assert cosines(embedder.embed_documents(TEXTS)).mean() >= 0.985
    embedder.close()


def test_a_query_gets_the_vector_that_a_document_gets(embedder: LocalEmbedder) -> None:
    query = embedder.embed_query(TEXTS[4])
    assert query @ embedder.embed_documents([TEXTS[4]])[0] >= 0.999


def test_ids_are_cut_at_256_with_both_special_tokens() -> None:
    short, long = MiniLMTokenizer().ids(["a pump", "pump " * 1000])
    assert len(long) == minilm.MAX_TOKENS
    assert (long[0], long[-1]) == (short[0], short[-1])


def test_a_lone_surrogate_is_a_character_like_another() -> None:
    assert list(MiniLMTokenizer().spans("a \ud800 b")) == [(0, 1), (2, 3), (4, 5)]


def test_the_weights_packages_code_never_runs(embedder: LocalEmbedder) -> None:
    embedder.embed_query("pump")
    assert minilm.PACKAGE not in sys.modules
    assert "torch" not in sys.modules
