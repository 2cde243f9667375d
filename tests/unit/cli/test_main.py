"""The commands against a running service: what they print and how they exit."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Localmind, Service

HEAVY = ("fastapi", "nicegui", "lancedb", "numpy", "httpx", "sqlalchemy", "openvino", "pydantic", "rich", "uvicorn", "structlog")
COMMANDS = ("serve", "ingest", "sources", "jobs", "search", "ask", "delete", "reconcile", "rebuild", "status", "doctor")

SOUP = "# Soup\n\nThe leek soup simmers for twenty minutes. Potatoes make it thick.\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "soup.md").write_text(SOUP)
    (folder / "deeper" / "still").mkdir(parents=True)
    (folder / "deeper" / "still" / "bread.txt").write_text("Sourdough bread rests for twelve hours.")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 64)
    (folder / ".secret.txt").write_text("hidden")
    (folder / ".git").mkdir()
    (folder / ".git" / "config.txt").write_text("hidden")
    return folder


@pytest.fixture
def ingested(localmind: Localmind, service: Service, folder: Path) -> dict[str, str]:
    """Source ids by file name."""
    result = localmind("ingest", folder, "--json", env=service.env)
    assert result.code == 0, result
    return {Path(one["path"]).name: one["source_id"] for one in json.loads(result.out)["files"]}


# --- before anything runs


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    code = f"import sys; import apps.cli.main; print([name for name in {HEAVY} if name in sys.modules])"
    best = 60.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert told.stdout.strip() == "[]"
    assert best < 0.4, "seconds of CPU: others may be at work on this machine"


def test_help_lists_every_command_and_the_exit_codes(localmind: Localmind) -> None:
    told = localmind("--help", env={})
    assert told.code == 0
    assert all(command in told.out for command in COMMANDS)
    assert "3 the service or a store can't be reached" in " ".join(told.out.split())


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "serve"])
def test_every_command_that_prints_data_prints_json_too(localmind: Localmind, command: str) -> None:
    assert "--json" in localmind(command, "--help", env={}).out


@pytest.mark.parametrize(
    "args", [("nonsense",), ("ingest",), ("ingest", "/no/such/path"), ("search", "x", "--limit", "0"), ("serve", "--port", "0")]
)
def test_wrong_usage_exits_with_2(localmind: Localmind, args: tuple[str, ...]) -> None:
    assert localmind(*args, env={}).code == 2


def test_a_wrong_setting_is_named_without_its_value(localmind: Localmind) -> None:
    told = localmind("status", env={"CHUNK_TOKENS": "17"})
    assert told.code == 1
    assert "CHUNK_TOKENS" in told.err and "17" not in told.err and "Traceback" not in told.err


# --- beside a running service


def test_serve_says_what_to_open(service: Service) -> None:
    assert f"Open {service.url}" in service.starting and f"{service.url}/docs" in service.starting


def test_the_service_file_is_for_its_owner_alone(service: Service) -> None:
    path = service.data_dir / "service.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["url"] == service.url


def test_ingest_takes_what_can_be_read_and_says_what_not(localmind: Localmind, service: Service, folder: Path) -> None:
    told = localmind("ingest", folder, env=service.env)
    assert told.code == 0, told
    assert "picture.png" in told.out and "PNG" in told.out
    assert "1 left out" in told.out and "2 hidden" in told.out
    sources = json.loads(localmind("sources", "--json", env=service.env).out)
    assert {"soup.md", "bread.txt"} <= {source["filename"] for source in sources}
    assert (folder / "soup.md").as_uri() in {source["uri"] for source in sources}


def test_a_changed_file_is_a_new_version(localmind: Localmind, service: Service, tmp_path: Path) -> None:
    file = tmp_path / "plan.md"
    ids = set()
    for version, text in enumerate(("We plant beans.", "We plant pumpkins.", "We plant pumpkins."), 1):
        file.write_text(text)
        told = json.loads(localmind("ingest", file, "--json", env=service.env).out)["files"][0]
        ids.add(told["source_id"])
        assert told["status"] == ("duplicate" if version == 3 else "succeeded")
    assert len(ids) == 1
    assert [source["version"] for source in json.loads(localmind("sources", "-q", "plan", "--json", env=service.env).out)] == [2]


def test_a_file_that_can_not_be_read_is_told_with_reason_and_hint(localmind: Localmind, service: Service, folder: Path) -> None:
    told = localmind("ingest", folder / "picture.png", env=service.env)
    assert told.code == 1
    assert "picture.png" in told.out and "failed" in told.out and "PNG" in told.out
    failed = json.loads(localmind("jobs", "--status", "failed", "--json", env=service.env).out)
    assert failed[0]["error"]["hint"]
    assert "PNG" in localmind("jobs", "--status", "failed", env=service.env).out


def test_a_file_over_the_limit_is_not_even_sent(localmind: Localmind, service: Service, tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text("x" * 3_000_000)
    told = localmind("ingest", tmp_path / "big.txt", env=service.env)
    assert told.code == 1 and "MAX_UPLOAD_MB" in told.out


def test_no_wait_returns_at_once_with_the_job(localmind: Localmind, service: Service, tmp_path: Path) -> None:
    (tmp_path / "later.txt").write_text("This one is read later.")
    told = json.loads(localmind("ingest", tmp_path / "later.txt", "--no-wait", "--json", env=service.env).out)["files"][0]
    assert told["status"] == "queued" and told["job_id"]


@pytest.mark.usefixtures("ingested")
def test_search_prints_passages(localmind: Localmind, service: Service) -> None:
    told = localmind("search", "How long does the soup simmer?", "-n", "3", env=service.env)
    assert told.code == 0 and "1. Soup" in told.out and "twenty minutes" in told.out
    found = json.loads(localmind("search", "soup", "--mode", "vector", "--json", env=service.env).out)
    assert found["hits"][0]["title"] == "Soup"
    assert localmind("search", "soup", "--mode", "magic", env=service.env).code == 2


@pytest.mark.usefixtures("ingested")
def test_ask_prints_the_answer_and_where_it_stands(localmind: Localmind, service: Service) -> None:
    told = localmind("ask", "How long does the leek soup simmer?", env=service.env)
    assert told.code == 0
    assert "twenty minutes" in told.out and "[1] Soup" in told.out
    answer = json.loads(localmind("ask", "How long does the leek soup simmer?", "--json", env=service.env).out)
    again = localmind("ask", "And what makes it thick?", "-c", answer["conversation_id"], env=service.env)
    assert again.code == 0 and answer["conversation_id"] in again.out


def test_asking_in_an_unknown_conversation_exits_with_4(localmind: Localmind, service: Service) -> None:
    told = localmind("ask", "Hello?", "--conversation", "unknown", env=service.env)
    assert told.code == 4
    assert len(told.err.strip().splitlines()) == 1 and "Traceback" not in told.err


def test_delete_forgets_a_source(localmind: Localmind, service: Service, ingested: dict[str, str]) -> None:
    told = localmind("delete", ingested["bread.txt"], env=service.env)
    assert told.code == 0 and "deleted" in told.out
    assert ingested["bread.txt"] not in localmind("sources", env=service.env).out
    again = localmind("delete", ingested["bread.txt"], env=service.env)
    assert again.code == 4


def test_reconcile_and_rebuild(localmind: Localmind, service: Service, ingested: dict[str, str]) -> None:
    assert "0 differences" in localmind("reconcile", "--check", env=service.env).out
    assert json.loads(localmind("rebuild", "--json", env=service.env).out)["chunks"] >= 1
    assert localmind("reconcile", env=service.env).code == 0


def test_status_tells_where_and_how_much(localmind: Localmind, service: Service, ingested: dict[str, str]) -> None:
    told = localmind("status", env=service.env)
    assert service.url in told.out and "healthy" in told.out and str(service.data_dir) in told.out
    status = json.loads(localmind("status", "--json", env=service.env).out)
    assert status["running"] is True and status["status"] == "healthy" and status["sources"] >= 1


def test_doctor_sees_the_service(localmind: Localmind, service: Service) -> None:
    checks = {check["name"]: check for check in json.loads(localmind("doctor", "--json", env=service.env).out)}
    assert checks["service"]["ok"] and service.url in checks["service"]["detail"]
    assert "ok" in localmind("doctor", env=service.env).out


def test_a_second_serve_says_that_the_port_is_in_use(localmind: Localmind, service: Service) -> None:
    told = localmind("serve", env=service.env)
    assert told.code == 1
    assert f"Port {service.env['PORT']} is in use by the Local Mind that runs already" in told.err and "Traceback" not in told.err


def test_a_second_serve_on_the_same_data_says_so_and_stops(localmind: Localmind, service: Service) -> None:
    from tests.unit.cli.conftest import free_port

    told = localmind("serve", "--port", str(free_port()), env=service.env)
    assert told.code == 3
    assert "in use by another Local Mind" in told.err and "Traceback" not in told.err


def test_another_process_at_the_address_in_the_service_file_is_not_taken_for_the_service(
    localmind: Localmind, service: Service, tmp_path: Path
) -> None:
    told = json.loads((service.data_dir / "service.json").read_text())
    (tmp_path / "service.json").write_text(json.dumps({**told, "instance": "another"}))
    checks = json.loads(localmind("doctor", "--json", env={**service.env, "DATA_DIR": str(tmp_path)}).out)
    assert "another program has port" in next(check for check in checks if check["name"] == "service")["detail"]
