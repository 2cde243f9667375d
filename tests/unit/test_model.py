"""The words' own arithmetic."""

from __future__ import annotations

from localmind.model import page_at


def test_a_character_of_a_chunk_knows_its_page():
    breaks = (10, 10, 25)  # page 8 is empty

    assert [page_at(6, breaks, offset) for offset in (0, 9, 10, 24, 25, 99)] == [6, 6, 8, 8, 9, 9]
    assert page_at(None, (), 3) is None
