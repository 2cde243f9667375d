from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from localmind.errors import Broken, Encrypted, NoText
from localmind.model import Document
from localmind.readers import ocr, pdf
from tests.unit.readers import pdf_files

Read = Callable[..., Document]


def lines(canvas: Canvas, *texts: str, top: float = 780, leading: float = 14, left: float = 72) -> None:
    for index, text in enumerate(texts):
        if text:
            canvas.drawString(left, top - index * leading, text)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    def make(*pages: Callable[[Canvas], object], **options: object) -> Path:
        path = tmp_path / "made.pdf"
        canvas = Canvas(str(path), pagesize=A4, **options)
        for draw in pages:
            draw(canvas)
            canvas.showPage()
        canvas.save()
        return path

    return make


def picture_of(text: str) -> Callable[[Canvas], object]:
    """Draws a page that is a scan: words as pixels alone."""
    from PIL import Image, ImageDraw, ImageFont
    from reportlab.lib.utils import ImageReader

    image = Image.new("L", (1240, 300), 255)
    ImageDraw.Draw(image).text((60, 100), text, font=ImageFont.load_default(size=60), fill=0)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return lambda canvas: canvas.drawImage(ImageReader(buffer), 0, 400, width=595, height=144)


def test_pages_and_paragraphs_are_kept(read: Read, make: Callable[..., Path]) -> None:
    document = read(
        make(lambda c: lines(c, "First line", "goes on here.", "", "A new paragraph", "goes on."), lambda c: lines(c, "Page two"))
    )
    assert [document.text[p.start : p.end] for p in document.pages] == [
        "First line\ngoes on here.\n\nA new paragraph\ngoes on.",
        "Page two",
    ]
    assert [p.number for p in document.pages] == [1, 2]


def test_an_indented_line_after_a_full_stop_begins_a_paragraph(read: Read, make: Callable[..., Path]) -> None:
    def page(canvas: Canvas) -> None:
        lines(canvas, "One goes on", "and ends.", top=780)
        lines(canvas, "Two is indented", left=90, top=752)
        lines(canvas, "and goes on.", "Three does not.", top=738)

    assert read(make(page)).text == "One goes on\nand ends.\n\nTwo is indented\nand goes on.\nThree does not."


def test_words_hyphenated_at_line_ends_are_whole_and_compounds_keep_theirs(read: Read, make: Callable[..., Path]) -> None:
    document = read(
        make(
            lambda c: lines(
                c, "A self-made exam-", "ple of a self-", "made thing from Paris-", "Dakar in the knowl-", "edge base", "goes on."
            )
        )
    )
    assert document.text == "A self-made example of a self-made thing from Paris-Dakar in the knowledge base\ngoes on."


def test_a_hyphenated_line_end_does_not_part_a_paragraph(read: Read, make: Callable[..., Path]) -> None:
    document = read(make(lambda c: lines(c, "Plain one", "plain two", "plain three", "with a hyphen-", "ated word", "goes on.")))
    assert document.text == "Plain one\nplain two\nplain three\nwith a hyphenated word\ngoes on."


def test_bookmarks_are_headings_where_their_words_stand(read: Read, make: Callable[..., Path]) -> None:
    def page(canvas: Canvas) -> None:
        lines(canvas, "Running head", "1 Introduction", "Words of it.", "", "1.1 Aims and ends", "More words.", "Odd title here", "Last.")
        for name, title, level, top in (
            ("a", "Introduction", 0, 790 - 14),
            ("b", "Aims and  ends", 1, 790 - 56),
            ("c", "Not on the page", 1, 790 - 84),
        ):
            canvas.bookmarkHorizontalAbsolute(name, top)
            canvas.addOutlineEntry(title, name, level)

    document = read(make(page))
    assert [(h.level, h.text, document.text[h.start :].split("\n")[0]) for h in document.headings] == [
        (1, "Introduction", "1 Introduction"),
        (2, "Aims and ends", "1.1 Aims and ends"),
        (2, "Not on the page", "Odd title here"),
    ]


@pytest.mark.parametrize(
    ("title", "expected"), [("The Guide", "The Guide"), ("untitled", None), ("Microsoft Word - a.doc", None), ("scan.pdf", None)]
)
def test_a_title_that_a_program_made_up_is_none(read: Read, make: Callable[..., Path], title: str, expected: str | None) -> None:
    def page(canvas: Canvas) -> None:
        canvas.setTitle(title)
        lines(canvas, "Words")

    assert read(make(page)).title == expected


def test_a_pdf_with_a_password_is_encrypted(read: Read, make: Callable[..., Path]) -> None:
    with pytest.raises(Encrypted, match="password"):
        read(make(lambda c: lines(c, "Secret"), encrypt=StandardEncryption("open sesame", strength=128)))


def test_a_pdf_that_only_forbids_printing_is_read(read: Read, make: Callable[..., Path]) -> None:
    assert (
        read(make(lambda c: lines(c, "Open"), encrypt=StandardEncryption("", ownerPassword="x", canPrint=0, strength=128))).text == "Open"
    )


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"%PDF-1.4\n" + b"garbage " * 100])
def test_a_broken_pdf_says_so(read: Read, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pdf").write_bytes(data)
    with pytest.raises(Broken):
        read(tmp_path / "a.pdf")


def test_pages_without_text_are_counted_and_the_way_out_is_named(
    read: Read, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    document = read(make(lambda c: lines(c, "Words"), picture_of("scanned"), lambda c: None), ocr=True)
    assert document.empty_pages == (2, 3)
    assert document.notes[0].startswith("2 of 3 pages have no text. Install Tesseract")
    assert len(document.pages) == 3


def test_a_pdf_of_pictures_alone_says_how_to_get_at_them(read: Read, make: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NoText, match="only pictures") as caught:
        read(make(picture_of("scanned")), ocr=True)
    assert "Install Tesseract" in caught.value.hint


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")
def test_scanned_pages_are_read_by_ocr_and_reported(read: Read, make: Callable[..., Path]) -> None:
    document = read(make(lambda c: lines(c, "Words"), picture_of("Lighthouse keeper"), lambda c: None), ocr=True)
    assert [document.text[p.start : p.end] for p in document.pages] == ["Words", "Lighthouse keeper", ""]
    assert (document.ocr_pages, document.empty_pages) == ((2,), (3,))
    assert any("1 of 3 pages were read by OCR" in note for note in document.notes)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")
def test_a_missing_language_of_ocr_is_named(read: Read) -> None:
    engine, problem = ocr.find("eng+xyz")
    assert engine is None
    assert "tesseract-ocr-xyz" in problem


def test_5000_empty_pages_are_no_text(read: Read, tmp_path: Path) -> None:
    with pytest.raises(NoText, match="5000 pages hold nothing"):
        read(pdf_files.empty_pages(tmp_path / "a.pdf", count=5000), ocr=True)


@pytest.mark.parametrize("count", [2, 40_000, 2**31 - 1])
def test_a_page_tree_that_holds_itself_ends(read: Read, tmp_path: Path, count: int) -> None:
    with pytest.raises((NoText, Broken)):
        read(pdf_files.claimed_pages(tmp_path / "a.pdf", count=count), ocr=True)


@pytest.mark.parametrize("text", ["\ue001\ue002 \ue003a", "\x01\x02\x03\x04 ab", "\ufffd\ufffd\r\n\ufffd\ufffdx"])
def test_marks_of_a_broken_font_are_no_text(text: str) -> None:
    assert pdf._is_unreadable(text)
    assert not pdf._is_unreadable(text + "and twenty real letters")
