"""One set-up for all loggers: JSON lines for machines, who acts and for which request, and never a document's text."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from localmind.accounts.acting import act_as, acting
from localmind.accounts.model import OWNER_HERE, Principal, Role, UserId
from localmind.model import TenantId
from localmind.operations import logs


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


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
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    logs.configure("INFO")
    text = "what the document says"
    try:
        raise RuntimeError(f"{len(text)} characters")
    except RuntimeError:
        structlog.get_logger().exception("crashed")
    told = capsys.readouterr().out
    assert "RuntimeError" in told and text not in told.replace('text = "what the document says"', "")


def test_configuring_twice_writes_once(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    logs.configure("INFO")
    structlog.get_logger().info("once")
    assert len(lines(capsys)) == 1


def test_each_line_says_for_which_request_and_who_asks(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    with acting(request_id="r1", address="192.0.2.7"):
        structlog.get_logger().info("before_login")
        act_as(Principal(TenantId("t1"), UserId("u1"), Role.EDITOR))
        structlog.get_logger().info("by_somebody", tenant_id="said")
        logging.getLogger("some.library").warning("too")
    with acting(principal=OWNER_HERE):
        structlog.get_logger().info("without_logins")
    before, ours, theirs, here = lines(capsys)
    assert before["request_id"] == "r1" and "tenant_id" not in before and "user_id" not in before
    assert (ours["tenant_id"], ours["user_id"], ours["request_id"]) == ("said", "u1", "r1")
    assert (theirs["tenant_id"], theirs["user_id"]) == ("t1", "u1")
    assert here["tenant_id"] == "personal" and "user_id" not in here and "request_id" not in here
    assert {"timestamp", "level", "event"} <= before.keys() and "192.0.2.7" not in str(before)


def test_other_peoples_code_is_never_asked_for_debug(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG")
    for name in ("openai", "neo4j.io", "pymilvus", "kombu"):
        logging.getLogger(name).debug("sending: what the document says")
    logging.getLogger("localmind.ingest").debug("ours")
    assert [line["event"] for line in lines(capsys)] == ["ours"]
    logs.configure("INFO")


def test_a_command_logs_beside_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", target="stderr")
    structlog.get_logger().warning("engine_away")
    told = capsys.readouterr()
    assert told.out == "" and json.loads(told.err)["event"] == "engine_away"


def test_no_value_costs_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO")
    structlog.get_logger().info("read", name="half a character: \udcff", bytes=2**70, where=Path("/data"))
    (line,) = lines(capsys)
    assert line["name"].endswith("\udcff") and line["bytes"] == 2**70 and "/data" in line["where"]


def test_a_logger_that_has_written_follows_a_new_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger()
    logs.configure("INFO")
    log.info("seen")
    logs.configure("WARNING", target="stderr")
    log.info("dropped")
    log.warning("elsewhere")
    told = capsys.readouterr()
    assert json.loads(told.out)["event"] == "seen" and json.loads(told.err)["event"] == "elsewhere"
    with structlog.testing.capture_logs() as caught:
        log.info("caught")
    assert [line["event"] for line in caught] == ["caught"]
