"""The reranker behind search, and the cross-encoder where its extra is installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from localmind.errors import ConfigurationError, MissingExtra, Unavailable
from localmind.model import ChunkId, Hit, Ranks, SourceId
from localmind.retrieval.cross_encoder import CrossEncoderReranker
from localmind.retrieval.rerank import reranked
from localmind.settings import Settings
from localmind.wiring import Role, build

INSTALLED = importlib.util.find_spec("sentence_transformers") is not None


class ByLength:
    """The longer, the better."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        return [float(len(text)) for text in texts]


def hit(name: str, text: str, heading: str = "") -> Hit:
    return Hit(ChunkId(name), SourceId("s"), "Title", text, 0, len(text), 0.5, Ranks(vector=1), heading=heading)


def test_hits_take_over_the_scores_and_equal_ones_stay_as_they_were() -> None:
    found = reranked("q", [hit("b", "short"), hit("a", "other"), hit("c", "longer text")], ByLength())
    assert [one.chunk_id for one in found] == ["c", "b", "a"]
    assert found[0].score > found[1].score == found[2].score
    assert found[0].ranks == Ranks(vector=1)


def test_title_and_heading_are_read_too() -> None:
    assert [one.chunk_id for one in reranked("q", [hit("a", "text"), hit("b", "text", "A heading")], ByLength())] == ["b", "a"]
    assert reranked("q", [], ByLength()) == []


def test_without_the_extra_the_service_does_not_start_and_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    mind = build(Settings(_env_file=None, data_dir=tmp_path, reranker_model="any", seed_guides=False), role=Role.ALONE)
    with pytest.raises(MissingExtra, match=r"RERANKER_MODEL.*pip install 'localmind\[sentence-transformers\]'"):
        mind.open()
    mind.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder as small as can be, untrained, that takes at most 16 tokens."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("cross-encoder")
    (path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnop"]))
    size = {"vocab_size": 21, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    transformers.set_seed(0)
    config = transformers.BertConfig(**size, max_position_embeddings=16, num_labels=1, initializer_range=1.0)
    transformers.BertForSequenceClassification(config).save_pretrained(path)
    transformers.BertTokenizer(str(path / "vocab.txt"), model_max_length=16).save_pretrained(path)
    return path


@pytest.mark.skipif(not INSTALLED, reason="needs the extra sentence-transformers")
def test_a_score_for_each_text_that_depends_on_query_and_text_alone(folder: Path) -> None:
    reranker = CrossEncoderReranker(str(folder))
    reranker.open()
    scores = reranker.rerank("a b", ["c d", "e f g", "c d", "h " * 400])
    assert len(scores) == 4
    assert scores[0] == pytest.approx(scores[2])
    assert scores[0] != pytest.approx(scores[1], abs=1e-3)
    assert reranker.rerank("a b", ["e f g"]) == pytest.approx([scores[1]], abs=1e-5)
    assert reranker.rerank("a b", []) == []
    reranker.close()


@pytest.mark.skipif(not INSTALLED, reason="needs the extra sentence-transformers")
def test_a_model_that_breaks_down_is_away(folder: Path) -> None:
    import torch

    reranker = CrossEncoderReranker(str(folder))
    reranker.open()
    with torch.no_grad():
        for weights in reranker._encoder.parameters():
            weights.fill_(float("nan"))
    with pytest.raises(Unavailable, match="no numbers"):
        reranker.rerank("a b", ["c d"])


@pytest.mark.skipif(not INSTALLED, reason="needs the extra sentence-transformers")
def test_an_unknown_model_is_a_matter_of_settings() -> None:
    with pytest.raises(ConfigurationError, match="RERANKER_MODEL"):
        CrossEncoderReranker("/no/such/model").open()
