from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localmind.chat.sentences import MAX_CHARS, Kind, display, split

TEXTS = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from([". ", "\n", "\n\n", "- ", "```", "    ", "| ", "# ", "Dr. ", "? ", "。", "word ", "1. ", "\n---\n"]),
    ),
    max_size=40,
).map("".join)


def pieces(text: str) -> list[str]:
    return [text[piece.start : piece.end] for piece in split(text)]


@settings(deadline=None)
@given(TEXTS)
def test_pieces_stand_in_order_apart_and_without_space_around_them(text: str) -> None:
    found = split(text)
    ends = [0, *(piece.end for piece in found)]
    assert all(end <= piece.start < piece.end <= len(text) for end, piece in zip(ends, found, strict=False))
    assert all(not (text[p.start].isspace() or text[p.end - 1].isspace()) for p in found if p.kind is not Kind.CODE)


@settings(deadline=None)
@given(st.text(alphabet="ab c\n.", min_size=MAX_CHARS, max_size=4 * MAX_CHARS))
def test_no_piece_is_longer_than_can_be_quoted(text: str) -> None:
    assert all(piece.end - piece.start <= MAX_CHARS for piece in split(text))


def test_a_sentence_goes_on_over_line_breaks() -> None:
    text = "The pump is checked every\n400 hours of work. A worn seal is\nreplaced."
    assert pieces(text) == ["The pump is checked every\n400 hours of work.", "A worn seal is\nreplaced."]


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Smith lives in St. Ives.",
        "It is made by J. R. R. Tolkien Ltd. Partners.",
        "See Fig. 3 and p. 12 for the U.S. figures.",
        "Version 3.11 costs 4.50 a month.",
        "Some tools, e.g. Make, are old.",
        "He asked (why?) and left.",
    ],
)
def test_a_full_stop_inside_a_sentence_does_not_end_it(sentence: str) -> None:
    assert pieces(sentence + " Then it ends.") == [sentence, "Then it ends."]


def test_sentences_of_other_scripts_end_too() -> None:
    assert pieces("今日は晴れです。明日は雨です。") == ["今日は晴れです。", "明日は雨です。"]
    assert pieces("Привет, мир! Как дела?") == ["Привет, мир!", "Как дела?"]


def test_list_items_are_pieces_without_their_bullets() -> None:
    text = "To mend it:\n- stop the service\n- free some space, then\n  start it\n\n1. First\n2) Second"
    assert pieces(text) == ["To mend it:", "stop the service", "free some space, then\n  start it", "First", "Second"]
    assert [piece.kind for piece in split(text)] == [Kind.PROSE, *[Kind.ITEM] * 4]


def test_code_stays_in_one_piece() -> None:
    text = "Run this:\n\n```bash\nlocalmind doctor\nlocalmind status. Then wait\n```\nDone."
    found = split(text)
    assert [piece.kind for piece in found] == [Kind.PROSE, Kind.CODE, Kind.PROSE]
    assert text[found[1].start : found[1].end] == "localmind doctor\nlocalmind status. Then wait"


def test_a_chunk_that_was_cut_inside_code_begins_with_code() -> None:
    text = "localmind doctor\nlocalmind status\n```\n\n- It is slow.\n- It is away.\n\nDone."
    assert [piece.kind for piece in split(text)] == [Kind.CODE, Kind.ITEM, Kind.ITEM, Kind.PROSE]
    assert text[slice(*split(text)[0][:2])] == "localmind doctor\nlocalmind status"


def test_a_chunk_that_ends_inside_code_ends_with_code() -> None:
    assert [piece.kind for piece in split("Run this:\n\n```\nlocalmind doctor")] == [Kind.PROSE, Kind.CODE]


def test_an_indented_block_after_an_empty_line_is_code() -> None:
    assert [piece.kind for piece in split("Like so:\n\n    make run\n    make test\n\nDone.")] == [Kind.PROSE, Kind.CODE, Kind.PROSE]


@pytest.mark.parametrize("text", ["# Backups\nCopy it.", "Backups\n\nCopy it.", "3.2 Backups\nCopy it.", "Backups\n=======\nCopy it."])
def test_a_heading_is_told_from_the_text_below_it(text: str) -> None:
    found = split(text)
    assert [piece.kind for piece in found] == [Kind.HEADING, Kind.PROSE]
    assert text[found[1].start : found[1].end] == "Copy it."


def test_a_table_row_is_shown_with_dots_between_its_cells() -> None:
    text = "| port | default |\n|---|---|\n| http | 8000 |"
    assert [display(text[p.start : p.end], p.kind) for p in split(text)] == ["port · default", "http · 8000"]


def test_a_piece_is_shown_on_one_line_without_the_reference_numbers_of_its_source() -> None:
    assert display("The well-\nknown pump[3] is\n  checked [4, 5].", Kind.PROSE) == "The well-known pump is checked (4, 5)."


def test_links_and_quotation_marks_of_markdown_are_not_shown() -> None:
    assert display("> See [the manual](https://example.org/m.html) and ![a pump](pump.png).", Kind.PROSE) == "See the manual and a pump."
