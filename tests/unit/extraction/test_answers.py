"""Models wrap, break and decorate the JSON that they are asked for."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.extraction.answers import Unreadable, read_answer
from localmind.model import ExtractedEntity, ExtractedRelation, Extraction

TEXT = "Ada Lovelace wrote notes on the Analytical Engine. The Analytical Engine was never built."
ADA = {"name": "Ada Lovelace", "type": "Person", "description": "She wrote notes."}
ENGINE = {"name": "Analytical Engine", "type": "technology", "description": "A machine."}
WROTE = {"source": "Ada Lovelace", "target": "Analytical Engine", "type": "wrote about", "description": "She wrote notes on it."}
ANSWER = json.dumps({"entities": [ADA, ENGINE], "relations": [WROTE]}, indent=1)
READ = Extraction(
    (
        ExtractedEntity("Ada Lovelace", "person", "She wrote notes.", 1.0),
        ExtractedEntity("Analytical Engine", "technology", "A machine.", 2.0),
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
