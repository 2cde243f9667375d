from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from localmind.chat.markers import Marker, Scanner, Text, disarmed, scan, without

PIECES = st.sampled_from(
    ["[", "]", "1", "7", ", ", "-", "[1]", "[7]", " [7]", "[[2]]", "【3】", "`", "```", "\n", "a", " ", "^", "Passage ", "†", "ö", "🙂"]
)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("[1]", (1,)),
        ("[1, 2]", (1, 2)),
        ("[1,2 ; 3]", (1, 2, 3)),
        ("[2-4]", (2, 3, 4)),
        ("[1, 3–5]", (1, 3, 4, 5)),
        ("[ 12 ]", (12,)),
        ("[[3]]", (3,)),
        ("【4】", (4,)),
        ("【4†L1-L5】", (4,)),
        ("[^2]", (2,)),
        ("[Passage 1]", (1,)),
        ("[passages 1 and 2]", (1, 2)),
        ("[Source: #3]", (3,)),
        ("[1-999999]", (1, 999999)),
    ],
)
def test_reads_the_ways_in_which_models_cite(text: str, numbers: tuple[int, ...]) -> None:
    assert list(scan(text)) == [Marker("", numbers)]


@pytest.mark.parametrize(
    "text", ["[]", "[a]", "[x1]", "[1a]", "[-1]", "[1", "1]", "[see 1, page 4b]", "`a[1]`", "```\na[1]\n```", "``[1]``"]
)
def test_leaves_other_brackets_and_code_alone(text: str) -> None:
    assert "".join(item.text for item in scan(text) if isinstance(item, Text)) == text


def test_a_backtick_without_its_partner_hides_nothing() -> None:
    assert Marker(" ", (7,)) in list(scan("an odd ` tick [7]\nnext line"))


@settings(deadline=None)
@given(st.lists(PIECES, max_size=30).map("".join), st.data())
@example("[1]" * 3, None)
def test_the_outcome_does_not_depend_on_where_the_text_is_cut(text: str, data: st.DataObject | None) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, len(text))))) if data else range(len(text))
    scanner, items = Scanner(), []
    for start, end in zip([0, *places], [*places, len(text)], strict=True):
        items += scanner.feed(text[start:end])
    assert _merged([*items, *scanner.finish()]) == _merged(list(scan(text)))


def test_text_that_can_be_no_marker_is_not_held_back() -> None:
    scanner = Scanner()
    assert (
        "".join(item.text for item in scanner.feed("A word, a [link](x) and more") if isinstance(item, Text))
        == "A word, a [link](x) and more"
    )


def test_a_bracket_that_never_closes_is_given_out_in_the_end() -> None:
    assert without("a [" + "1" * 500) == "a [" + "1" * 500


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Iron rusts.[3] Gold does not [4, 5].", "Iron rusts. Gold does not."),
        ("`x[0]` is first [2]", "`x[0]` is first"),
        ("[[7]1]", "[…1]"),
    ],
)
def test_takes_markers_out_with_the_blank_before_them(text: str, left: str) -> None:
    assert without(text) == left


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Iron rusts.[3] Gold[4][5] does not [6, 7].", "Iron rusts. Gold does not (6, 7)."),
        ("A number such as [1] is a citation.", "A number such as (1) is a citation."),
        ("[2] Miller, J.: On pumps", "(2) Miller, J.: On pumps"),
        ("`x[0]` [[7]1]", "`x[0]` […1]"),
    ],
)
def test_a_source_s_own_numbers_can_not_be_taken_for_citations(text: str, shown: str) -> None:
    assert disarmed(text) == shown


def _merged(items: list[Text | Marker]) -> list[str | Marker]:
    merged: list[str | Marker] = []
    for item in items:
        if isinstance(item, Text) and merged and isinstance(merged[-1], str):
            merged[-1] += item.text
        else:
            merged.append(item.text if isinstance(item, Text) else item)
    return merged
