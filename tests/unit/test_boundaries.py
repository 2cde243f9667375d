from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.boundaries import LONG_CHARS, Strength, boundaries
from localmind.model import Heading


def sentences(text: str) -> list[str]:
    starts = [b.position for b in boundaries(text, 0, len(text), []) if b.strength >= Strength.SENTENCE]
    return [text[a:b].strip() for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


@pytest.mark.parametrize(
    "expected",
    [
        ["It runs.", "It stops!", "Does it?", "Yes…", "“Quoted.”", "Then more."],
        ["Dr. Smith met Mr. J. R. Tolkien, e.g. at noon.", "They left at 5 p.m. sharp."],
        ["See Fig. 3 and Sec. 4.2 of Vol. 2.", "Version 1.2.3 is out."],
        ["Das ist z.B. so, vgl. Abb. 3.", "Nr. 5 lebt."],
        ["東京は首都です。", "人口は多い！", "本当？"],
        ["Pumps . . . . . . 12 and ... so on"],
    ],
    ids=["plain", "abbreviations", "references", "german", "japanese", "dots"],
)
@pytest.mark.parametrize("joiner", [" ", "\n"])
def test_sentences_end_where_a_person_would_say(expected: list[str], joiner: str) -> None:
    assert sentences(joiner.join(expected)) == expected


def strengths(text: str, headings: list[Heading] | None = None) -> dict[str, int]:
    """First word after each boundary, and its strength."""
    return {text[b.position :].split()[0]: b.strength for b in boundaries(text, 0, len(text), headings or [])}


def test_paragraphs_beat_list_lines_beat_sentences_beat_wrapped_lines() -> None:
    found = strengths("First sentence. Second one is\nwrapped here\n- item one\n- item two\n\nParagraph.")
    assert found["Second"] == Strength.SENTENCE
    assert found["wrapped"] == Strength.WRAP
    assert found["-"] == Strength.LINE
    assert found["Paragraph."] == Strength.PARAGRAPH


def test_code_and_tables_are_cut_at_lines() -> None:
    assert strengths("if (x) {\n    call();\n}\nend")["call();"] == Strength.LINE
    assert strengths("| a | b |\n| c | d |")["|"] >= Strength.LINE
    assert strengths("name   value\nother   9")["other"] == Strength.LINE


def test_a_heading_is_stronger_the_higher_it_stands() -> None:
    text = "Intro.\n\nOne\ntext\n\nTwo\ntext"
    found = strengths(text, [Heading(1, text.index("One"), "One"), Heading(3, text.index("Two"), "Two")])
    assert found["One"] > found["Two"] > Strength.PARAGRAPH


def test_a_long_sentence_can_be_cut_between_words_and_a_word_without_end_inside() -> None:
    words = "ever and again " * 100
    assert {b.strength for b in boundaries(words, 0, len(words), [])} == {Strength.PARAGRAPH, Strength.WORD}
    run = "x" * 1000
    assert [b.position for b in boundaries(run, 0, 1000, [])] == list(range(0, 1000, 100))


@given(
    st.text(st.sampled_from("ab .!?\n-|。\u00a0;,x") | st.characters(codec="utf-8"), max_size=600), st.integers(0, 50), st.integers(0, 50)
)
def test_boundaries_are_ordered_inside_the_range_and_leave_no_long_piece(text: str, cut_start: int, cut_end: int) -> None:
    start, end = min(cut_start, len(text)), max(min(cut_start, len(text)), len(text) - cut_end)
    positions = [b.position for b in boundaries(text, start, end, [])]
    assert positions[0] == start
    assert positions == sorted(set(positions))
    assert all(start <= position < max(end, start + 1) for position in positions)
    pieces = zip(positions, [*positions[1:], end], strict=True)
    assert all(len(text[a:b].strip()) <= LONG_CHARS + 200 for a, b in pieces)
