from __future__ import annotations

import pytest

from localmind.boilerplate import Boilerplate
from localmind.model import Document, Page


def paged(*texts: str) -> Document:
    pages, start = [], 0
    for number, text in enumerate(texts, 1):
        pages.append(Page(number, start, start + len(text)))
        start += len(text) + 1
    return Document("\n".join(texts), "application/pdf", pages=tuple(pages))


BODY = "\n".join(f"This line of the page says something about part {part} of the pump." for part in range(12))
BOOK = paged(
    *[f"The Pump Manual\nChapter {n}\n{BODY}\nWhat page {n} says is like no other.\nand ends\n{n * 7} of 900" for n in range(1, 6)]
)


@pytest.mark.parametrize("text", ["12", "Page 12 of 90", "- 3 -", "Seite 4", "xiv", "***", "The Pump Manual\n14 of 900", "\u2014 7 \u2014"])
def test_page_numbers_and_repeated_lines_say_nothing(text: str) -> None:
    assert Boilerplate(BOOK).fills(text)


@pytest.mark.parametrize("text", ["The Pump Manual\nChapter on valves", "12 valves", "What page 3 says is like no other.", "Page layout"])
def test_what_says_something_stays(text: str) -> None:
    assert not Boilerplate(BOOK).fills(text)


def test_short_pages_that_are_alike_are_no_boilerplate() -> None:
    invoices = paged(*[f"Invoice {n}\nTotal {n * 10}" for n in range(1001, 1008)])
    assert not Boilerplate(invoices).fills("Invoice 1003\nTotal 10030")


def test_without_pages_a_number_is_a_text() -> None:
    assert not Boilerplate(Document("42", "text/plain")).fills("42")


def test_a_table_of_contents_with_dot_leaders_goes() -> None:
    contents = "Contents\n1 Pumps . . . . . . . . 3\n2 Valves ............ 17\n2.1 Ball valves ...... 18\n3 Seals . . . . . . xx"
    assert Boilerplate(Document("", "text/plain")).fills(contents)
    assert not Boilerplate(Document("", "text/plain")).fills("He waited ...\nand waited ...\nand then it came.")
