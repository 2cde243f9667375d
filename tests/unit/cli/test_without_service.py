"""The commands while no service runs, while one dies, and how a service ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from apps.cli import service_file
from localmind.wiring import lock_data_dir
from tests.unit.cli.conftest import Localmind, Start, environment, free_port


@pytest.fixture
def env(new_data_dir: Callable[[Path], Path], tmp_path: Path) -> dict[str, str]:
    return environment(new_data_dir(tmp_path / "data"), free_port())


def test_commands_open_the_data_themselves(localmind: Localmind, env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "soup.md").write_text("The leek soup simmers for twenty minutes.")
    told = localmind("ingest", tmp_path / "soup.md", env=env)
    assert told.code == 0 and "1 succeeded" in told.out, told
    assert "twenty minutes" in localmind("search", "leek soup", env=env).out
    assert json.loads(localmind("status", "--json", env=env).out)["running"] is False


def test_data_that_another_process_has_open_is_told_as_such(localmind: Localmind, env: dict[str, str]) -> None:
    lock = lock_data_dir(Path(env["DATA_DIR"]))
    try:
        told = localmind("sources", env=env)
        doctor = localmind("doctor", env=env)
    finally:
        lock.release()
    assert told.code == 3
    assert "no service answers" in told.err and "Traceback" not in told.err
    assert doctor.code == 1 and "no service answers" in doctor.out


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"url": "http://127.0.0.1:1"}', '{"url": "http://127.0.0.1:1", "pid": 1, "instance": "x"}']
)
def test_a_stale_service_file_is_ignored(localmind: Localmind, env: dict[str, str], content: str) -> None:
    (Path(env["DATA_DIR"]) / "service.json").write_text(content)
    checks = {check["name"]: check for check in json.loads(localmind("doctor", "--json", env=env).out)}
    assert checks["service"]["detail"] == "not running"


def test_doctor_works_on_nothing_at_all(localmind: Localmind, env: dict[str, str], tmp_path: Path) -> None:
    told = localmind("doctor", "--json", env={**env, "DATA_DIR": str(tmp_path / "not" / "yet" / "there")})
    assert told.code == 0, told
    checks = {check["name"]: check for check in json.loads(told.out)}
    assert all(check["ok"] for check in checks.values())
    assert not (tmp_path / "not").exists(), "looking changes nothing"


@pytest.mark.parametrize(
    ("changes", "name", "hint"),
    [
        ({"CHUNK_TOKENS": "1"}, "settings", ".env"),
        ({"LLM_MODEL": "llama3"}, "settings", "endpoint"),
        ({"REDIS_URL": "redis://127.0.0.1:1"}, "settings", "Set DATABASE_URL"),
        ({"LLM_MODEL": "llama3", "LLM_BASE_URL": "http://127.0.0.1:1/v1"}, "llm", "LLM_BASE_URL"),
        ({"HOST": "0.0.0.0"}, "address", "SECRET_KEY"),
    ],
)
def test_doctor_says_how_to_mend(localmind: Localmind, env: dict[str, str], changes: dict[str, str], name: str, hint: str) -> None:
    told = localmind("doctor", "--json", env={**env, **changes})
    check = next(check for check in json.loads(told.out) if check["name"] == name)
    assert told.code == 1 and not check["ok"]
    assert hint in check["hint"]


def test_doctor_names_what_reads_scanned_pages(localmind: Localmind, env: dict[str, str]) -> None:
    """Klingon is not installed; where Tesseract isn't either, that is no failure."""
    told = localmind("doctor", "--json", env={**env, "OCR_LANGUAGES": "tlh"})
    check = next(check for check in json.loads(told.out) if check["name"] == "tesseract")
    assert "apt install tesseract-ocr" in check["hint"]
    assert check["ok"] == (shutil.which("tesseract") is None)


def test_doctor_finds_a_damaged_catalog(localmind: Localmind, env: dict[str, str]) -> None:
    (Path(env["DATA_DIR"]) / "catalog.db").write_bytes(b"this is no database" * 1000)
    told = localmind("doctor", "--json", env=env)
    check = next(check for check in json.loads(told.out) if check["name"] == "catalog")
    assert told.code == 1 and not check["ok"] and "damaged" in check["detail"] and check["hint"]


@pytest.mark.integration
def test_a_service_ends_cleanly_on_ctrl_c_and_after_being_killed_another_one_starts(
    start: Start, new_data_dir: Callable[[Path], Path], localmind: Localmind, tmp_path: Path
) -> None:
    folder = new_data_dir(tmp_path / "data")
    killed = start(folder)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait(10)
    assert service_file.read(folder) is not None, "nobody was left to take it away"
    again = start(folder)
    assert again.stop() == 0
    assert not (folder / "service.json").exists()
    assert "Traceback" not in (folder / "stderr.txt").read_text()


def test_the_service_file_of_another_process_is_left_alone(tmp_path: Path) -> None:
    ours = service_file.Running("http://127.0.0.1:1", os.getpid(), "ours")
    theirs = service_file.Running("http://127.0.0.1:2", os.getpid(), "theirs")
    with service_file.announced(tmp_path, ours):
        service_file.path_in(tmp_path).write_text(json.dumps(theirs._asdict()))
    assert service_file.read(tmp_path) == theirs
