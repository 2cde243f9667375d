"""The JSON in what a model answers is found by one function, whatever stands around it."""

from __future__ import annotations

import pytest

from localmind.chat import decomposition
from localmind.communities import summarising
from localmind.ingest.judging import read_verdicts
from localmind.llm.answers import MOST_ANSWER_CHARS, object_with, one_line

AROUND = [
    "{}",
    "```json\n{}\n```",
    '<think>Is it {{"a": 1}}? Yes.</think>{}',
    "As {{asked}}, here it is: {} I hope that {{this}} helps.",
]


@pytest.mark.parametrize("around", AROUND)
def test_every_reader_of_json_finds_it_in_the_same_clutter(around: str) -> None:
    def wrapped(json: str) -> str:
        return around.replace("{}", "<JSON>").replace("{{", "{").replace("}}", "}").replace("<JSON>", json)

    assert object_with(wrapped('{"a": [1, 2,],}'), "a") == {"a": [1, 2]}
    assert read_verdicts(wrapped('{"answers": [{"n": 1, "same": true},]}'), 1) == [True]
    assert summarising.parse(wrapped('{"title": "Brokers.", "summary": "Queues\n of all kinds."}')) == ("Brokers", "Queues of all kinds.")
    asked = '{"questions": ["Who made Kestrel?", "Who filmed Kestrel?"]}'
    assert len(list(decomposition._read(wrapped(asked), "Who made and who filmed Kestrel?"))) == 2


@pytest.mark.parametrize(
    "answer", ["", "no", "[1]", '{"b": 1}', '{"a": ', "{" * 100_000, '{"a":' * 100_000, " " * MOST_ANSWER_CHARS + '{"a": 1}']
)
def test_an_answer_without_the_field_gives_nothing(answer: str) -> None:
    assert object_with(answer, "a") == {}


def test_all_fields_must_be_there() -> None:
    assert object_with('{"a": 1} {"a": 2, "b": 3}', "a", "b") == {"a": 2, "b": 3}


@pytest.mark.parametrize("title", ["null", "3", '["a"]', '"\\u0000 "', '""'])
def test_a_summary_without_a_title_is_none(title: str) -> None:
    assert summarising.parse(f'{{"title": {title}, "summary": "All of it."}}') is None


def test_what_no_database_takes_is_taken_out() -> None:
    assert one_line("a\x00b\n\tc \ud800d") == "a b c d"
