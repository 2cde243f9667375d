from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localmind.errors import NoText
from localmind.model import Document


@pytest.fixture
def page(read: Callable[..., Document], tmp_path: Path) -> Callable[[str | bytes], Document]:
    def page(html: str | bytes) -> Document:
        path = tmp_path / "page.html"
        path.write_bytes(html.encode() if isinstance(html, str) else html)
        return read(path)

    return page


def test_a_page_reads_as_a_person_sees_it(page: Callable[..., Document]) -> None:
    document = page(
        "<!doctype html><html><head><title>My  page</title><style>p{}</style></head><body><nav>Home <a>About</a></nav><header>Site</header>"
        "<h1>Hello <b>world</b></h1><p>One  two<br>three &amp; caf&eacute;<script>var x</script></p>loose"
        "<ul><li>first<li>second<ul><li>inner</ul></ul><pre>  code\n   more</pre><p hidden>secret</p>"
        "<table><tr><th>Name<th>Age<tr><td>Ada <b>L</b><td>36</table><h3>Sub</h3><p>End</p><footer>2024</footer></body></html>"
    )
    assert document.title == "My page"
    assert document.text == (
        "Hello world\n\nOne two\nthree & café\n\nloose\n\n- first\n- second\n  - inner\n\n  code\n   more\n\n"
        "Name | Age\nAda L | 36\n\nSub\n\nEnd"
    )
    assert [(h.level, document.text[h.start :].split("\n")[0]) for h in document.headings] == [(1, "Hello world"), (3, "Sub")]


def test_only_the_main_part_is_taken_where_there_is_one(page: Callable[..., Document]) -> None:
    words = "Content of the page. " * 20
    document = page(
        f"<html><body><div>Cookie banner</div><main><header><h1>Title</h1></header><p>{words}</p></main><div>Ads</div></body></html>"
    )
    assert document.text == f"Title\n\n{words.strip()}"


def test_a_main_part_with_next_to_nothing_is_not_it(page: Callable[..., Document]) -> None:
    assert "Content" in page(f"<html><body><main>x</main><div>{'Content here. ' * 30}</div></body></html>").text


def test_a_table_that_lays_out_a_page_is_read_as_blocks(page: Callable[..., Document]) -> None:
    assert page("<html><table><tr><td><h2>Left</h2><p>a</p></td><td>right</td></tr></table></html>").text == "Left\n\na\n\nright"


@pytest.mark.parametrize(
    ("html", "encoding"),
    [
        ("<html><head><meta charset='windows-1251'></head><body>Привет, мир", "cp1251"),
        ("<html><head><meta http-equiv=Content-Type content='text/html; charset=iso-8859-1'></head><body>“quoted” Übung", "cp1252"),
        ("<html><body>Привет, мир", "utf-8"),
        ("<html><head><meta charset='no-such-thing'></head><body>Übung macht den Meister", "utf-8"),
        ("<html><body>Привет, мир", "utf-16"),
    ],
)
def test_the_declared_encoding_is_used(page: Callable[..., Document], html: str, encoding: str) -> None:
    assert page(html.encode(encoding)).text == html.rpartition(">")[2]


@pytest.mark.parametrize("html", ["<html><body></body></html>", "<html><script>only()</script></html>", "<html>" + "<div>" * 100_000])
def test_a_page_without_words_holds_no_text(page: Callable[..., Document], html: str) -> None:
    with pytest.raises(NoText):
        page(html)


def test_broken_markup_loses_no_words(page: Callable[..., Document]) -> None:
    assert page("<html><p>a<b>b<p>c</i><td>d<p>e &bogus; \x00f").text.split() == ["ab", "c", "d", "e", "&bogus;", "f"]
