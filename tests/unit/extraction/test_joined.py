"""An LLM's extraction beside the keyphrases."""

from __future__ import annotations

from localmind.extraction.joined import joined
from localmind.extraction.keyphrase import KeyphraseExtractor
from localmind.extraction.port import Passage
from localmind.model import ABOUT, ExtractedEntity, ExtractedRelation, Extraction

PASSAGE = Passage("Actresses: Norway", "", "Edith Carlmar was one of the actresses of Oslo.")


def by_name(said: Extraction, passage: Passage = PASSAGE) -> dict[str, ExtractedEntity]:
    found = KeyphraseExtractor().extract([passage])[0].extraction
    return {entity.name: entity for entity in joined(said, found).entities}


def test_what_an_llm_extracted_is_told_what_the_chunk_is_about() -> None:
    said = Extraction((ExtractedEntity("edith CARLMAR", "person", "an actress"), ExtractedEntity("Oslo", "place")))
    told = by_name(said)
    assert (told["edith CARLMAR"].description, told["edith CARLMAR"].weight >= ABOUT) == ("an actress", True)
    assert (told["Oslo"].type, told["Oslo"].weight < ABOUT) == ("place", True)
    assert "Edith Carlmar" not in told


def test_what_the_llm_leaves_out_stays_with_what_the_chunk_is_about() -> None:
    told = by_name(Extraction((ExtractedEntity("Oslo", "place"),)))
    assert told["Edith Carlmar"].weight >= ABOUT
    assert "actresses" in told


def test_the_relations_are_the_llms() -> None:
    said = Extraction((ExtractedEntity("Carlmar"), ExtractedEntity("Oslo")), (ExtractedRelation("Carlmar", "Oslo", "lived in"),))
    found = KeyphraseExtractor().extract([PASSAGE])[0].extraction
    assert found.relations
    assert joined(said, found).relations == said.relations


def test_naming_something_often_does_not_make_it_the_subject() -> None:
    assert by_name(Extraction((ExtractedEntity("rain", weight=30.0),)))["rain"].weight < ABOUT
