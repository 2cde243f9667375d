"""Rows of a sheet or a CSV file as lines that search well: each value beside its column's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from localmind.readers.building import DocumentBuilder
from localmind.readers.cleaning import one_line

_HEADER_SEARCH_ROWS = 10
MAX_CELL_CHARS = 20_000
ROWS_A_BLOCK = 20
"""A blank line after so many rows, so that a chunk is cut between rows and not inside a block of a million lines."""


def add_rows(builder: DocumentBuilder, rows: Iterable[Sequence[str]]) -> None:
    """Adds a table: `Name: Ada; Born: 1815` a line where a header row is found, else the values between tabs.

    Lines above the header (a sheet's title, say) come as they are. Empty rows and cells are left out.
    """
    iterator = iter(_filled(rows))
    first = [row for row, _ in zip(iterator, range(_HEADER_SEARCH_ROWS), strict=False)]
    at = _find_header(first)
    if at is None:
        _add_lines(builder, ("\t".join(cell for cell in row if cell) for row in _chain(first, iterator)))
        return
    for row in first[:at]:
        builder.block(" ".join(cell for cell in row if cell))
    header = first[at]
    builder.block(" | ".join(cell for cell in header if cell))
    _add_lines(builder, (_named(header, row) for row in _chain(first[at + 1 :], iterator)))


def joined(cells: Iterable[str]) -> str:
    """A row of a table inside a document."""
    return " | ".join(cell for cell in map(one_line, cells) if cell)


def _filled(rows: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    for row in rows:
        cells = [one_line(cell[:MAX_CELL_CHARS]) for cell in row]
        if any(cells):
            yield cells


def _find_header(rows: Sequence[Sequence[str]]) -> int | None:
    """The first row that has most of the columns, words alone, no two alike, and another row below it."""
    width = max((sum(1 for cell in row if cell) for row in rows), default=0)
    if width < 2:
        return None
    for index, row in enumerate(rows[:-1]):
        cells = [cell for cell in row if cell]
        if len(cells) * 2 <= width:
            continue
        is_words = all(len(cell) <= 80 and not _is_number(cell) for cell in cells)
        return index if is_words and len(set(cells)) == len(cells) else None
    return None


def _is_number(cell: str) -> bool:
    return any(c.isdigit() for c in cell) and not any(c.isalpha() for c in cell)


def _named(header: Sequence[str], row: Sequence[str]) -> str:
    pieces = []
    for index, cell in enumerate(row):
        if cell:
            name = header[index] if index < len(header) else ""
            pieces.append(f"{name}: {cell}" if name else cell)
    return "; ".join(pieces)


def _add_lines(builder: DocumentBuilder, lines: Iterable[str]) -> None:
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == ROWS_A_BLOCK:
            builder.block("\n".join(block))
            block.clear()
    if block:
        builder.block("\n".join(block))


def _chain(first: Iterable[list[str]], rest: Iterable[list[str]]) -> Iterator[list[str]]:
    yield from first
    yield from rest
