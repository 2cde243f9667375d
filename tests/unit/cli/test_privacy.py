"""Audit, maintenance, export, erasure and deletion from the command line, on a catalog without a service."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Localmind
from tests.unit.cli.test_accounts import CHEAP, PASSWORD


@pytest.fixture
def env(localmind: Localmind, tmp_path: Path) -> dict[str, str]:
    """Settings of a catalog with an owner."""
    env = {"DATA_DIR": str(tmp_path / "lm"), **{name.upper(): value for name, value in CHEAP.items()}}
    told = localmind("admin", "create-user", "--email", "ann@example.org", env={**env, "LOCALMIND_ADMIN_PASSWORD": PASSWORD})
    assert told.code == 0, told
    return env


def test_verify_says_which_event_was_changed_and_fails(localmind: Localmind, env: dict[str, str]) -> None:
    told = localmind("audit", "verify", "--json", env=env)
    (chain,) = json.loads(told.out)["tenants"]
    assert (told.code, chain["tenant"], chain["events"], chain["flaws"]) == (0, "personal", 1, [])

    with closing(sqlite3.connect(Path(env["DATA_DIR"]) / "catalog.db")) as connection, connection:
        connection.execute("UPDATE audit_event SET event = 'login'")
    told = localmind("audit", "verify", env=env)
    assert told.code == 1 and "event 1 was changed" in told.out


def test_maintenance_goes_on_and_off_and_says_so(localmind: Localmind, env: dict[str, str]) -> None:
    assert "on since" in localmind("maintenance", "on", "--why", "a new disk", env=env).out
    told = json.loads(localmind("maintenance", "status", "--json", env=env).out)
    assert (told["on"], told["why"], told["running_jobs"]) == (True, "a new disk", 0)
    assert "off" in localmind("maintenance", "off", env=env).out
    assert json.loads(localmind("maintenance", "status", "--json", env=env).out)["on"] is False


def test_a_person_is_exported_and_erased(localmind: Localmind, env: dict[str, str], tmp_path: Path) -> None:
    target = tmp_path / "ann.zip"
    export = ("privacy", "export", "--email", "ann@example.org", "--to", target)
    assert localmind(*export, env=env).code == 0
    assert "profile.json" in zipfile.ZipFile(target).namelist()
    assert "already" in localmind(*export, env=env).err
    assert localmind("privacy", "erase", "--email", "ann@example.org", "--yes", env=env).code == 0
    assert localmind("privacy", "erase", "--email", "ann@example.org", "--yes", env=env).code == 4
    assert localmind("privacy", "shred", env=env).code == 0
    assert b"ann@example.org" not in (Path(env["DATA_DIR"]) / "catalog.db").read_bytes()


def test_a_tenant_that_is_not_there_is_not_deleted(localmind: Localmind, env: dict[str, str]) -> None:
    assert localmind("admin", "delete-tenant", "Nobody Ltd", "--yes", env=env).code == 4


def test_a_backup_is_marked_and_a_time_to_come_is_refused(localmind: Localmind, env: dict[str, str]) -> None:
    assert "2026-01-02 03:04 UTC" in localmind("maintenance", "mark", "backup", "--at", "2026-01-02T03:04:00", env=env).out
    drill = json.loads(localmind("maintenance", "mark", "restore-drill", "--json", env=env).out)
    assert drill["what"] == "restore-drill" and drill["at"].startswith("20")
    told = localmind("maintenance", "mark", "backup", "--at", "2999-01-01T00:00:00", env=env)
    assert told.code == 1 and "yet to come" in told.err
    assert localmind("maintenance", "mark", "holiday", env=env).code == 2
