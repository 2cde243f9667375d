"""Small sound files of every format that is read: what the fuzzer damages."""

from __future__ import annotations

import io
import json
import zipfile
from email.message import EmailMessage

WORDS = "The harbour of Lindholm was built in 1874. It has three piers, a lighthouse and tide gates."


def all_seeds() -> dict[str, bytes]:
    """File name -> content."""
    export = json.dumps([conversation("c-1"), conversation("c-2")])
    texts = {
        "a.txt": WORDS * 20,
        "a.md": f"---\ntitle: Harbour\n---\n# Piers\n\n{WORDS}\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n",
        "a.html": f"<!doctype html><html><title>T</title><body><h1>Piers</h1><p>{WORDS}</p><table><tr><td>1<td>2</table></body></html>",
        "a.csv": "pier,length\n" + "".join(f"north {n},{n * 10}\n" for n in range(50)),
        "a.json": json.dumps({"piers": [{"name": "north", "length": n, "open": True, "note": None} for n in range(20)]}),
        "conversations.json": export,
        "conversation.json": json.dumps(conversation("c-3")),
    }
    return {
        **{name: text.encode() for name, text in texts.items()},
        "a.pdf": pdf(),
        "a.docx": docx(),
        "a.pptx": pptx(),
        "a.xlsx": xlsx(),
        "a.odt": odt(),
        "a.epub": epub(),
        "a.eml": eml(),
        "export.zip": zipped({"conversations.json": export, "user.json": "{}"}),
    }


def zipped(members: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def conversation(key: str) -> dict[str, object]:
    def message(n: int, role: str) -> dict[str, object]:
        said = {"author": {"role": role}, "create_time": 1.7e9 + n, "content": {"content_type": "text", "parts": [f"{WORDS} {n}"]}}
        return {"id": f"m{n}", "parent": f"m{n - 1}" if n else None, "children": [f"m{n + 1}"] if n < 3 else [], "message": said}

    mapping = {f"m{n}": message(n, "user" if n % 2 == 0 else "assistant") for n in range(4)}
    return {"title": "Harbour", "conversation_id": key, "create_time": 1.7e9, "mapping": mapping, "current_node": "m3"}


def pdf() -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer, pageCompression=0)
    for number in range(3):
        canvas.bookmarkPage(f"p{number}")
        canvas.addOutlineEntry(f"Part {number}", f"p{number}")
        canvas.drawString(72, 700, f"{number} {WORDS}")
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def docx() -> bytes:
    import docx

    document = docx.Document()
    document.add_heading("Piers", 1)
    document.add_paragraph(WORDS)
    document.add_paragraph("one", style="List Bullet")
    document.add_table(2, 2).cell(0, 0).text = "north"
    return saved(document)


def pptx() -> bytes:
    import pptx

    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Piers"
    slide.placeholders[1].text = WORDS
    slide.notes_slide.notes_text_frame.text = "Say hello"
    return saved(deck)


def xlsx() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for n in range(20):
        book.active.append([f"north {n}", n, n / 3, None, True])
    return saved(book)


def saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def odt() -> bytes:
    office = "urn:oasis:names:tc:opendocument:xmlns"
    content = (
        f'<office:document-content xmlns:office="{office}:office:1.0" xmlns:text="{office}:text:1.0" xmlns:table="{office}:table:1.0">'
        f'<office:body><office:text><text:h text:outline-level="1">Piers</text:h><text:p>{WORDS}<text:s text:c="3"/></text:p>'
        '<table:table><table:table-row table:number-rows-repeated="3"><table:table-cell><text:p>1</text:p></table:table-cell>'
        "</table:table-row></table:table></office:text></office:body></office:document-content>"
    )
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content})


def epub() -> bytes:
    rootfiles = '<rootfiles><rootfile full-path="b.opf"/></rootfiles>'
    container = f'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">{rootfiles}</container>'
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf">'
        '<manifest><item id="c" href="c.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>'
    )
    chapter = f'<html xmlns="http://www.w3.org/1999/xhtml"><body><h1>Piers</h1><p>{WORDS}</p></body></html>'
    return zipped({"mimetype": "application/epub+zip", "META-INF/container.xml": container, "b.opf": package, "c.xhtml": chapter})


def eml() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Date"] = "a@b.example", "c@d.example", "Piers", "Mon, 20 Nov 2023 10:00:00 +0000"
    mail["Message-ID"] = "<1@b.example>"
    mail.set_content(WORDS)
    mail.add_alternative(f"<p>{WORDS}</p>", subtype="html")
    mail.add_attachment(b"bytes", maintype="application", subtype="octet-stream", filename="x.bin")
    return mail.as_bytes()
