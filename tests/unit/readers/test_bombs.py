"""Files of some kB that unfold to gigabytes: refused, or read within the reader's bounds, in the process that really reads them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localmind.errors import Broken, LocalMindError, ReaderLimit, UnsupportedType
from localmind.readers.sandbox import Readers
from tests.unit.readers import pdf_files

Make = Callable[[Path], None]

WORD = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:body></w:document>'
LAUGHS = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{}]>'.format(
    "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
)
QUADRATIC = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "{"x" * 100_000}">]>'


def write_zip(path: Path, *members: tuple[str, bytes | str]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)


def word(document: bytes | str, *more: tuple[str, bytes | str]) -> Make:
    return lambda path: write_zip(path, ("[Content_Types].xml", "<Types/>"), ("word/document.xml", document), *more)


def nested(path: Path) -> None:
    """Ten times ten times ten: zips are not looked into, so that only the outermost is unpacked."""
    data = bytes(1_000_000)
    for _ in range(3):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for n in range(10):
                archive.writestr(f"{n}.zip", data)
        data = buffer.getvalue()
    path.write_bytes(data)


def too_many(path: Path) -> None:
    write_zip(path, *((f"word/{n}", b"") for n in range(20_001)))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (word(bytes(50_000_000)), ReaderLimit, "unfolds to more"),
        (nested, UnsupportedType, "ZIP archive of none of the kinds"),
        (too_many, ReaderLimit, "more than 20,000 files"),
        (word(LAUGHS + WORD.format("&a11;")), Broken, None),
        (word(QUADRATIC + WORD.format("&a;" * 20_000)), Broken, None),
        (word("<a>" * 100_000), Broken, None),
    ],
    ids=["ratio", "zips in zips", "many members", "billion laughs", "quadratic blow-up", "deep XML"],
)
def test_a_bomb_is_one_clear_error(readers: Readers, tmp_path: Path, make: Make, error: type[LocalMindError], words: str | None) -> None:
    path = tmp_path / "bomb.docx"
    make(path)
    assert path.stat().st_size < 3_000_000
    with pytest.raises(error, match=words) as caught:
        readers.read(path, filename="bomb.docx")
    assert caught.value.hint


def test_members_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from localmind.readers import containers

    monkeypatch.setattr(containers, "MAX_TOTAL_BYTES", 1000)
    write_zip(tmp_path / "a.zip", ("a", bytes(400)), ("b", bytes(400)), ("c", bytes(400)))
    with containers.open_zip(tmp_path / "a.zip") as archive:
        archive.read("a")
        with archive.open("b"):
            pass
        with pytest.raises(ReaderLimit, match="unfolds to more"), archive.open("c"):
            pass


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://127.0.0.1:9/x.dtd"])
def test_a_document_type_elsewhere_is_not_loaded(readers: Readers, tmp_path: Path, where: str) -> None:
    path = tmp_path / "a.docx"
    word(f'<?xml version="1.0"?><!DOCTYPE x SYSTEM "{where}" [<!ENTITY f SYSTEM "{where}">]>' + WORD.format("Words &f;."))(path)
    text = readers.read(path, filename="a.docx").text
    assert "Words" in text
    assert "root:" not in text


def test_a_page_of_a_billion_pixels_is_read_and_drawn_small(readers: Readers, tmp_path: Path) -> None:
    """A PDF whose page is 200 inches wide and whose picture claims 60,000 x 60,000 pixels."""
    from localmind.readers.render import PageImages

    picture = (
        b"<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 /ColorSpace /DeviceRGB /BitsPerComponent 8 /Length 0 >>"
        b"\nstream\n\nendstream"
    )
    bodies = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 14400 14400] /Contents 4 0 R"
        b" /Resources << /XObject << /I 5 0 R >> /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length 68 >>\nstream\nq 14400 0 0 14400 0 0 cm /I Do Q BT /F 900 Tf 99 99 Td (Words) Tj ET\nendstream",
        picture,
    ]
    path = tmp_path / "a.pdf"
    pdf_files.write_pdf(path, bodies)
    assert "Words" in readers.read(path, filename="a.pdf").text
    try:
        assert len(PageImages().image(path, 1, key="a")) < 25_000_000
    except ReaderLimit as error:
        assert error.hint
