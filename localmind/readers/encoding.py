"""Bytes of a text file as characters, whatever encoding they are in."""

from __future__ import annotations

import codecs

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES = 65_536
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x08\x1b"))


def decode(data: bytes) -> tuple[str, str]:
    """The text and the name of its encoding.

    UTF-8 where it fits, or nearly fits (then odd bytes become U+FFFD); UTF-16 and UTF-32 by their marks or zero bytes; else the most
    likely of the old encodings by the letters' frequencies, and Windows-1252 where nothing is likely.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data.decode(name, "replace"), name.removesuffix("-sig")
    wide = _wide_encoding(data)
    if wide is not None:
        return data.decode(wide, "replace"), wide
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    if _is_nearly_utf8(data[:_SAMPLE_BYTES]):
        return data.decode("utf-8", "replace"), "utf-8"
    name = _guess(data)
    return data.decode(name, "replace"), name


def decode_head(head: bytes) -> str | None:
    """The beginning of a text file, the last character perhaps cut; None where the bytes are no text."""
    if any(head.startswith(bom) for bom, _ in _BOMS) or _wide_encoding(head) is not None:
        return decode(head)[0]
    sample = head[:_SAMPLE_BYTES]
    text = head.decode("utf-8", "replace")
    # Programs leave a stray NUL in texts; a share of them is a binary file. Bytes that are UTF-8 besides get more credit.
    allowed = max(len(sample) // 20, 4) if "\ufffd" not in text[:-1] else len(sample) // 100
    if len(sample) - len(sample.translate(None, _CONTROLS)) > allowed:
        return None
    return text


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a mark: every other byte is mostly zero in texts of Latin letters."""
    sample = data[:4096]
    if len(sample) < 8:
        return None
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > half * 0.6 and even < half * 0.05:
        return "utf-16-le"
    if even > half * 0.6 and odd < half * 0.05:
        return "utf-16-be"
    return None


def _is_nearly_utf8(sample: bytes) -> bool:
    """Whether the characters outside ASCII are UTF-8 but for a few: one bad byte in a log must not make mojibake of the rest."""
    text = sample.decode("utf-8", "ignore")
    good = sum(1 for character in text if character > "\x7f")
    odd_bytes = len(sample) - len(text.encode())
    return good >= 10 * max(odd_bytes - 3, 1)


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE_BYTES], steps=5, chunk_size=512, cp_exclusion=["utf_7", "utf_16", "utf_32"]).best()
    return best.encoding if best is not None else "cp1252"
