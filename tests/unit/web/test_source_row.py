from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from apps.web.source_row import STOPPED, problem_of
from localmind.model import PERSONAL, Source, SourceId, SourceStatus

NOW = datetime(2026, 3, 5, tzinfo=UTC)
SOURCE = Source(SourceId("s"), PERSONAL, "T", "file", "application/pdf", SourceStatus.READY, 1, NOW, NOW)


def test_an_error_is_told_with_its_hint() -> None:
    source = replace(SOURCE, status=SourceStatus.FAILED, error={"message": "It is encrypted.", "hint": "Remove the password."})
    assert problem_of(source) == ("It is encrypted.", "Remove the password.")


def test_notes_say_what_a_partial_source_lacks() -> None:
    source = replace(SOURCE, status=SourceStatus.PARTIAL, notes=("12 of 40 pages have no text.",))
    assert problem_of(source) == ("12 of 40 pages have no text.", "")


def test_a_source_that_failed_without_an_error_was_stopped() -> None:
    assert problem_of(replace(SOURCE, status=SourceStatus.FAILED)) == (STOPPED, "")


def test_a_ready_source_has_no_problem() -> None:
    assert problem_of(SOURCE) == ("", "")
