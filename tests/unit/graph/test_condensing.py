"""One description out of what many chunks say."""

from __future__ import annotations

from localmind.graph.condensing import MOST_CHARS, MOST_SENTENCES, condense
from localmind.graph.port import Statement
from localmind.model import ChunkId, ChunkKey, SourceId

ONE, TWO, THREE = (ChunkKey(ChunkId(f"c{n}"), SourceId(f"s{n}")) for n in (1, 2, 3))


def test_each_sentence_stands_once_with_all_who_say_it() -> None:
    found = condense(
        [
            Statement(ONE, "A pump in Bergen. It was built in 1901."),
            Statement(TWO, "It was built in 1901!"),
            Statement(THREE, "It weighs three tons."),
        ]
    )
    assert found == [("A pump in Bergen.", (ONE,)), ("It was built in 1901.", (ONE, TWO)), ("It weighs three tons.", (THREE,))]


def test_it_stays_short() -> None:
    found = condense([Statement(ONE, " ".join(f"Word{n}a{m}" for m in range(9)) + ".") for n in range(50)])
    assert len(found) == MOST_SENTENCES
    assert len(condense([Statement(ONE, "x" * 10_000)])[0].text) == MOST_CHARS
    assert condense([]) == condense([Statement(ONE, " … ")]) == []
