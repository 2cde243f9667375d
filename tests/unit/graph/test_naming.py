"""entity_key decides which names are one entity."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localmind.graph.naming import entity_key


@pytest.mark.parametrize(
    "names",
    [
        ["data frame", "Data Frame", "data frames", "the data-frame", "data.frame", "data_frame", "data.frame()", "Data\u2010Frames"],
        ["U.S.A.", "USA", "U. S. A."],
        ["J. R. R. Tolkien", "J.R.R. Tolkien", "JRR Tolkien"],
        ["O’Brien's", "O'Brien", "OBrien"],
        ["L'Oréal", "l’Oreal", "Oréal"],
        ["COVID-19", "Covid 19", "covid19"],
        ["Johnson & Johnson", "Johnson and Johnson"],
        ["library", "Libraries"],
        ["class", "classes"],
        ["database", "databases"],
        ["API", "APIs"],
        ["Straße", "STRASSE"],
        ["Łódź", "lodz"],
        ["Ёлка", "елка"],
        ["Ὀδυσσεύς", "ΟΔΥΣΣΕΥΣ"],
        ["ｶﾞﾝﾀﾞﾑ", "ガンダム"],
    ],
    ids=lambda names: names[0],
)
def test_spellings_of_one_name_have_one_key(names):
    assert len({entity_key(name) for name in names}) == 1, {name: entity_key(name) for name in names}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C", "C#"),
        ("Windows", "window"),
        ("news", "new"),
        ("Williams", "William"),
        ("Python 3.11", "Python 311"),
        ("Йод", "Иод"),
        ("status", "statu"),
        ("A-Team", "team"),
        ("か", "が"),
    ],
)
def test_different_names_stay_apart(one, other):
    assert entity_key(one) != entity_key(other)


@pytest.mark.parametrize("name", ["日本語", "हिन्दी", "ภาษาไทย", "עברית", "العربية"])
def test_other_scripts_are_kept(name):
    assert entity_key(name) == name


@pytest.mark.parametrize("name", ["The", "A", "'s", "S", "the the", "ﾞ"])
def test_a_name_of_articles_and_endings_alone_keeps_a_key(name):
    assert entity_key(name)


@given(st.text(max_size=40) | st.from_regex(r"[A-Za-z .'&+#é0-9s-]{0,30}", fullmatch=True))
@example("A the a b")
@example("&'s")
@example("a.b.c.. ab 2 s's")
def test_the_key_is_its_own_key_and_never_lost(name):
    key = entity_key(name)
    assert entity_key(key) == key
    assert bool(key) or not any(map(str.isalnum, name))
    assert key == key.strip()
