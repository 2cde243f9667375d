from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from localmind.readers.cleaning import as_heading, clean, one_line


def test_what_parsers_leave_goes() -> None:
    assert clean("exam\ufffeple \x00of\u200b soft\u00adness\ufeff") == "example of softness"


def test_a_soft_hyphen_at_a_line_end_joins_the_word() -> None:
    assert clean("know\u00ad\nledge") == "knowledge"


def test_all_line_ends_become_one() -> None:
    assert clean("a\r\nb\rc\u2028d\x85e\x0cf") == "a\nb\nc\nd\ne\nf"


def test_half_an_emoji_goes_and_two_halves_become_one() -> None:
    assert clean("cut \ud83d") == "cut"
    assert clean("whole \ud83c\udf83") == "whole 🎃"


def test_ligatures_and_no_break_spaces_become_what_a_person_types() -> None:
    assert clean("ﬁne\u00a0aﬀair") == "fine affair"


def test_decomposed_letters_are_composed() -> None:
    assert clean("Ku\u0308rbis") == "Kürbis"


def test_joiners_inside_emoji_and_persian_words_stay() -> None:
    assert clean("👩\u200d🔬 می\u200cخواهم") == "👩\u200d🔬 می\u200cخواهم"


def test_blank_lines_are_at_most_one() -> None:
    assert clean("a  \n\n\n \n\nb\n\n") == "a\n\nb"


def test_a_heading_is_one_short_line() -> None:
    assert as_heading(" Two\n lines ") == "Two lines"
    assert len(as_heading("word " * 100)) <= 200
    assert one_line("a\t\nb") == "a b"


def test_a_long_run_of_spaces_costs_linear_time() -> None:
    began = time.perf_counter()
    clean("x\n" + " \n" + " " * 300_000 + "x\n")
    assert time.perf_counter() - began < 1


@given(st.text(st.characters(codec=None)))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = clean(text)
    once.encode()
    assert clean(once) == once
