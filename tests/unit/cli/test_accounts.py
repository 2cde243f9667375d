"""Accounts from the command line, and the command line with an API key."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from apps.backend import rates
from apps.backend.app import create_app
from apps.cli import service_file
from apps.cli.service_file import Running
from localmind.accounts.accounts import Accounts
from localmind.accounts.authentication import Credentials
from localmind.accounts.model import Role, Scope
from localmind.operations import logs
from localmind.settings import Settings
from tests.unit.cli.conftest import Localmind

PASSWORD = "correct horse battery"
CHEAP = {"auth": "required", "secret_key": "Vt5v0h7mQmYQ1cZk3r8sXw2nB6yD4uJf", "password_memory_kib": "8", "password_rounds": "1"}
ANN = ("admin", "create-user", "--email", "ann@example.org", "--json")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {
        "DATA_DIR": str(tmp_path / "lm"),
        "SEED_GUIDES": "false",
        "WEB": "false",
        **{name.upper(): value for name, value in CHEAP.items()},
    }


def test_the_password_comes_from_standard_input(localmind: Localmind, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    told = localmind(*ANN, env=env)
    assert told.code == 0, told
    made = json.loads(told.out)
    assert (made["tenant"], made["role"], made["new"]) == ("personal", "owner", True)


def test_what_is_printed_is_json_alone(localmind: Localmind, env: dict[str, str]) -> None:
    """The audit's line goes elsewhere."""
    logs.configure("INFO")
    told = localmind(*ANN, env={**env, "LOCALMIND_ADMIN_PASSWORD": PASSWORD})
    assert json.loads(told.out)["new"] is True and told.err == ""


def test_or_from_a_variable_and_the_account_may_be_there(localmind: Localmind, env: dict[str, str]) -> None:
    for is_new in (True, False):
        told = localmind(*ANN, "--role", "admin", "--tenant", "Other Ltd", env={**env, "LOCALMIND_ADMIN_PASSWORD": PASSWORD})
        assert json.loads(told.out)["new"] is is_new
        assert PASSWORD not in told.out + told.err


@pytest.mark.parametrize(
    ("args", "password", "says"),
    [((), "short", "12 to"), (("--role", "king"), PASSWORD, "viewer, editor"), (("--email", "nobody"), PASSWORD, "name@example.org")],
)
def test_what_will_not_do_is_named(localmind: Localmind, env: dict[str, str], args: tuple[str, ...], password: str, says: str) -> None:
    told = localmind(*ANN, *args, env={**env, "LOCALMIND_ADMIN_PASSWORD": password})
    assert told.code == 1 and says in told.err


@contextmanager
def serving(folder: Path, **changes: Any) -> Iterator[Accounts]:
    """A running service that asks for logins."""
    app = create_app(Settings(_env_file=None, data_dir=folder, seed_guides=False, web=False, log_level="ERROR", **CHEAP, **changes))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        running = Running(f"http://127.0.0.1:{listener.getsockname()[1]}", os.getpid(), app.state.service.instance)
        with service_file.announced(folder, running):
            thread.start()
            assert app.state.service.wait(60)
            yield app.state.service.mind.accounts
            server.should_exit = True
            thread.join()


@pytest.fixture
def team(tmp_path: Path, new_data_dir: Callable[[Path], Path]) -> Iterator[Accounts]:
    with serving(new_data_dir(tmp_path / "lm")) as accounts:
        yield accounts


def test_the_command_line_sends_its_key(localmind: Localmind, env: dict[str, str], team: Accounts) -> None:
    team.members.create_user("ann@example.org", PASSWORD, Role.OWNER)
    token = team.logins.log_in("ann@example.org", PASSWORD, address="192.0.2.1").access
    ann = team.authentication.authenticate(Credentials(token=token))
    space = team.spaces.make(ann, "Research", restricted=False)
    key = team.api_keys.make(ann, "cli", [Scope.READ]).text

    refused = localmind("sources", "--json", env=env)
    assert refused.code == 1 and "Credentials are needed" in refused.err
    assert json.loads(localmind("sources", "--json", env={**env, "LOCALMIND_API_KEY": key}).out) == []
    elsewhere = {**env, "LOCALMIND_API_KEY": key, "LOCALMIND_SPACE": space.id}
    assert json.loads(localmind("sources", "--json", env=elsewhere).out) == []
    assert localmind("sources", env={**elsewhere, "LOCALMIND_SPACE": "nowhere"}).code == 4


def test_limits_are_shown_and_given_to_a_tenant(localmind: Localmind, env: dict[str, str]) -> None:
    def limits(*args: str) -> Any:
        return json.loads(localmind("admin", "limits", "--json", *args, env={**env, "QUOTA_DOCUMENTS": "7"}).out)

    assert (limits()["documents"], limits()["held"]["documents"]) == (7, 0)
    assert limits("--set", "documents=20", "--set", "storage_mb=0.5")["documents"] == 20
    assert (limits()["documents"], limits()["storage_mb"]) == (20, 0.5)
    assert limits("--set", "documents=")["documents"] == 7, "as the settings have it"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--set", "documents"), "documents=10000"),
        (("--set", "documents=many"), "documents=10000"),
        (("--set", "wishes=3"), "There is no limit 'wishes'"),
        (("--set", "documents=-1"), "can't be -1"),
        (("--tenant", "nowhere"), "There is no tenant 'nowhere'"),
    ],
)
def test_a_limit_that_is_none_is_named(localmind: Localmind, env: dict[str, str], args: tuple[str, ...], says: str) -> None:
    told = localmind("admin", "limits", *args, env=env)
    assert told.code in (1, 4) and says in told.err and "Traceback" not in told.err


def test_the_command_line_waits_where_it_asked_too_often(
    localmind: Localmind, env: dict[str, str], tmp_path: Path, new_data_dir: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "WINDOW_S", 1)
    with serving(new_data_dir(tmp_path / "lm"), rate_limits="on", rate_limit_user=1) as accounts:
        accounts.members.create_user("ann@example.org", PASSWORD, Role.OWNER)
        token = accounts.logins.log_in("ann@example.org", PASSWORD, address="192.0.2.1").access
        ann = accounts.authentication.authenticate(Credentials(token=token))
        key = accounts.api_keys.make(ann, "cli", [Scope.READ]).text
        asked = {"headers": {"Authorization": f"Bearer {key}"}, "trust_env": False}
        running = service_file.read(tmp_path / "lm")
        assert running is not None
        while httpx.get(f"{running.url}/api/v1/sources", **asked).status_code != 429:
            pass  # the window is full now
        told = localmind("sources", "--json", env={**env, "LOCALMIND_API_KEY": key})
        assert (told.code, json.loads(told.out)) == (0, [])
