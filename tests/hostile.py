"""Strings that try to get out of the place where a store puts them: into SQL, Cypher, FTS5, Milvus' and LanceDB's filters, JSON."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

PIECES = [
    *(
        "'",
        '"',
        "`",
        "''",
        "\\",
        "\\'",
        '\\"',
        ";",
        "--",
        "/*",
        "*/",
        "//",
        "#",
        "\n",
        "%",
        "_",
        "*",
        "?",
        ":",
        "$",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
    ),
    *(
        " or 1=1",
        "' OR '1'='1",
        '" or source_id != "',
        '" or tenant != "',
        "' or tenant <> '",
        " and false",
        "] or id in [",
        ") UNION SELECT ",
    ),
    *(
        "'; DROP TABLE source; --",
        "`}) DETACH DELETE n //",
        "'}) MATCH (n) DETACH DELETE n //",
        "{tenant: 'bob'}",
        "$tenant",
        ":tenant",
        "%s",
        "?1",
    ),
    *(
        "NEAR(",
        "text:",
        " NOT ",
        " AND ",
        " OR ",
        "^",
        "~",
        "[* TO *]",
        "\u2019",
        "\u02bc",
        "\uff07",
        "\uff02",
        "\u202e",
        "bob",
        "s1",
        "fox",
    ),
]

TEXT = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
"""No NUL and no lone surrogate: the doors refuse both, since PostgreSQL and UTF-8 have no place for them."""

hostile = st.lists(st.one_of(st.sampled_from(PIECES), st.text(TEXT, max_size=5)), min_size=1, max_size=6).map("".join)
"""Any text, most often with something in it that is syntax somewhere."""

some = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""For a store that is opened once a test and not once an example."""
