"""Workbooks (XLSX, XLS, ODS): a sheet is a heading, a row a line that names its columns."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator

from localmind.errors import Broken, Encrypted
from localmind.model import Document
from localmind.readers.building import DocumentBuilder
from localmind.readers.containers import open_zip
from localmind.readers.formats import XLS, Reading
from localmind.readers.tables import add_rows


def read(reading: Reading) -> Document:
    """Raises NoText, Broken, Encrypted, ReaderLimit."""
    import python_calamine as calamine

    if reading.media_type != XLS:
        _check_members(reading)
    builder = DocumentBuilder()
    try:
        with calamine.CalamineWorkbook.from_path(str(reading.path)) as workbook:
            names = workbook.sheet_names
            for number, name in enumerate(names, 1):
                _add_sheet(builder, workbook, name)
                reading.progress(number, len(names))
    except calamine.PasswordError as error:
        raise Encrypted(
            "The workbook is protected by a password.", hint="Open it, remove the password, save it, put it in again."
        ) from error
    except (calamine.CalamineError, zipfile.BadZipFile) as error:
        raise Broken(f"The workbook is damaged ({error}).", hint="Open it, save it again, and put it in.") from error
    return builder.build(reading.media_type)


def _check_members(reading: Reading) -> None:
    """calamine unpacks without limits, so the directory is held to ours first."""
    with open_zip(reading.path) as archive:
        for name in archive.names:
            if name.endswith((".xml", ".bin")):
                with archive.open(name):
                    pass


def _add_sheet(builder: DocumentBuilder, workbook: object, name: str) -> None:
    sheet = workbook.get_sheet_by_name(name)  # type: ignore[attr-defined]
    if sheet.height == 0:
        return
    rows = sheet.to_python(skip_empty_area=True)
    if not any(cell != "" for row in rows for cell in row):
        return
    builder.heading(1, name)
    add_rows(builder, _as_text(rows))


def _as_text(rows: list[list[object]]) -> Iterator[list[str]]:
    for row in rows:
        yield [_cell(value) for value in row]


def _cell(value: object) -> str:
    if isinstance(value, float):
        # A workbook keeps every number as a double: 2024 must not become 2024.0, nor 0.1 + 0.2 seventeen digits.
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.15g}"
    if isinstance(value, datetime.datetime):
        is_date = value.time() == datetime.time()
        return value.date().isoformat() if is_date else value.isoformat(sep=" ", timespec="minutes" if not value.second else "seconds")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
