from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localmind.errors import NoText
from localmind.model import Document
from localmind.readers import formats, markdown
from localmind.readers.encoding import decode
from localmind.readers.sandbox import read_text

RUSSIAN = "Быстрая коричневая лиса перепрыгивает через ленивую собаку. Это обычный русский текст, в котором достаточно слов. " * 4
GERMAN = "Übermäßig viele Köche verderben den Brei, größere Töpfe auch; fällt dir dafür ein schöner Grund ein? " * 4


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    def write(name: str, data: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_german_is_read_in_any_encoding(encoding: str) -> None:
    assert decode(GERMAN.encode(encoding))[0] == GERMAN


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1251", "koi8-r"])
def test_russian_is_read_in_any_encoding(encoding: str) -> None:
    assert decode(RUSSIAN.encode(encoding))[0] == RUSSIAN


def test_japanese_is_read_in_shift_jis() -> None:
    text = "日本語の文章を読むことができるかどうかを確かめるための、すこし長い文章です。ひらがなとカタカナも含みます。" * 4
    assert decode(text.encode("shift_jis"))[0] == text


def test_one_bad_byte_does_not_spoil_the_rest() -> None:
    data = GERMAN.encode()
    text, encoding = decode(data[:200] + b"\xff" + data[200:])
    assert encoding == "utf-8"
    assert text.replace("\ufffd", "") == GERMAN


def test_plain_text_keeps_its_paragraphs(read: Callable[..., Document], write: Callable[..., Path]) -> None:
    document = read(write("a.txt", "One\r\ntwo\r\n\r\n\r\nThree\x00"))
    assert document.text == "One\ntwo\n\nThree"
    assert document.media_type == formats.TEXT


def test_markdown_headings_are_found_where_they_stand(read: Callable[..., Document], write: Callable[..., Path]) -> None:
    front = "---\ntitle: The guide\nauthor: Ada\n---\n\n"
    text = front + "Intro\n=====\n\nText\n\n## A `code` and [link](http://x)  ##\n\n```sh\n# no heading\n```\n\n- a\n---\n"
    document = read(write("a.md", text))
    assert document.title == "The guide"
    assert document.meta["author"] == "Ada"
    assert [(h.level, h.text) for h in document.headings] == [(1, "Intro"), (2, "A code and link")]
    assert document.text.startswith("Intro\n=====\n\nText")
    assert document.text[document.headings[1].start :].startswith("## A `code`")


def test_a_rule_after_front_matter_like_lines_is_no_front_matter() -> None:
    assert markdown.from_text("---\n\nWords\n\n---\n\nMore").text.startswith("---\n\nWords")


def test_a_text_given_as_text_is_read_without_a_process() -> None:
    assert [h.text for h in read_text("# Hello\n\nWorld").headings] == ["Hello"]
    assert read_text("# Hello\n\nWorld", markdown=False).headings == ()
    with pytest.raises(NoText):
        read_text(" \n\x00")


def test_a_row_of_a_table_names_its_columns(read: Callable[..., Document], write: Callable[..., Path]) -> None:
    document = read(write("people.csv", 'Name;Born;Note\nAda;1815;"wrote; the first\nprogram"\nAlan;1912;\n'))
    assert document.text == "Name | Born | Note\n\nName: Ada; Born: 1815; Note: wrote; the first program\nName: Alan; Born: 1912"


def test_a_table_without_header_keeps_its_values(read: Callable[..., Document], write: Callable[..., Path]) -> None:
    assert read(write("n.csv", "1,2\n3,4\n5,6\n")).text == "1\t2\n3\t4\n5\t6"


def test_json_becomes_lines_with_paths(read: Callable[..., Document], write: Callable[..., Path]) -> None:
    value = {"name": "Ada", "tags": ["a", "b"], "address": {"town": "London", "zip": None}, "works": [{"year": 1843}]}
    assert read(write("a.json", json.dumps(value))).text == "name: Ada\n\ntags: a, b\n\naddress.town: London\n\nworks[1].year: 1843"


def test_json_lines_are_records(read: Callable[..., Document], write: Callable[..., Path]) -> None:
    assert read(write("a.jsonl", '{"a": 1, "b": 2}\n{"a": 3}\n')).text == "a: 1\nb: 2\n\na: 3"


@pytest.mark.parametrize("text", ['{"a": 1, "b": [1, 2', '{"a": ' * 100_000])
def test_damaged_json_is_still_text(read: Callable[..., Document], write: Callable[..., Path], text: str) -> None:
    document = read(write("a.json", text))
    assert '"a": ' in document.text
    assert "no valid JSON" in document.notes[0]


def test_deep_json_is_walked_without_recursion(read: Callable[..., Document], write: Callable[..., Path]) -> None:
    value: object = "deep"
    for _ in range(400):
        value = {"k": value}
    assert read(write("a.json", json.dumps(value))).text.endswith("k: deep")
