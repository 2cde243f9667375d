"""One set-up for all loggers: JSON lines for machines, and never a document's text."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from localmind.operations import logs


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_both_kinds_of_loggers_write_json_with_what_is_bound(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    with structlog.contextvars.bound_contextvars(job_id="j1"):
        structlog.get_logger().info("source_ingested", chunks=412)
        logging.getLogger("some.library").warning("took %s s", 3)
    ours, theirs = lines(capsys)
    assert ours["event"] == "source_ingested" and ours["job_id"] == "j1" and str(ours["chunks"]) == "412" and ours["level"] == "info"
    assert theirs["event"] == "took 3 s" and theirs["job_id"] == "j1"


def test_the_level_holds_for_both(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING")
    structlog.get_logger().info("quiet")
    logging.getLogger("some.library").info("quiet")
    logging.getLogger("httpx").info("quiet")
    assert lines(capsys) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_a_traceback_shows_no_local_variables(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    logs.configure("INFO")
    text = "what the document says"
    try:
        raise RuntimeError(f"{len(text)} characters")
    except RuntimeError:
        structlog.get_logger().exception("crashed")
    told = capsys.readouterr().err
    assert "RuntimeError" in told and text not in told.replace('text = "what the document says"', "")


def test_configuring_twice_writes_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    logs.configure("INFO")
    structlog.get_logger().info("once")
    assert len(lines(capsys)) == 1
