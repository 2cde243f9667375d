from __future__ import annotations

import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localmind.catalog import fts
from localmind.text.stems import LONGEST_WORD, stem, stemmed
from localmind.text.words import indexable


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("She was Running home, twice.", "she wa run home twice"),
        ("Ein Café in Ökonomien", "ein cafe in okonomien"),
        ("C++ and v2.3.5", "cplusplu and v2 3 5"),
        ("東京都", "東京 京都 都"),
        ("Москва — й", "москва й"),
        ("हिन्दी में", "हिन्दी में"),
        ("?! …", ""),
    ],
)
def test_words_are_folded_and_stemmed(text: str, words: str) -> None:
    assert stemmed(text) == words


def test_they_are_the_words_that_fts5_makes() -> None:
    text = "The running dogs' agreed relational conditions flying; Ökonomien, naïve generalizations of 42 Ponies_and v2.3 happy hopping"
    connection = sqlite3.connect(":memory:")
    connection.execute(fts.CREATE[0])
    connection.execute("CREATE VIRTUAL TABLE terms USING fts5vocab(chunk_fts, 'row')")
    connection.execute("INSERT INTO chunk_fts (rowid, text) VALUES (1, ?)", (indexable(text),))
    assert {row[0] for row in connection.execute("SELECT term FROM terms")} == set(stemmed(text).split())
    connection.close()


@given(st.text())
def test_what_is_given_is_words_between_single_spaces(text: str) -> None:
    words = stemmed(text)
    assert words == " ".join(words.split())
    assert all(any(char.isalnum() for char in word) or not word.isascii() for word in words.split())


def test_a_word_without_end_is_cut() -> None:
    assert len(stem("x" * 1000)) == LONGEST_WORD


def test_threads_do_not_share_a_stemmer() -> None:
    words = [f"{letter}running" for letter in "abcdefghijklmnopqrstuvwxyz"] * 20
    found: list[list[str]] = []

    def work() -> None:
        found.append([stem.__wrapped__(word) for word in words])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[f"{letter}run" for letter in "abcdefghijklmnopqrstuvwxyz"] * 20] * 4
