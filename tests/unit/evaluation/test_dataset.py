"""What a dataset may hold, and that a bad line is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from localmind.errors import InvalidInput
from localmind.evaluation.dataset import Case, ExpectedSource, load

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "set.jsonl"


def test_a_line_names_sources_pages_and_strings(file: Path) -> None:
    file.write_text(
        '\ufeff{"question": " Who? ", "sources": ["a.pdf", {"source": "b.pdf", "page": 3}, {"source": "c", "pages": [1, 2]}], "id": 7}\n\n'
        '{"question": "When?", "strings": ["1998", "1998"], "note": "hard"}\n',
        encoding="utf-8",
    )
    sources = (ExpectedSource("a.pdf"), ExpectedSource("b.pdf", (3,)), ExpectedSource("c", (1, 2)))
    assert load(file) == [Case("Who?", sources), Case("When?", strings=("1998",))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('"text"', "no JSON object"),
        ('{"sources": ["a"]}', "question is missing"),
        ('{"question": " ", "sources": ["a"]}', "question is missing"),
        ('{"question": "Who?"}', "neither sources nor strings"),
        ('{"question": "Who?", "sources": []}', "neither sources nor strings"),
        ('{"question": "Who?", "sources": "a"}', "sources is no list"),
        ('{"question": "Who?", "sources": [1]}', "a source is a name"),
        ('{"question": "Who?", "sources": [{"source": "a", "page": 0}]}', "a page is a number"),
        ('{"question": "Who?", "sources": [{"source": "a", "page": true}]}', "a page is a number"),
        ('{"question": "Who?", "sources": [{"page": 1}]}', "a source is empty"),
        ('{"question": "Who?", "strings": [""]}', "a string is empty"),
        ('{"question": "Who?", "gold": ["a"]}', "'gold' is not known"),
        ('{"question": "First?", "strings": ["a"]}', "the question of line 1 again"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(file: Path, line: str, reason: str) -> None:
    file.write_text('{"question": "First?", "strings": ["a"]}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="line 2") as refused:
        load(file)
    assert reason in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"])
def test_a_file_without_questions_is_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(InvalidInput):
        load(file)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can't be read"):
        load(tmp_path / "nothing.jsonl")
    with pytest.raises(InvalidInput, match="can't be read"):
        load(tmp_path)


def test_our_own_dataset_asks_for_what_our_guides_say() -> None:
    guides = {path.read_text().split("\n", 1)[0].removeprefix("# "): path.read_text() for path in (ROOT / "docs/guides").glob("*.md")}
    cases = load(ROOT / "tests/data/guides_eval.jsonl")

    assert len(cases) >= 20
    for case in cases:
        text = " ".join(guides[source.name] for source in case.sources)
        assert all(string in text for string in case.strings), case
