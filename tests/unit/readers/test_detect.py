from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from localmind.errors import Broken, Encrypted, NoText, ReaderLimit, UnsupportedType
from localmind.readers import formats
from localmind.readers.detect import detect

CONVERSATION = {"title": "T", "create_time": 1.0, "mapping": {"a": {"id": "a", "message": None, "parent": None}}, "current_node": "a"}


@pytest.fixture
def kind(tmp_path: Path) -> Callable[..., str]:
    def kind(data: bytes | str, filename: str = "") -> str:
        path = tmp_path / "file"
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return detect(path, filename)

    return kind


def zipped(*members: str, **contents: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in members:
            archive.writestr(name, "x")
        for name, text in contents.items():
            archive.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x00\x00junk%PDF-1.4\n", formats.PDF),
        ("<!doctype html><html><body>x", formats.HTML),
        ("\n<!-- a --><!-- b -->\n<?xml version='1.0'?><HTML><body>", formats.HTML),
        ("<div><p>a</p><p>b</p></div>", formats.HTML),
        ("# Title\n\nText with a [link](https://example.org).\n", formats.MARKDOWN),
        ("Just words.\nAnd more words, with commas, here.\n", formats.TEXT),
        ("name,age,town\nAda,36,London\nAlan,41,Wilmslow\n", formats.CSV),
        ("name\tage\nAda\t36\nAlan\t41\n", formats.CSV),
        ('{"a": 1}', formats.JSON),
        ('{"a": 1}\n{"a": 2}\n', formats.JSON),
        ("[1] Knuth, The Art of Computer Programming\n[2] Dijkstra\n", formats.TEXT),
        ("From: a@b.c\nTo: d@e.f\nSubject: Hello\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\nHi\n", formats.EML),
        ("Note: buy milk\nAlso: bread\n", formats.TEXT),
        ("BMW builds cars.\n", formats.TEXT),
        ("Ünïcode in UTF-16, with words".encode("utf-16"), formats.TEXT),
        (json.dumps([CONVERSATION]), formats.CHATGPT_JSON),
        (json.dumps({"conversations": [CONVERSATION]}), formats.CHATGPT_JSON),
        (json.dumps(CONVERSATION), formats.CONVERSATION),
        (zipped("word/document.xml", "[Content_Types].xml"), formats.DOCX),
        (zipped("ppt/presentation.xml", "[Content_Types].xml"), formats.PPTX),
        (zipped("xl/workbook.xml", "[Content_Types].xml"), formats.XLSX),
        (zipped(mimetype="application/vnd.oasis.opendocument.text"), formats.ODT),
        (zipped(mimetype="application/epub+zip"), formats.EPUB),
        (zipped("conversations.json", "chat.html"), formats.CHATGPT_ZIP),
        (zipped("export/conversations-000.json", "export/conversations-001.json"), formats.CHATGPT_ZIP),
    ],
)
def test_content_tells_the_type_without_a_name(kind: Callable[..., str], data: bytes | str, expected: str) -> None:
    assert kind(data) == expected


@pytest.mark.parametrize("lie", ["x.png", "x.docx", "x.pdf", "../../etc/passwd", "n" * 300 + ".exe"])
def test_a_name_does_not_decide_against_content(kind: Callable[..., str], lie: str) -> None:
    assert kind("%PDF-1.7\n", lie) == formats.PDF
    assert kind("Plain words and nothing else.", lie) == formats.TEXT


def test_a_name_decides_between_kinds_of_text(kind: Callable[..., str]) -> None:
    assert kind("Plain words.", "notes.md") == formats.MARKDOWN
    assert kind("a;b\n1;2\n", "x.csv") == formats.CSV
    assert kind("# not a heading\nkey = value\n", "x.txt") == formats.TEXT
    assert kind("Plain words.", "x.json") == formats.TEXT


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG"),
        (b"MZ\x90\x00" + bytes(200), "Windows program"),
        (b"\x7fELF" + bytes(200), "Linux program"),
        (b"7z\xbc\xaf'\x1c" + bytes(50), "7-Zip"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "JPEG"),
        (b"{\\rtf1 hello}", "RTF"),
        (bytes(range(256)) * 20, "unknown"),
        (zipped("a.txt", "b.txt"), "ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "WordDocument".encode("utf-16-le"), ".doc"),
    ],
)
def test_what_cannot_be_read_is_called_by_its_name(kind: Callable[..., str], data: bytes, what: str) -> None:
    with pytest.raises(UnsupportedType) as caught:
        kind(data, "report.pdf")
    assert what in caught.value.message
    assert "PDF, DOCX" in caught.value.hint


def test_an_office_file_with_a_password_is_encrypted(kind: Callable[..., str]) -> None:
    with pytest.raises(Encrypted, match="password"):
        kind(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le"))


@pytest.mark.parametrize("data", [b"", b"  \n\t ", b"\xef\xbb\xbf", bytes(100)])
def test_an_empty_file_holds_no_text(kind: Callable[..., str], data: bytes) -> None:
    with pytest.raises(NoText, match="empty"):
        kind(data)


def test_a_zip_without_its_end_is_broken(kind: Callable[..., str]) -> None:
    with pytest.raises(Broken, match="cut off"):
        kind(zipped("word/document.xml", "[Content_Types].xml")[:-60])


def test_a_zip_with_too_many_files_is_refused_before_its_directory_is_read(kind: Callable[..., str]) -> None:
    data = bytearray(zipped("a"))
    at = data.rfind(b"PK\x05\x06")
    data[at + 10 : at + 12] = (60_000).to_bytes(2, "little")
    with pytest.raises(ReaderLimit, match="20,000"):
        kind(bytes(data))


@pytest.mark.parametrize(
    "unit", ["<!---->", "[", "**a", "- ", "\t", "From:", '{"', "<p ", "a,", '"', "|---", '{"mapping":', "```", " \n", "#", "[[](", "é"]
)
def test_no_text_makes_detection_slow(kind: Callable[..., str], unit: str) -> None:
    data = unit * (300_000 // len(unit))
    began = time.perf_counter()
    for name in ("x.csv", "x.md", "x.html", "x.json", ""):
        if data.strip():
            kind(data, name)
    assert time.perf_counter() - began < 4
