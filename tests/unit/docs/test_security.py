"""The security page names the test that proves each line: those tests exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "security.md"
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE.read_text("utf-8"))))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_test_that_the_page_names_exists(file: str, name: str) -> None:
    assert re.search(rf"^(?:async )?def {name}\(", (TESTS / file).read_text("utf-8"), re.MULTILINE)


def test_every_row_names_a_test_or_says_that_there_is_none() -> None:
    rows = [
        line
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("|") and not re.match(r"\|(?:---|\s*\||\s*(?:risk|section)\b)", line)
    ]
    assert len(rows) > 40
    assert [row for row in rows if "::" not in row and "no test" not in row and "tests under" not in row] == []
