from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.web.passages import Block, Run, Window, blocks, window_after, window_at, window_before
from localmind.model import Document, Heading

TEXT = "\n\n".join(f"Paragraph {k} has a few words.\nAnd a second line." for k in range(400))


def shown(found: list[Block]) -> str:
    return "".join(run.text for block in found for run in block.runs)


def test_a_window_begins_with_a_paragraph_before_the_place_and_holds_it() -> None:
    place = TEXT.index("Paragraph 200")
    window = window_at(TEXT, place, chars=2000)
    assert window.start < place < window.end
    assert TEXT.startswith("Paragraph", window.start)


def test_windows_follow_each_other_without_gap_or_overlap() -> None:
    window = window_at(TEXT, 0, chars=2000)
    seen = TEXT[window.start : window.end]
    while (following := window_after(TEXT, window, chars=2000)) is not None:
        assert window_before(TEXT, following, chars=2000) is not None
        window = following
        seen += TEXT[window.start : window.end]
    assert seen == TEXT


@given(text=st.text(alphabet="a \n", max_size=300), place=st.integers(-5, 400), chars=st.integers(8, 50))
def test_every_window_lies_in_the_text_and_moves_on(text: str, place: int, chars: int) -> None:
    window = window_at(text, place, chars=chars)
    assert 0 <= window.start <= window.end <= len(text)
    after, before = window_after(text, window, chars=chars), window_before(text, window, chars=chars)
    assert after is None or (after.start == window.end and after.end > after.start)
    assert before is None or (before.end == window.start and before.start < before.end)


def test_the_cited_range_is_marked_and_nothing_else() -> None:
    start = TEXT.index("Paragraph 3 has")
    found = blocks(Document(TEXT, "text/plain"), Window(0, 600), Window(start, start + 11))
    assert [run.text for block in found for run in block.runs if run.is_cited] == ["Paragraph 3"]


def test_a_citation_over_two_paragraphs_is_marked_in_both() -> None:
    document = Document("One two.\n\nThree four.", "text/plain")
    found = blocks(document, Window(0, 21), Window(4, 15))
    assert [run.text for block in found for run in block.runs if run.is_cited] == ["two.", "Three"]


@pytest.mark.parametrize("line", ["Gates", "## Gates", "# Gates #"])
def test_a_heading_that_stands_in_the_text_is_shown_once_and_without_its_marks(line: str) -> None:
    text = f"{line}\n\nThey close at dusk."
    found = blocks(Document(text, "text/markdown", headings=(Heading(2, 0, "Gates"),)), Window(0, len(text)))
    assert found == [Block((Run("Gates", False),), level=2), Block((Run("They close at dusk.", False),))]


def test_a_cited_heading_is_marked() -> None:
    text = "# Gates\n\nThey close at dusk."
    found = blocks(Document(text, "text/markdown", headings=(Heading(1, 0, "Gates"),)), Window(0, len(text)), Window(0, 7))
    assert found[0].runs == (Run("Gates", True),)


def test_a_message_is_headed_by_its_author_who_is_not_part_of_the_text() -> None:
    document = Document("When do they close?\n\nAt dusk.", "text/plain", headings=(Heading(2, 0, "user"), Heading(2, 21, "assistant")))
    found = blocks(document, Window(0, 29))
    assert [(block.level, shown([block])) for block in found] == [
        (2, "user"),
        (0, "When do they close?"),
        (2, "assistant"),
        (0, "At dusk."),
    ]
