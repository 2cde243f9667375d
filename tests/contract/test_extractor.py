"""What every extractor owes the port (localmind/extraction/port.py)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.llm import LLMExtractor
from localmind.extraction.port import ExtractionResult, Passage
from localmind.graph.naming import entity_key
from localmind.llm.openai import OpenAILLM
from tests.llm_server import LLMServer

PASSAGES = [
    Passage(
        "Engines", "History", "Ada Lovelace wrote notes on the Analytical Engine. Charles Babbage designed the Analytical Engine in London."
    ),
    Passage("", "", ""),
    Passage(
        "Handbook",
        "Queues › Message Queue",
        "The Message Queue (MQ) keeps messages for 7 days. Redis wakes the workers of the Message Queue.",
    ),
    Passage("漢字", "", "東京大学で人工知能と機械学習を研究する。人工知能の歴史。"),
    Passage("", "", "\x00\ud800 ... 12 %% {}"),
]


@pytest.fixture(params=["keyphrase", "llm"])
def extractor(request):
    if request.param == "keyphrase":
        yield KeyphraseExtractor()
        return
    with LLMServer() as server:
        server.always(_names_in_order)
        llm = OpenAILLM(server.base_url, "", "scripted", timeout_s=10)
        yield LLMExtractor(llm, concurrency=2)
        llm.close()


def _names_in_order(request):
    """A model that notes capitalised words, and relates each to the next."""
    words = dict.fromkeys(word.strip(".,()") for word in request.user.split() if word[0].isupper() and word.strip(".,()").isalpha())
    entities = [{"name": word, "type": "name", "description": "a word"} for word in words]
    pairs = zip(words, list(words)[1:], strict=False)
    return {"entities": entities, "relations": [{"source": a, "target": b, "type": "next", "description": ""} for a, b in pairs]}


def test_there_is_one_result_a_passage_in_order(extractor):
    results = extractor.extract(PASSAGES)

    assert len(results) == len(PASSAGES)
    assert all(isinstance(result, ExtractionResult) and result.problem is None for result in results)
    assert any("Lovelace" in entity.name for entity in results[0].extraction.entities)
    assert any("Redis" in entity.name for entity in results[2].extraction.entities)


def test_no_passages_give_no_results(extractor):
    assert extractor.extract([]) == []


def test_entities_have_distinct_keys_and_positive_weights(extractor):
    for result in extractor.extract(PASSAGES):
        keys = [entity_key(entity.name) for entity in result.extraction.entities]
        assert all(keys) and len(set(keys)) == len(keys)
        assert all(entity.weight > 0 and entity.type and len(entity.name) <= 200 for entity in result.extraction.entities)


def test_both_ends_of_a_relation_are_entities_and_differ(extractor):
    for result in extractor.extract(PASSAGES):
        names = {entity.name for entity in result.extraction.entities}
        for relation in result.extraction.relations:
            assert {relation.source, relation.target} <= names
            assert relation.source != relation.target
            assert relation.weight > 0 and relation.type


def test_names_can_be_written_anywhere(extractor):
    for result in extractor.extract(PASSAGES):
        for entity in result.extraction.entities:
            entity.name.encode("utf-8")
            assert "\x00" not in entity.name


def test_the_version_fits_the_caches_column(extractor):
    assert 0 < len(extractor.version) <= 128


def test_threads_do_not_disturb_each_other(extractor):
    alone = extractor.extract(PASSAGES)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: extractor.extract(PASSAGES), range(8)))

    assert all(results == alone for results in together)


def test_a_result_depends_on_its_own_passage_alone(extractor):
    whole = extractor.extract(PASSAGES)

    assert whole == [extractor.extract([passage])[0] for passage in PASSAGES]
