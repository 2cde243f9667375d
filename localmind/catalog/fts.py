"""The full-text index's tables in an SQLite catalog; every name begins with chunk_fts.

The index is contentless: texts stand in `chunk` alone, 40% of the size of an index with its own copy. To forget a chunk, FTS5
must be shown what it was given, so `chunk_fts_entry` keeps the one thing that the chunk's row does not: the title at that time.
"""

from __future__ import annotations

import sqlalchemy as sa

# Marks belong to words (Hindi has vowels that are marks); FTS5 leaves them out unless told so.
CREATE = (
    """CREATE VIRTUAL TABLE chunk_fts USING fts5(
        title, heading, text, content='',
        tokenize="porter unicode61 remove_diacritics 2 categories 'L* M* N* Co'"
    )""",
    "CREATE TABLE chunk_fts_entry (pk INTEGER PRIMARY KEY, title TEXT NOT NULL)",
)
# SQLite opens a virtual table in order to drop it, which fails where FTS5's own records are damaged: so they are made those of an
# empty index first, averages in row 1 and structure in row 10 (the format's version 4).
EMPTY = (
    "DELETE FROM chunk_fts_data",
    "DELETE FROM chunk_fts_idx",
    "DELETE FROM chunk_fts_docsize",
    "INSERT INTO chunk_fts_data (id, block) VALUES (1, x''), (10, x'00000000000000')",
)
DROP = ("DROP TABLE IF EXISTS chunk_fts_entry", "DROP TABLE IF EXISTS chunk_fts")


def create(connection: sa.Connection) -> None:
    for statement in CREATE:
        connection.exec_driver_sql(statement)


def drop(connection: sa.Connection) -> None:
    for statement in DROP:
        connection.exec_driver_sql(statement)


def recreate(connection: sa.Connection) -> None:
    """An empty index in place of one that may be damaged."""
    for statement in (*EMPTY, *DROP, *CREATE):
        connection.exec_driver_sql(statement)
