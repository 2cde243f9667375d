"""EPUB books: chapters in reading order, with the headings of their pages, or of the table of contents where pages have none."""

from __future__ import annotations

import posixpath
from typing import Any
from urllib.parse import unquote

from localmind.errors import Broken, Encrypted
from localmind.model import Document
from localmind.readers import formats, xml
from localmind.readers.building import DocumentBuilder
from localmind.readers.containers import Zip, open_zip
from localmind.readers.formats import Reading
from localmind.readers.html import add_html

_PAGES = frozenset(("application/xhtml+xml", "text/html", "text/x-oeb1-document"))
_FONT_OBFUSCATION = frozenset(("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"))
_EPUB_TYPE = "{http://www.idpf.org/2007/ops}type"


def read(reading: Reading) -> Document:
    """Raises NoText, Broken, Encrypted (copy protection), ReaderLimit."""
    builder = DocumentBuilder()
    with open_zip(reading.path) as archive:
        _refuse_protected(archive)
        package_name = _package(archive)
        package = xml.parse(archive, package_name)
        folder = posixpath.dirname(package_name)
        items = {item.get("id"): item for item in package.iter("{*}item")}
        chapters = [items[ref.get("idref")] for ref in package.iter("{*}itemref") if ref.get("idref") in items]
        names = _contents(archive, folder, items)
        for number, item in enumerate(chapters, 1):
            part = xml.resolve(folder, unquote(item.get("href") or ""))
            is_contents = "nav" in (item.get("properties") or "").split()
            if part in archive and item.get("media-type") in _PAGES and not is_contents:
                _add_chapter(builder, archive.read(part), names.get(part))
            reading.progress(number, 0)
    title, author = (next((e.text for e in package.iter(f"{{http://purl.org/dc/elements/1.1/}}{n}")), None) for n in ("title", "creator"))
    return builder.build(formats.EPUB, title=title, meta={"author": author or ""})


def _refuse_protected(archive: Zip) -> None:
    """Publishers scramble fonts, which hurts nobody; anything else that is encrypted is copy protection."""
    root = xml.parse_if_there(archive, "META-INF/encryption.xml")
    for method in root.iter("{*}EncryptionMethod") if root is not None else ():
        if method.get("Algorithm") not in _FONT_OBFUSCATION:
            raise Encrypted("The book is copy-protected (DRM).", hint="Put in an edition without copy protection.")


def _package(archive: Zip) -> str:
    for rootfile in xml.parse(archive, "META-INF/container.xml").iter("{*}rootfile"):
        name = rootfile.get("full-path") or ""
        if name in archive:
            return str(name)
    raise Broken("The book lacks its package file.", hint="Download or convert it again.")


def _contents(archive: Zip, folder: str, items: dict[str, Any]) -> dict[str, str]:
    """Chapter's part -> its name in the table of contents (EPUB 3's navigation page, else EPUB 2's NCX)."""
    found: dict[str, str] = {}
    for item in items.values():
        part = xml.resolve(folder, unquote(item.get("href") or ""))
        if "nav" in (item.get("properties") or "").split():
            root = xml.parse_if_there(archive, part)
            navs = [nav for nav in root.iter("{*}nav") if nav.get(_EPUB_TYPE) in ("toc", None)] if root is not None else []
            links = [(link.get("href"), "".join(link.itertext())) for nav in navs for link in nav.iter("{*}a")]
        elif item.get("media-type") == "application/x-dtbncx+xml":
            root = xml.parse_if_there(archive, part)
            points = list(root.iter("{*}navPoint")) if root is not None else []
            links = [(_source(point), "".join(_label(point))) for point in points]
        else:
            continue
        for href, label in links:
            target = xml.resolve(posixpath.dirname(part), unquote((href or "").partition("#")[0]))
            found.setdefault(target, label)
    return found


def _source(point: Any) -> str:
    return next((content.get("src") or "" for content in point.iterchildren("{*}content")), "")


def _label(point: Any) -> str:
    return next(("".join(label.itertext()) for label in point.iterchildren("{*}navLabel")), "")


def _add_chapter(builder: DocumentBuilder, page: bytes, name: str | None) -> None:
    chapter = DocumentBuilder()
    add_html(chapter, page, whole=True)
    if chapter.empty:
        return
    if name and not chapter.has_headings:
        builder.heading(1, name)
    add_html(builder, page, whole=True)
