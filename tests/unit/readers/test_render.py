"""Pages as pictures. The PDFs are made here, with reportlab."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from localmind.errors import Broken, ReaderLimit
from localmind.readers.render import PageImages, find_quote, letters_of

QUOTE = "The gates close when the water rises above two metres."


@pytest.fixture
def images() -> PageImages:
    return PageImages()


@pytest.fixture
def pdf(tmp_path: Path) -> Path:
    """Two pages; the second says the quote, broken over two lines, 100 points below its top."""
    path = tmp_path / "gates.pdf"
    canvas = Canvas(str(path), pagesize=A4)
    canvas.drawString(72, A4[1] - 100, "Nothing of interest.")
    canvas.showPage()
    canvas.drawString(72, A4[1] - 100, "The gates close when the water ri-")
    canvas.drawString(72, A4[1] - 120, "ses above two metres. A keeper watches.")
    canvas.showPage()
    canvas.save()
    return path


def forms_within_forms(*, levels: int, width: int) -> bytes:
    """A PDF of a few kB whose page draws a form that draws `width` times one that draws ...: width ** levels lines in all."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"]
    objects.append(b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>")
    objects.append(stream(b"", b"/F Do"))
    for level in range(levels):
        inner = b"/Resources<</XObject<</F %d 0 R>>>>" % (6 + level) if level < levels - 1 else b""
        content = b"/F Do " * width if inner else b"0 0 m 200 200 l S"
        objects.append(stream(b"/Type/XObject/Subtype/Form/BBox[0 0 200 200]" + inner, content))
    body = b"%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    return body + b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        count,
        table,
        count,
        len(body),
    )


def stream(entries: bytes, content: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


def test_a_page_is_a_picture_of_bounded_size(images: PageImages, pdf: Path) -> None:
    with Image.open(io.BytesIO(images.image(pdf, 1, key="a"))) as picture:
        assert (picture.format, picture.width) == ("PNG", 1600)


def test_the_quote_is_found_over_line_ends_and_hyphens(images: PageImages, pdf: Path) -> None:
    first, second = images.locate(pdf, 2, QUOTE)
    assert first.left == pytest.approx(72 / A4[0], abs=0.01)
    assert first.top == pytest.approx(91 / A4[1], abs=0.01)
    assert second.top - first.top == pytest.approx(20 / A4[1], abs=0.005)
    assert second.width < 0.8 * first.width  # "A keeper watches." is not marked


def test_a_quote_that_is_not_on_the_page_is_nowhere(images: PageImages, pdf: Path) -> None:
    assert images.locate(pdf, 1, QUOTE) == ()


def test_a_rotated_page_has_its_boxes_where_they_are_seen(images: PageImages, tmp_path: Path) -> None:
    path = tmp_path / "rotated.pdf"
    canvas = Canvas(str(path), pagesize=A4)
    canvas.setPageRotation(90)  # reportlab turns the paper too: before the rotation it lies on its side
    canvas.drawString(72, A4[0] - 60, QUOTE)
    canvas.save()
    (box,) = images.locate(path, 1, QUOTE)
    assert box.height > box.width  # the line runs downwards
    assert box.left > 0.8  # what was near the top is now at the right


def test_a_cached_page_outlives_its_file_and_another_key_does_not(images: PageImages, pdf: Path) -> None:
    png = images.image(pdf, 1, key="a")
    pdf.unlink()
    assert images.image(pdf, 1, key="a") == png
    with pytest.raises(Broken):
        images.image(pdf, 1, key="b")


def test_the_cache_drops_what_was_not_used_for_longest(pdf: Path) -> None:
    images = PageImages(cache_bytes=1)
    images.image(pdf, 1, key="a")
    images.image(pdf, 2, key="a")
    pdf.unlink()
    images.image(pdf, 2, key="a")
    with pytest.raises(Broken):
        images.image(pdf, 1, key="a")


@pytest.mark.parametrize("number", [0, 3, 10**9])
def test_a_page_that_is_not_there_is_an_error(images: PageImages, pdf: Path, number: int) -> None:
    with pytest.raises(Broken):
        images.image(pdf, number, key="a")


def test_what_is_no_pdf_is_an_error(images: PageImages, tmp_path: Path) -> None:
    path = tmp_path / "no.pdf"
    path.write_bytes(b"%PDF-1.7\n<html>not at all</html>")
    with pytest.raises(Broken):
        images.image(path, 1, key="a")


def test_a_page_of_absurd_shape_is_drawn_small(images: PageImages, tmp_path: Path) -> None:
    path = tmp_path / "roll.pdf"
    canvas = Canvas(str(path), pagesize=(3, 14_400))
    canvas.drawString(0, 0, "x")
    canvas.save()
    with Image.open(io.BytesIO(images.image(path, 1, key="a"))) as picture:
        assert picture.width * picture.height < 7_000_000


def test_a_page_that_never_ends_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "endless.pdf"
    path.write_bytes(forms_within_forms(levels=12, width=10))
    began = time.monotonic()
    with pytest.raises(ReaderLimit):
        PageImages(timeout_s=1).image(path, 1, key="a")
    assert time.monotonic() - began < 5


def test_a_page_that_takes_too_much_memory_is_given_up(pdf: Path) -> None:
    with pytest.raises(ReaderLimit):
        PageImages(memory_mb=16).image(pdf, 1, key="a")


def test_a_quote_cut_by_a_footer_is_marked_around_it() -> None:
    page = letters_of("…when the water rises above two metres of the mark. Page 7 of 12")[0]
    quote = letters_of("The gates close automatically when the water rises above two metres of the mark.")[0]
    (found,) = find_quote(page, quote)
    assert page[slice(*found)].startswith("whenthewater") or page[slice(*found)].endswith("themark")


def test_ligatures_and_case_do_not_hide_a_quote() -> None:
    assert letters_of("The \ufb01nal Of\ufb01ce-\nWork")[0] == letters_of("the final officework")[0]
