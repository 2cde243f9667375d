from __future__ import annotations

import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from localmind.errors import Broken, Encrypted
from localmind.model import Document

Read = Callable[..., Document]

CONTAINER = '<container xmlns="urn:c"><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
PACKAGE = """<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">
<metadata><dc:title>The Book</dc:title><dc:creator>Ada</dc:creator></metadata>
<manifest><item id="two" href="two.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text%20one.xhtml" media-type="application/xhtml+xml"/>
<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/></spine></package>"""
NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body><nav epub:type="toc"><ol>
<li><a href="text%20one.xhtml#x">Chapter One</a></li><li><a href="two.xhtml">Chapter Two</a></li></ol></nav></body></html>"""


def epub(path: Path, **extra: str) -> Path:
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": PACKAGE,
        "OEBPS/nav.xhtml": NAV,
        "OEBPS/text one.xhtml": "<html><head><title>t</title></head><body><p>Once upon a time.</p></body></html>",
        "OEBPS/two.xhtml": "<html><body><h1>Two</h1><p>The end.</p></body></html>",
        **extra,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def test_a_book_is_read_in_its_order_with_chapter_names(read: Read, tmp_path: Path) -> None:
    document = read(epub(tmp_path / "b.epub"))
    assert (document.title, document.meta["author"]) == ("The Book", "Ada")
    assert document.text == "Chapter One\n\nOnce upon a time.\n\nTwo\n\nThe end."
    assert [h.text for h in document.headings] == ["Chapter One", "Two"]


@pytest.mark.parametrize(
    ("algorithm", "is_protected"), [("http://www.idpf.org/2008/embedding", False), ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", True)]
)
def test_copy_protection_is_told_from_scrambled_fonts(read: Read, tmp_path: Path, algorithm: str, is_protected: bool) -> None:
    encryption = f'<e xmlns:x="urn:x"><x:EncryptionMethod Algorithm="{algorithm}"/></e>'
    path = epub(tmp_path / "b.epub", **{"META-INF/encryption.xml": encryption})
    if is_protected:
        with pytest.raises(Encrypted, match="DRM"):
            read(path)
    else:
        assert "Once upon a time" in read(path).text


def test_a_book_without_its_package_is_broken(read: Read, tmp_path: Path) -> None:
    with pytest.raises(Broken, match="package"):
        read(epub(tmp_path / "b.epub", **{"META-INF/container.xml": "<c><rootfile full-path='../../etc/passwd'/></c>"}))


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {
        "From": "Ada <ada@example.org>",
        "To": "bob@example.org",
        "Date": "Mon, 03 Jun 2024 08:00:00 +0000",
        **headers,
    }.items():
        message[name.replace("_", "-")] = value
    return message


def test_a_mail_says_who_wrote_what_when_and_names_attachments(read: Read, tmp_path: Path) -> None:
    message = mail(Subject="Grüße aus Bergen")
    message.set_content("Hello Bob,\n\nit rains.")
    message.add_alternative("<p>Hello <b>HTML</b></p>", subtype="html")
    message.add_attachment(b"x", maintype="application", subtype="pdf", filename="plan.pdf")
    inner = mail(Subject="Inner")
    inner.set_content("Forwarded words")
    message.add_attachment(inner)
    (tmp_path / "m.eml").write_bytes(bytes(message))
    document = read(tmp_path / "m.eml")
    assert document.title == "Grüße aus Bergen"
    head = "From: Ada <ada@example.org>\nTo: bob@example.org\nDate: Mon, 03 Jun 2024 08:00:00 +0000"
    assert (
        document.text
        == f"Grüße aus Bergen\n\n{head}\n\nHello Bob,\n\nit rains.\n\nInner\n\n{head}\n\nForwarded words\n\nAttachments: plan.pdf"
    )
    assert [(h.level, h.text) for h in document.headings] == [(1, "Grüße aus Bergen"), (2, "Inner")]


def test_a_mail_of_html_alone_is_read_as_text(read: Read, tmp_path: Path) -> None:
    message = mail(Subject="Offer")
    message.set_content("<html><body><h2>Now</h2><p>Größe ist alles</p></body></html>", subtype="html", charset="iso-8859-1")
    (tmp_path / "m.eml").write_bytes(bytes(message))
    document = read(tmp_path / "m.eml")
    assert document.text.endswith("Now\n\nGröße ist alles")
    assert [(h.level, h.text) for h in document.headings] == [(1, "Offer"), (3, "Now")]


@pytest.mark.parametrize(
    "header", ["Date: never", "To: <<<>>>,;:", "Subject: =?utf-8?b?broken?=", "Content-Type: text/plain; charset=nonsense"]
)
def test_odd_headers_do_not_lose_the_mail(read: Read, tmp_path: Path, header: str) -> None:
    path = tmp_path / "m.eml"
    path.write_text(f"From: a@b.c\nMessage-ID: <1@x>\nSubject: s\n{header}\n\nThe words.\n")
    assert read(path).text.endswith("The words.")
