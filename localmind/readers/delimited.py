"""CSV and its kin: the delimiter is found from the rows."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from localmind.errors import Broken
from localmind.model import Document
from localmind.readers import formats
from localmind.readers.building import DocumentBuilder
from localmind.readers.encoding import decode
from localmind.readers.formats import Reading
from localmind.readers.tables import add_rows

_DELIMITERS = "\t;,|"
_SAMPLE_CHARS = 65_536
_SAMPLE_ROWS = 60


def read(reading: Reading) -> Document:
    """Raises NoText, Broken (a field beyond all bounds: a quote that is never closed)."""
    text, encoding = decode(reading.path.read_bytes())
    text = text.lstrip("\ufeff")
    builder = DocumentBuilder()
    add_rows(builder, _rows(text.replace("\x00", ""), find_dialect(text, strict=False) or ","))
    return builder.build(formats.CSV, meta={"encoding": encoding})


def find_dialect(text: str, *, strict: bool) -> str | None:
    """The delimiter, or None where the text is no table. strict: no name says that it is one, so prose must not pass."""
    sample = text[:_SAMPLE_CHARS]
    if len(text) > _SAMPLE_CHARS or not text.endswith("\n"):
        sample = sample[: sample.rfind("\n") + 1] or sample
    best: tuple[float, int, str] | None = None
    for delimiter in _DELIMITERS:
        if delimiter not in sample:
            continue
        fit = _fit(sample, delimiter, strict=strict)
        if fit is not None and (best is None or fit > best[:2]):
            best = (*fit, delimiter)
    return best[2] if best else None


def _fit(sample: str, delimiter: str, *, strict: bool) -> tuple[float, int] | None:
    """(share of rows with the usual number of fields, that number) where that looks like a table."""
    try:
        rows = [row for row, _ in zip(csv.reader(io.StringIO(sample), delimiter=delimiter), range(_SAMPLE_ROWS), strict=False) if row]
    except csv.Error:
        return None
    if not rows:
        return None
    (width, count), *_ = Counter(map(len, rows)).most_common(1)
    share = count / len(rows)
    if width < 2 or share < (0.95 if strict else 0.6):
        return None
    if strict:
        fields = [field for row in rows for field in row]
        prose = sum(1 for row in rows for field in row[1:] if field.startswith(" ") and delimiter == ",")
        if len(rows) < 3 or prose * 3 > len(fields) or sum(map(len, fields)) > 60 * len(fields):
            return None
    return share, width


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(10_000_000)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except csv.Error as error:
        raise Broken("The table can't be read: a quote is opened and never closed.", hint="Save it again as CSV.") from error
