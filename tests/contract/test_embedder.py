"""What localmind/embedding/port.py promises of an Embedder and a Tokenizer, over every adapter."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from localmind.embedding.onnx import LocalEmbedder
from localmind.embedding.openai import OpenAIEmbedder
from localmind.embedding.port import Embedder, Tokenizer
from tests.llm_server import LLMServer


class Both(Embedder, Tokenizer, Protocol): ...


TEXTS = [
    "The pump is switched off before its cover is opened.",
    "Le chat dort sur le canapé.",
    "",
    "東京は日本の首都です。",
    "def add(a, b): return a + b",
    "word " * 900,
    "The pump is switched off before its cover is opened.",
]


@pytest.fixture(scope="module", params=["onnxruntime", "openvino", "openai"])
def adapter(request: pytest.FixtureRequest, model_cache: Path) -> Iterator[Both]:
    if request.param == "openai":
        with LLMServer() as server:
            remote = OpenAIEmbedder(server.base_url, "", "all-minilm", timeout_s=10, retries=0)
            yield remote
            remote.close()
        return
    pytest.importorskip(request.param, reason=f"{request.param} has no wheel for this platform")
    local = LocalEmbedder(model_cache, runtime=request.param)
    yield local
    local.close()


def test_documents_become_unit_vectors_in_the_texts_order(adapter: Both) -> None:
    vectors = adapter.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), adapter.dim)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    alone = np.concatenate([adapter.embed_documents([text]) for text in TEXTS])
    # Batches of other shapes round differently, most of all in int8.
    assert np.all(np.sum(vectors * alone, axis=1) > 0.97)


def test_no_texts_give_no_rows(adapter: Both) -> None:
    assert adapter.embed_documents([]).shape == (0, adapter.dim)


def test_equal_texts_lie_together_and_others_apart(adapter: Both) -> None:
    vectors = adapter.embed_documents(TEXTS)
    assert vectors[0] @ vectors[6] > 0.99
    assert vectors[0] @ vectors[1] < 0.6


def test_a_query_finds_its_document(adapter: Both) -> None:
    query = adapter.embed_query("Before the cover is opened, is the pump switched off?")
    assert query.shape == (adapter.dim,)
    assert query.dtype == np.float32
    assert int(np.argmax(adapter.embed_documents(TEXTS[:5]) @ query)) == 0


def test_a_text_beyond_the_models_length_is_cut_at_its_end(adapter: Both) -> None:
    vectors = adapter.embed_documents(["word " * 900, "word " * 900 + "end"])
    assert vectors[0] @ vectors[1] > 0.99


def test_threads_get_their_own_vectors(adapter: Both) -> None:
    groups = [[f"document {group} about {word}" for word in ("pumps", "cats", "Tokyo")] for group in range(6)]
    expected = [adapter.embed_documents(group) for group in groups]
    start = threading.Barrier(len(groups))

    def embed(group: list[str]) -> np.ndarray:
        start.wait()
        return adapter.embed_documents(group)

    with ThreadPoolExecutor(len(groups)) as pool:
        for vectors, alone in zip(pool.map(embed, groups), expected, strict=True):
            assert np.allclose(vectors, alone, atol=2e-2)


def test_opening_and_closing_twice_is_safe_and_it_opens_again_by_itself(adapter: Both) -> None:
    adapter.open()
    adapter.open()
    before = adapter.embed_query("pump")
    adapter.close()
    adapter.close()
    assert np.allclose(adapter.embed_query("pump"), before, atol=1e-3)


def test_the_model_has_a_name_and_a_dimension(adapter: Both) -> None:
    assert adapter.model
    assert adapter.dim == len(adapter.embed_query("pump"))


def test_spans_cover_the_words_in_order(adapter: Both) -> None:
    text = "Pumps run,  they don't walk. 首都"
    spans = adapter.spans(text)
    assert [text[start:end] for start, end in spans][:3] == ["Pumps", "run", ","]
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    covered = {position for start, end in spans for position in range(start, end)}
    assert all(position in covered for position, character in enumerate(text) if not character.isspace())


def test_spans_have_no_special_tokens_and_no_limit(adapter: Both) -> None:
    assert len(adapter.spans("word " * 5000)) == 5000
    assert list(adapter.spans("")) == []


def test_spans_of_a_batch_are_the_spans_of_each(adapter: Both) -> None:
    assert [list(spans) for spans in adapter.spans_batch(TEXTS)] == [list(adapter.spans(text)) for text in TEXTS]
