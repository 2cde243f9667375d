"""Models wrap, break and decorate the JSON that they are asked for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.extraction.answers import read_answer, read_several
from localmind.llm.answers import Unreadable
from localmind.model import ExtractedEntity, ExtractedRelation, Extraction

TEXT = "Ada Lovelace wrote notes on the Analytical Engine. The Analytical Engine was never built."
ADA = {"name": "Ada Lovelace", "type": "Person", "description": "She wrote notes."}
ENGINE = {"name": "Analytical Engine", "type": "technology", "description": "A machine."}
WROTE = {"source": "Ada Lovelace", "target": "Analytical Engine", "type": "wrote about", "description": "She wrote notes on it."}
ANSWER = json.dumps({"entities": [ADA, ENGINE], "relations": [WROTE]}, indent=1)
READ = Extraction(
    (
        ExtractedEntity("Ada Lovelace", "person", "She wrote notes.", 1.0, 0, 12),
        ExtractedEntity("Analytical Engine", "technology", "A machine.", 2.0, 32, 49),
    ),
    (ExtractedRelation("Ada Lovelace", "Analytical Engine", "wrote about", "She wrote notes on it."),),
)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        f"```json\n{ANSWER}\n```",
        f'Here is the "JSON:\n\n{ANSWER}\n\nI hope that {{helps}}!',
        f"<think>An object {{}} with {{'entities'}}? Yes.</think>{ANSWER}",
        ANSWER.replace("}\n ]", "},\n ]").replace("]\n}", "],\n}"),
        ANSWER.replace("wrote notes.", "wrote\\u0000 notes.\n"),
    ],
    ids=["plain", "fenced", "in prose", "after thoughts", "trailing commas", "control characters"],
)
def test_an_answer_is_read_whatever_stands_around_it(answer):
    assert read_answer(answer, TEXT) == READ


def test_a_comma_before_a_bracket_within_a_text_stays():
    answer = json.dumps({"entities": [{"name": "A [b, ] c"}], "relations": []})

    assert read_answer(answer, TEXT).entities[0].name == "A [b, ] c"


@pytest.mark.parametrize(
    "relation",
    [
        {"source": "Ada Lovelace", "target": "Charles Babbage"},
        {"source": "Ada Lovelace", "target": "the Ada-Lovelace"},
        {"source": "Ada Lovelace"},
        "Ada -> Engine",
    ],
)
def test_relations_without_two_known_ends_are_left_out(relation):
    answer = json.dumps({"entities": [ADA, ENGINE], "relations": [relation, WROTE]})

    assert read_answer(answer, TEXT).relations == READ.relations


def test_ends_of_relations_are_found_by_name_not_by_spelling():
    answer = json.dumps({"entities": [ADA, ENGINE], "relations": [WROTE | {"target": "the analytical engines"}]})

    assert read_answer(answer, TEXT).relations == READ.relations


@pytest.mark.parametrize("name", ["", "  ", "...", "x" * 201, None, 7])
def test_names_that_name_nothing_are_left_out(name):
    answer = json.dumps({"entities": [{"name": name}, ADA, ADA | {"name": "ada lovelace"}], "relations": None})

    assert [entity.name for entity in read_answer(answer, TEXT).entities] == ["Ada Lovelace"]


def test_fields_that_are_missing_get_defaults_and_long_ones_are_cut():
    answer = json.dumps({"entities": [{"name": "Ada", "type": None, "description": "d" * 900}, {"name": "Engine"}]})

    ada, engine = read_answer(answer, TEXT).entities

    assert (ada.type, len(ada.description)) == ("concept", 500)
    assert (engine.type, engine.description) == ("concept", "")


def test_what_no_database_takes_is_taken_out():
    answer = '{"entities": [{"name": "Ada\\u0000 \\ud800Lovelace", "type": "person"}]}'

    assert read_answer(answer, TEXT).entities[0].name == "Ada Lovelace"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "no JSON object"),
        ("I can't do that.", "no JSON object"),
        (ANSWER[:-40], "Expecting|Unterminated"),
        ('{"result": []}', "no entities"),
        ('{"entities": "none"}', "not a list"),
        ('{"entities": [{"label": "Ada"}]}', "entities: name"),
        ("{" * 100_000, "Expecting"),
        ('{"entities": ' + "[" * 100_000, "."),
    ],
)
def test_what_can_not_be_read_says_why(answer, why):
    with pytest.raises(Unreadable, match=why):
        read_answer(answer, TEXT)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_json_breaks_it(value):
    for answer in (json.dumps(value), json.dumps({"entities": value}), json.dumps({"entities": [value], "relations": [value]})):
        try:
            extraction = read_answer(answer, TEXT)
        except Unreadable:
            continue
        names = {entity.name for entity in extraction.entities}
        assert all(relation.source in names and relation.target in names for relation in extraction.relations)


def answer_about(**passages):
    return json.dumps({"passages": [{"id": key, "entities": entities, "relations": []} for key, entities in passages.items()]})


def names(extraction):
    return [entity.name for entity in extraction.entities]


def test_results_of_several_passages_are_known_by_their_ids_in_whatever_order():
    read = read_several(answer_about(b=[ENGINE], a=[ADA], stranger=[ADA]), {"a": TEXT, "b": "An analytical\nengine."})

    assert {key: names(extraction) for key, extraction in read.items()} == {"a": ["Ada Lovelace"], "b": ["Analytical Engine"]}
    assert (read["b"].entities[0].start, read["b"].entities[0].end) == (3, 20)


def test_half_an_answer_gives_the_passages_that_are_whole():
    whole = answer_about(a=[ADA], b=[ENGINE], c=[ADA])

    read = read_several(whole[: whole.index('"c"') + 30], {"a": TEXT, "b": TEXT, "c": TEXT})

    assert list(read) == ["a", "b"]


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "no",
        "[]",
        '{"passages": "none"}',
        '{"passages": [1, {"id": "a"}, {"id": "a", "entities": 3}]}',
        '{"entities": []}',
        "x" * 300_000,
    ],
)
def test_what_tells_of_no_passage_gives_nothing(answer):
    assert read_several(answer, {"a": TEXT}) == {}


def test_the_first_answer_to_an_id_stays():
    answer = '{"id": "a", "entities": [{"name": "Ada"}]} {"id": "a", "entities": [{"name": "Bob"}]}'

    assert names(read_several(answer, {"a": TEXT})["a"]) == ["Ada"]


def test_an_answer_far_too_long_is_not_read():
    with pytest.raises(Unreadable, match="characters"):
        read_answer('{"entities": [' + "{}," * 100_000, TEXT)


def test_a_model_that_repeats_itself_gives_no_more_than_a_hundred():
    answer = json.dumps({"entities": [{"name": f"thing {n}"} for n in range(500)], "relations": []})

    assert len(read_answer(answer, TEXT).entities) == 100


def test_a_name_of_ten_thousand_characters_is_no_entity_nor_the_end_of_a_relation():
    long = "Ada " * 2500
    answer = json.dumps({"entities": [ADA, {"name": long}], "relations": [{"source": "Ada Lovelace", "target": long}]})

    assert read_answer(answer, TEXT) == Extraction(READ.entities[:1])
