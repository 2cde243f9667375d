from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from apps.web.wording import ago, count, degraded, facts, size, stage_of
from localmind.model import PERSONAL, Job, JobId, JobStatus, Source, SourceId, SourceStatus, Stage

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "just now"), (59, "just now"), (61, "1 min ago"), (7200, "2 h ago"), (90_000, "yesterday")]
)
def test_a_time_is_told_by_its_distance(seconds: int, said: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == said


def test_a_time_long_ago_is_told_by_its_date() -> None:
    assert ago(NOW - timedelta(days=40), NOW) == "24 Jan 2026"


@pytest.mark.parametrize(("size_bytes", "said"), [(9, "9 B"), (1500, "1.5 kB"), (10_400_000, "10 MB"), (2_300_000_000, "2.3 GB")])
def test_a_size_has_two_digits_and_a_unit(size_bytes: int, said: str) -> None:
    assert size(size_bytes) == said


def test_figures_agree_with_their_nouns() -> None:
    assert [count(k, "page") for k in (0, 1, 1200)] == ["0 pages", "1 page", "1,200 pages"]


def test_a_source_is_described_by_what_was_read_of_it() -> None:
    source = Source(SourceId("s"), PERSONAL, "T", "file", "application/pdf", SourceStatus.READY, 1, NOW, NOW, pages=3, chunks=1)
    assert facts(source, NOW) == "3 pages · 1 chunk · just now"


@pytest.mark.parametrize(("stage", "said"), [*((stage, None) for stage in Stage), (None, "Starting"), ("fetch", "Starting")])
def test_every_stage_has_words(stage: str | None, said: str | None) -> None:
    job = Job(JobId("j"), PERSONAL, "ingest", JobStatus.RUNNING, NOW, NOW, stage=stage)
    assert stage_of(job) == said if said else stage_of(job) not in ("Starting", "")


def test_an_answer_without_the_model_says_so_and_not_that_the_search_failed() -> None:
    assert degraded(["llm"]) == "The language model did not answer, so this is quoted from your documents."
    assert degraded(["reranker"]) == "The reranker did not answer, so the order is less exact."
    assert degraded(["vectors", "llm"]).startswith("Not everything could be searched: vectors did not answer.")
