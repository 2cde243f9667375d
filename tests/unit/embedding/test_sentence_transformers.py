from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from localmind.embedding.minilm import model_folder
from localmind.embedding.sentence_transformers import SentenceTransformersEmbedder
from localmind.errors import ConfigurationError, MissingExtra

INSTALLED = importlib.util.find_spec("sentence_transformers") is not None


def test_without_the_extra_the_error_has_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtra, match=r"pip install 'localmind\[sentence-transformers\]'"):
        SentenceTransformersEmbedder("any").open()


@pytest.mark.skipif(not INSTALLED, reason="needs the extra sentence-transformers")
def test_it_embeds_and_tokenizes_like_the_bundled_model() -> None:
    embedder = SentenceTransformersEmbedder(str(model_folder()))
    assert embedder.embed_documents([]).shape == (0, embedder.dim)
    vectors = embedder.embed_documents(["a pump", "a cat"])
    assert np.allclose(vectors[0], embedder.embed_query("a pump"), atol=1e-5)
    assert len(embedder.spans("word " * 900)) == 900


@pytest.mark.skipif(not INSTALLED, reason="needs the extra sentence-transformers")
def test_an_unknown_model_is_a_matter_of_settings() -> None:
    with pytest.raises(ConfigurationError, match="EMBEDDING_MODEL"):
        SentenceTransformersEmbedder("/no/such/model").open()
