"""Vectors made anew: all of them, or the service does not start."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from localmind.errors import ConfigurationError
from localmind.model import PERSONAL, JobStatus, Mode
from localmind.settings import Settings
from localmind.wiring import LocalMind, build
from localmind.wiring.upkeep import reembed


@pytest.fixture
def settings(tmp_path: Path, new_data_dir: Callable[[Path], Path]) -> Settings:
    return Settings(data_dir=new_data_dir(tmp_path / "data"), seed_guides=False, _env_file=None)  # type: ignore[call-arg]


def opened(settings: Settings) -> LocalMind:
    mind = build(settings)
    mind.open()
    return mind


def fill(settings: Settings) -> None:
    mind = opened(settings)
    text = "The Aurora pump was built in Bergen by Ada Lindqvist."
    accepted = mind.sources.upload(PERSONAL, filename="pumps.md", data=io.BytesIO(text.encode()))
    assert accepted.job_id is not None
    assert list(mind.jobs.watch(PERSONAL, accepted.job_id, 60))[-1].status is JobStatus.SUCCEEDED
    mind.close()


def test_a_cut_off_reembed_keeps_the_service_from_starting_with_half_the_vectors(settings: Settings) -> None:
    fill(settings)

    def cut_off(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reembed(settings, report=cut_off)
    with pytest.raises(ConfigurationError, match="cut off") as caught:
        opened(settings)
    assert "localmind reembed" in caught.value.hint

    assert reembed(settings, report=lambda _done, _total: None).chunks == 1

    mind = opened(settings)
    try:
        assert mind.maintenance.stats(PERSONAL).vectors == 1
        assert [hit.title for hit in mind.search.search(PERSONAL, "who built the pump", mode=Mode.VECTOR).hits] == ["pumps"]
    finally:
        mind.close()
