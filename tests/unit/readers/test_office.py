from __future__ import annotations

import datetime
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from docx.oxml.ns import qn
from docx.oxml.parser import parse_xml
from pptx.util import Inches

from localmind.errors import Broken, Encrypted, NoText, ReaderLimit
from localmind.model import Document
from localmind.readers import containers, formats

Read = Callable[..., Document]
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The zip at `path` with one member changed."""
    target = path.with_name("rewritten" + path.suffix)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for info in source.infolist():
            data = source.read(info)
            archive.writestr(info.filename, change(data) if info.filename == name else data)
    return target


@pytest.fixture
def word_file(tmp_path: Path) -> Path:
    document = docx.Document()
    document.core_properties.title = "The report"
    document.core_properties.author = "Ada"
    document.add_heading("Chapter one", 1)
    document.add_paragraph("First paragraph.").add_run("\tafter a tab")
    document.add_paragraph("one", style="List Bullet")
    document.add_paragraph("two", style="List Bullet")
    document.add_heading("Section", 2)
    table = document.add_table(2, 2)
    for cell, text in zip((c for row in table.rows for c in row.cells), ("Name", "Age", "Ada", "36"), strict=True):
        cell.text = text
    paragraph = document.add_paragraph("Kept ")
    paragraph._p.append(parse_xml(f"<w:del {W}><w:r><w:delText>deleted</w:delText></w:r></w:del>"))
    paragraph._p.append(parse_xml(f"<w:ins {W}><w:r><w:t>inserted</w:t></w:r></w:ins>"))
    control = parse_xml(f"<w:sdt {W}><w:sdtContent><w:p><w:r><w:t>In a control</w:t></w:r></w:p></w:sdtContent></w:sdt>")
    document.element.body.insert(-1, control)
    path = tmp_path / "report.docx"
    document.save(path)
    return path


def test_a_word_file_keeps_headings_lists_tables_and_insertions(read: Read, word_file: Path) -> None:
    document = read(word_file)
    assert (document.title, document.meta["author"], document.media_type) == ("The report", "Ada", formats.DOCX)
    assert document.text == (
        "Chapter one\n\nFirst paragraph.\tafter a tab\n\n- one\n- two\n\nSection\n\nName | Age\nAda | 36\n\nKept inserted\n\nIn a control"
    )
    assert [(h.level, document.text[h.start :][: len(h.text)]) for h in document.headings] == [(1, "Chapter one"), (2, "Section")]


def test_a_style_based_on_a_heading_is_one(read: Read, tmp_path: Path) -> None:
    document = docx.Document()
    style = document.styles.add_style("Überschrift A", docx.enum.style.WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = document.styles["Heading 3"]
    document.add_paragraph("Own heading", style=style)
    document.save(tmp_path / "a.docx")
    assert [(h.level, h.text) for h in read(tmp_path / "a.docx").headings] == [(3, "Own heading")]


def test_a_text_box_is_read_once(read: Read, tmp_path: Path) -> None:
    document = docx.Document()
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    box = "<w:txbxContent><w:p><w:r><w:t>Boxed</w:t></w:r></w:p></w:txbxContent>"
    xml = f"<w:r {W} {mc}><mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r>"
    document.add_paragraph()._p.append(parse_xml(xml))
    document.save(tmp_path / "a.docx")
    assert read(tmp_path / "a.docx").text == "Boxed"


def test_a_numbered_paragraph_is_an_item_as_deep_as_it_is(read: Read, tmp_path: Path) -> None:
    document = docx.Document()
    properties = document.add_paragraph("deep")._p.get_or_add_pPr()
    numbering = properties.get_or_add_numPr()
    numbering.get_or_add_ilvl().set(qn("w:val"), "1")
    numbering.get_or_add_numId().set(qn("w:val"), "5")
    document.save(tmp_path / "a.docx")
    assert read(tmp_path / "a.docx").text == "  - deep"


@pytest.mark.parametrize("cut", [200, 2000, -30])
def test_a_cut_off_word_file_is_broken(read: Read, word_file: Path, cut: int) -> None:
    word_file.write_bytes(word_file.read_bytes()[:cut])
    with pytest.raises(Broken):
        read(word_file)


def test_damaged_xml_inside_is_broken(read: Read, word_file: Path) -> None:
    with pytest.raises(Broken, match=r"word/document\.xml"):
        read(rewritten(word_file, "word/document.xml", lambda data: data[: len(data) // 2]))


def test_entities_are_not_expanded(read: Read, word_file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden words")
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY f SYSTEM "file://%s">]>' % bytes(secret)
    body = rb"\1&f;"
    changed = rewritten(word_file, "word/document.xml", lambda d: re.sub(rb"(<w:document )", laughs + rb"\1", re.sub(rb"(First)", body, d)))
    assert "hidden words" not in read(changed).text


def test_slides_are_pages_with_titles_tables_and_notes(read: Read, tmp_path: Path) -> None:
    deck = pptx.Presentation()
    deck.core_properties.title = "Talk"
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "First slide"
    slide.placeholders[1].text = "Point one\nPoint two"
    slide.notes_slide.notes_text_frame.text = "Say hello"
    deck.slides.add_slide(deck.slide_layouts[6])
    last = deck.slides.add_slide(deck.slide_layouts[5])
    last.shapes.title.text = "Table"
    table = last.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for index, text in enumerate(("Name", "Age", "Ada", "36")):
        table.cell(index // 2, index % 2).text = text
    deck.save(tmp_path / "talk.pptx")
    document = read(tmp_path / "talk.pptx")
    pages = [document.text[page.start : page.end] for page in document.pages]
    assert pages == ["First slide\n\nPoint one\nPoint two\n\nNotes: Say hello", "", "Table\n\nName | Age\nAda | 36"]
    assert [h.text for h in document.headings] == ["First slide", "Table"]
    assert document.empty_pages == (2,)
    assert "1 of 3 slides" in document.notes[0]
    assert document.title == "Talk"


def test_slides_without_words_hold_no_text(read: Read, tmp_path: Path) -> None:
    deck = pptx.Presentation()
    deck.slides.add_slide(deck.slide_layouts[6])
    deck.save(tmp_path / "a.pptx")
    with pytest.raises(NoText, match="1 slides hold no text"):
        read(tmp_path / "a.pptx")


def test_a_workbook_names_columns_in_each_row(read: Read, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Budget"
    sheet.append(["Our budget of 2024"])
    sheet.append([])
    sheet.append(["Date", "What", "Amount", "Paid"])
    sheet.append([datetime.date(2024, 5, 1), "Rent", 1320.4, True])
    sheet.append([datetime.datetime(2024, 6, 1, 12, 30), "Power", 80, None])
    book.create_sheet("Empty")
    book.create_sheet("Numbers").append([1, 2.5])
    book.save(tmp_path / "b.xlsx")
    document = read(tmp_path / "b.xlsx")
    assert document.text == (
        "Budget\n\nOur budget of 2024\n\nDate | What | Amount | Paid\n\n"
        "Date: 2024-05-01; What: Rent; Amount: 1320.4; Paid: yes\nDate: 2024-06-01 12:30; What: Power; Amount: 80\n\nNumbers\n\n1\t2.5"
    )
    assert [h.text for h in document.headings] == ["Budget", "Numbers"]


def test_a_damaged_workbook_is_broken(read: Read, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    book.save(tmp_path / "b.xlsx")
    with pytest.raises(Broken):
        read(rewritten(tmp_path / "b.xlsx", "xl/workbook.xml", lambda data: data[:50]))


ODT_CONTENT = """<?xml version="1.0"?><office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0">
<office:body><office:text><text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>
<text:h text:outline-level="2">Heading</text:h>
<text:p>Some <text:span>styled</text:span> words<text:s text:c="2"/>here<text:line-break/>next
<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body></text:note></text:p>
<text:section><text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>inner</text:p></text:list-item></text:list>
</text:list-item><text:list-item><text:p>two</text:p></text:list-item></text:list></text:section>
<table:table><table:table-row><table:table-cell><text:p>Name</text:p></table:table-cell><table:table-cell><text:p>Age</text:p>
</table:table-cell></table:table-row></table:table></office:text></office:body></office:document-content>"""


def odt(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return path


def test_an_open_document_text_keeps_its_structure(read: Read, tmp_path: Path) -> None:
    document = read(odt(tmp_path / "a.odt", content_xml=ODT_CONTENT))
    assert document.text.split("\n\n") == [
        "Heading",
        "Some styled words  here\nnext [Note: A note.]",
        "- one\n  - inner\n- two",
        "Name | Age",
    ]
    assert [(h.level, h.text) for h in document.headings] == [(2, "Heading")]


def test_an_open_document_with_a_password_is_encrypted(read: Read, tmp_path: Path) -> None:
    manifest = '<m:manifest xmlns:m="urn:x"><m:file-entry><m:encryption-data/></m:file-entry></m:manifest>'
    with pytest.raises(Encrypted, match="password"):
        read(odt(tmp_path / "a.odt", content_xml="gibberish", **{"META-INF__manifest_xml": manifest}))


def test_a_decompression_bomb_is_refused_by_what_it_claims(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", bytes(30_000_000))
    assert path.stat().st_size < 50_000
    with pytest.raises(ReaderLimit, match="unfolds to more"):
        read(path)


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_claims(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(5_000_000))
    lie = buffer.getvalue().replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (tmp_path / "a.zip").write_bytes(lie)
    with containers.open_zip(tmp_path / "a.zip") as archive, pytest.raises(Broken):
        archive.read("a")
