from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.text.fts5 import match_terms
from localmind.text.words import indexable, query_terms


@pytest.mark.parametrize(
    ("text", "given_to_the_index"),
    [
        ("Plain text, as it stands: v2.3!", "Plain text, as it stands: v2.3!"),
        ("ﬁle № １", "file No 1"),
        ("C++ and C# and F#, not C", "Cplusplus and Csharp and Fsharp, not C"),
        ("# Heading, a+b, i++ ++i", "# Heading, a+b, iplusplus ++i"),
        ("東京都", " 東京 京都 都 "),
        ("A東京B", "A 東京 京 B"),
        ("한국어", "한국어"),
        ("", ""),
    ],
)
def test_words_stand_apart(text: str, given_to_the_index: str) -> None:
    assert indexable(text) == given_to_the_index


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("Who wrote it?", ['"who"', '"wrote"', '"it"']),
        ("the the THE", ['"the"']),
        ("Einstein's and Einsteins’", ['"einstein"', '"and"', '"einsteins"']),
        ("foo_bar", ['"foo bar"', '"foo"', '"bar"']),
        ("(v2.3)", ['"v2 3"', '"v2"', '"3"']),
        ("well-known", ['"well"', '"known"']),
        ("C++", ['"cplusplus"']),
        ("東京都", ['"東京"', '"京都"']),
        ("猫", ['"猫" *']),
        ("東京tower", ['"東京"', '"tower"']),
        ("हिन्दी", ['"हिन्दी"']),
        ('" * ? !', []),
        ("a_1_b_2_c_3_d_4_e", [f'"{part}"' for part in "a1b2c3d4e"]),
    ],
)
def test_terms_of_a_query(query: str, terms: list[str]) -> None:
    assert match_terms(query) == terms


@given(st.text())
def test_no_term_holds_syntax(query: str) -> None:
    for words, _ in query_terms(query):
        assert words.strip()
        assert '"' not in words
        assert "\x00" not in words
