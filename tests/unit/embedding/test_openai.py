from __future__ import annotations

import numpy as np
import pytest

from localmind.embedding.openai import BATCH_TEXTS, OpenAIEmbedder
from localmind.errors import ConfigurationError, LLMUnavailable
from tests.llm_server import EMBEDDINGS, Drop, Failure, HalfJson, LLMServer, Page, rate_limited


def embedder_of(server: LLMServer, *, retries: int = 0, api_key: str = "") -> OpenAIEmbedder:
    return OpenAIEmbedder(server.base_url, api_key, "scripted", timeout_s=5, retries=retries)


def test_many_texts_go_in_batches_and_come_back_in_order(llm_server: LLMServer) -> None:
    texts = [f"text number {n}" for n in range(BATCH_TEXTS + 5)]
    embedder = embedder_of(llm_server)
    vectors = embedder.embed_documents(texts)
    assert [len(request.body["input"]) for request in llm_server.requests] == [BATCH_TEXTS, 5]
    assert np.allclose(vectors[-1], embedder.embed_query(texts[-1]), atol=1e-6)
    embedder.close()


def test_vectors_of_any_length_become_unit_vectors(llm_server: LLMServer) -> None:
    llm_server.reply({"object": "list", "data": [{"index": 0, "embedding": [3.0, 4.0]}], "model": "m"}, path=EMBEDDINGS)
    embedder = embedder_of(llm_server)
    assert embedder.embed_query("x").tolist() == pytest.approx([0.6, 0.8])
    embedder.close()


def test_a_rate_limit_is_waited_out(llm_server: LLMServer) -> None:
    llm_server.reply(rate_limited(retry_after=0), path=EMBEDDINGS)
    embedder = embedder_of(llm_server, retries=1)
    assert embedder.embed_query("x").shape == (64,)
    embedder.close()


@pytest.mark.parametrize("trouble", [rate_limited(), Failure(500), Failure(503), Drop(), Page(), HalfJson()], ids=repr)
def test_trouble_is_worth_a_retry(llm_server: LLMServer, trouble: Failure | Drop | Page | HalfJson) -> None:
    llm_server.always(trouble, path=EMBEDDINGS)
    embedder = embedder_of(llm_server)
    with pytest.raises(LLMUnavailable):
        embedder.embed_query("x")
    embedder.close()


def test_a_server_that_is_not_there_is_worth_a_retry() -> None:
    embedder = OpenAIEmbedder("http://127.0.0.1:9/v1", "", "m", timeout_s=2, retries=0)
    with pytest.raises(LLMUnavailable, match="does not answer"):
        embedder.embed_documents(["x"])
    embedder.close()


def test_fewer_vectors_than_texts_are_an_error(llm_server: LLMServer) -> None:
    llm_server.reply({"object": "list", "data": [{"index": 0, "embedding": [3.0, 4.0]}], "model": "m"}, path=EMBEDDINGS)
    embedder = embedder_of(llm_server)
    with pytest.raises(LLMUnavailable):
        embedder.embed_documents(["x", "y"])
    embedder.close()


def test_a_refused_key_is_a_matter_of_settings() -> None:
    with LLMServer(api_key="right") as server:
        embedder = embedder_of(server, api_key="wrong")
        with pytest.raises(ConfigurationError, match="EMBEDDING_API_KEY"):
            embedder.embed_query("x")
        embedder.close()


def test_opening_does_not_call_the_server() -> None:
    embedder = OpenAIEmbedder("http://127.0.0.1:9/v1", "", "m")
    embedder.open()
    embedder.close()
