"""PDF files written by hand: for what no library would write."""

from __future__ import annotations

import zlib
from pathlib import Path


def write_pdf(path: Path, objects: list[bytes]) -> Path:
    """Object 1 is the catalog; numbers count up from it."""
    data = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    path.write_bytes(data)
    return path


def stream(body: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(body), entries, body)


def nested_forms(path: Path, *, depth: int, fan_out: int) -> Path:
    """A page that draws a form, which draws the next one `fan_out` times, and so on: fan_out ** depth letters from a few kB."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources << /XObject << /F 6 0 R >> >> >>",
        stream(b"/F Do"),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for level in range(depth):
        is_last = level == depth - 1
        body = b"BT /T 9 Tf (deep) Tj ET" if is_last else b"/F Do " * fan_out
        resources = b"/Font << /T 5 0 R >>" if is_last else b"/XObject << /F %d 0 R >>" % (len(objects) + 2)
        objects.append(stream(body, b"/Type /XObject /Subtype /Form /BBox [0 0 200 200] /Resources << %s >>" % resources))
    return write_pdf(path, objects)


def inflated_content(path: Path, *, megabytes: int) -> Path:
    """A page whose content unfolds twice: some kB become megabytes of text operators."""
    unit = b"BT /T 9 Tf (a) Tj ET\n" * 1000
    packer = zlib.compressobj(9)
    once = b"".join(packer.compress(unit) for _ in range(megabytes * 1_000_000 // len(unit))) + packer.flush()
    return write_pdf(
        path,
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R /Resources << /Font << /T 5 0 R >> >> >>",
            stream(zlib.compress(once, 9), b"/Filter [/FlateDecode /FlateDecode]"),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        ],
    )


def claimed_pages(path: Path, *, count: int) -> Path:
    """A page tree that holds itself and claims to have `count` pages."""
    return write_pdf(
        path,
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [2 0 R 3 0 R 2 0 R] /Count %d >>" % count,
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        ],
    )


def empty_pages(path: Path, *, count: int) -> Path:
    kids = b" ".join(b"%d 0 R" % (number + 3) for number in range(count))
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>"
    return write_pdf(
        path, [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count), *[page] * count]
    )
