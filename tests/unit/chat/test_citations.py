from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from localmind.chat.citations import CitedText, evidence
from localmind.model import ChunkId, Hit, Ranks, SourceId

TEXTS = st.lists(
    st.one_of(
        st.text(max_size=30), st.sampled_from(["The pump is red. ", "\n", "- valve\n", "7 bar. ", "```\nx[1]\n```\n", "Größe: 5 µm. "])
    ),
    min_size=1,
    max_size=15,
).map("".join)
ANSWERS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "The pump ",
                "is red",
                ". ",
                "[1]",
                " [2]",
                "[1, 9]",
                " [7]",
                "[",
                "]",
                "7",
                "1",
                "【5】",
                "[2-8]",
                "\n",
                "valve ",
                "[[3]",
                "`",
                "…",
            ]
        ),
        st.text(max_size=8),
    ),
    max_size=25,
)


def make_hit(text: str, n: int = 1, start: int = 0) -> Hit:
    return Hit(ChunkId(f"c{n}"), SourceId(f"s{n}"), f"Title {n}", text, start, start + len(text), 1.0, Ranks(), page=n)


def cited(answer: list[str], hits: list[Hit]) -> CitedText:
    text = CitedText(hits)
    given_out = "".join(map(text.feed, answer)) + text.finish()
    assert given_out == text.text
    return text


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3), ANSWERS, st.integers(0, 10_000))
def test_every_quote_stands_verbatim_at_its_offsets(texts: list[str], answer: list[str], start: int) -> None:
    hits = [make_hit(text, n, start) for n, text in enumerate(texts, 1)]
    sources = {hit.source_id: "x" * start + hit.text for hit in hits}
    for citation in cited(answer, hits).citations:
        assert sources[citation.source_id][citation.start : citation.end] == citation.quote
        assert citation.page == int(citation.source_id[1:])


@settings(deadline=None)
@given(ANSWERS, st.integers(0, 3))
@example(["[", "[7]", "1]"], 0)
def test_only_numbers_that_have_a_citation_reach_the_reader(answer: list[str], passages: int) -> None:
    text = cited(answer, [make_hit("The pump is red. The valve is open.", n) for n in range(1, passages + 1)])
    shown = re.sub(r"```.*?(?:```|$)|(`+)[^\n]*?\1", "", text.text, flags=re.DOTALL)  # code is not ours to change
    assert {int(n) for n in re.findall(r"\[(\d+)\]|【(\d+)】", shown) for n in n if n} <= {citation.n for citation in text.citations}
    assert [citation.n for citation in text.citations] == list(range(1, len(text.citations) + 1))


@settings(deadline=None)
@given(ANSWERS)
def test_an_answer_in_pieces_is_cited_like_the_whole(answer: list[str]) -> None:
    hits = [make_hit("The pump is red. The valve is open.", n) for n in (1, 2, 3)]
    pieces, whole, letters = cited(answer, hits), cited(["".join(answer)], hits), cited(list("".join(answer)), hits)
    assert pieces.text == whole.text == letters.text
    assert pieces.citations == whole.citations == letters.citations


def test_an_invented_number_is_dropped_also_when_it_comes_in_pieces() -> None:
    text = CitedText([make_hit("Iron melts at 1538 °C.")])
    assert [text.feed(piece) for piece in ["Iron melts at 1538 °C", " [", "7", "]", " and more [1", "]."]] == [
        "Iron melts at 1538 °C",
        "",
        "",
        "",
        " and more",
        " [1].",
    ]
    assert [citation.quote for citation in text.citations] == ["Iron melts at 1538 °C."]


def test_numbers_are_given_in_order_of_appearance() -> None:
    hits = [make_hit(f"Fact {name} holds.", n) for n, name in enumerate(["alpha", "beta", "gamma"], 1)]
    text = cited(["Gamma holds [3]. Alpha holds [1, 3]. Gamma again [3]."], hits)
    assert text.text == "Gamma holds [1]. Alpha holds [2][1]. Gamma again [1]."
    assert [citation.source_id for citation in text.citations] == ["s3", "s1"]


def test_two_statements_from_one_passage_cite_their_own_sentences() -> None:
    hits = [make_hit("The pump runs at 7 bar. It was installed in 1998 by Miller. Nothing else is known.", start=100)]
    text = cited(["It runs at 7 bar [1]. Miller installed it in 1998 [1]."], hits)
    assert text.text == "It runs at 7 bar [1]. Miller installed it in 1998 [2]."
    assert [citation.quote for citation in text.citations] == ["The pump runs at 7 bar.", "It was installed in 1998 by Miller."]


def test_a_marker_behind_the_full_stop_belongs_to_the_sentence_before_it() -> None:
    hits = [make_hit("Copper is red. Silver is white. Gold is yellow.")]
    assert cited(["Silver is white. [1]\n\nGold is yellow.[1]"], hits).citations[0].quote == "Silver is white."


def test_two_markers_in_a_sentence_stand_each_behind_its_part() -> None:
    hits = [make_hit("Copper is a red metal. Silver is a white metal. Gold is a yellow metal.")]
    quotes = [citation.quote for citation in cited(["Silver is white [1], while gold is yellow [1]."], hits).citations]
    assert quotes == ["Silver is a white metal.", "Gold is a yellow metal."]


def test_the_same_sentence_in_overlapping_chunks_is_one_citation() -> None:
    text = "Silver is white. Gold is yellow."
    whole = make_hit(text)
    tail = Hit(ChunkId("c2"), whole.source_id, whole.title, text[17:], 17, len(text), 0.5, Ranks())
    assert cited(["Gold is yellow [1][2]."], [whole, tail]).text == "Gold is yellow [1]."


def test_a_statement_that_two_sentences_support_quotes_both() -> None:
    text = "Intro. The plant opened in 1998. Its director was Anna Miller. It is closed on Sundays."
    start, end = evidence("The plant opened in 1998 under director Anna Miller", text)
    assert text[start:end] == "The plant opened in 1998. Its director was Anna Miller."


def test_without_a_common_word_the_whole_passage_is_the_evidence() -> None:
    assert evidence("Все хорошо", "  The pump is red. It leaks.\n") == (2, 28)
