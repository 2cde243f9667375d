"""What keeps other pages away, and what keeps a weak key from being reachable."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from apps.backend.app import create_app
from apps.backend.security import hostname
from localmind.accounts.mode import check_secrets
from localmind.errors import ConfigurationError
from localmind.settings import Settings

STRONG = "c0ffee5eed0123456789abcdef9876543210fedcba"


def app_with(tmp_path: Path, **changes: object) -> TestClient:
    """A service that is not started: what is refused is refused before any store is asked."""
    settings = Settings(_env_file=None, data_dir=tmp_path, web=True, **changes)  # type: ignore[arg-type]
    return TestClient(create_app(settings), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    return app_with(tmp_path)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_answers_as_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/livez", headers={"Host": host}).status_code == 200
    assert client.get("/openapi.json", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "10.0.0.7", "[::1", "a b"])
def test_does_not_answer_as_another_host(client: TestClient, host: str) -> None:
    answer = client.get("/api/v1/sources", headers={"Host": host})
    assert answer.status_code == 403
    assert answer.json()["error_type"] == "wrong_host"


def test_probes_are_answered_under_any_name(client: TestClient) -> None:
    assert client.get("/livez", headers={"Host": "backend:8000"}).status_code == 200


def test_the_configured_host_and_the_hosts_of_allowed_origins_are_ours(tmp_path: Path) -> None:
    client = app_with(tmp_path, host="10.0.0.7", secret_key=STRONG, cors_origins="https://notes.example")
    assert client.get("/openapi.json", headers={"Host": "10.0.0.7:8000"}).status_code == 200
    assert client.get("/openapi.json", headers={"Host": "notes.example"}).status_code == 200
    assert client.get("/openapi.json", headers={"Host": "other.example"}).status_code == 403


def test_a_wildcard_address_answers_to_addresses_but_not_to_names(tmp_path: Path) -> None:
    client = app_with(tmp_path, host="0.0.0.0", secret_key=STRONG)
    assert client.get("/openapi.json", headers={"Host": "192.168.1.5:8000"}).status_code == 200
    assert client.get("/openapi.json", headers={"Host": "rebound.example"}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8000"])
def test_a_page_of_another_origin_may_not_change_anything(client: TestClient, origin: str) -> None:
    answer = client.delete("/api/v1/sources/abc", headers={"Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["error_type"] == "cross_origin"


def test_a_browser_that_hides_the_origin_is_told_by_where_it_fetches_from(client: TestClient) -> None:
    assert client.post("/api/v1/search", json={"query": "x"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.parametrize("headers", [{"Origin": "http://127.0.0.1:8000"}, {}, {"Sec-Fetch-Site": "same-origin"}])
def test_our_own_page_and_programs_may(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.delete("/api/v1/sources/abc", headers=headers)
    assert answer.status_code == 503  # passed the guard; the service has not been started


def test_an_allowed_origin_may_and_is_told_so(tmp_path: Path) -> None:
    client = app_with(tmp_path, cors_origins="https://notes.example")
    answer = client.delete("/api/v1/sources/abc", headers={"Origin": "https://notes.example"})
    assert answer.status_code == 503
    assert answer.headers["access-control-allow-origin"] == "https://notes.example"


def test_a_web_socket_of_another_origin_is_closed(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/_nicegui_ws/", headers={"Origin": "https://evil.example"}),
    ):
        pass
    assert refused.value.code == 1008


def test_every_answer_carries_security_headers(client: TestClient) -> None:
    headers = client.get("/livez").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["permissions-policy"].startswith("camera=()")
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in headers


def test_over_tls_browsers_are_told_to_stay_with_it(tmp_path: Path) -> None:
    client = TestClient(create_app(Settings(_env_file=None, data_dir=tmp_path, web=False)), base_url="https://127.0.0.1:8000")
    assert client.get("/livez").headers["strict-transport-security"] == "max-age=31536000"


def test_the_docs_run_their_own_script_and_no_other(client: TestClient) -> None:
    answer = client.get("/docs")
    (script,) = re.findall("<script>(.*?)</script>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("origins", ["*", "https://*.example", "notes.example", "https://notes.example/path", "https://a.example, *"])
def test_origins_are_named_one_by_one(origins: str) -> None:
    with pytest.raises(ValidationError, match="is no origin"):
        Settings(_env_file=None, cors_origins=origins)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_loopback_needs_no_secret(host: str) -> None:
    check_secrets(Settings(_env_file=None, host=host))


@pytest.mark.parametrize("secret", ["", "changeme", "a" * 64, "short", "my-local-secret-key-that-is-long-enough-1234"])
def test_another_address_needs_a_strong_secret(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY") as refused:
        create_app(Settings(_env_file=None, host="0.0.0.0", secret_key=secret))
    assert secret == "" or secret not in str(refused.value)


def test_a_strong_secret_will_do() -> None:
    check_secrets(Settings(_env_file=None, host="0.0.0.0", secret_key=STRONG))


@pytest.mark.parametrize(
    ("header", "name"), [("a.example:80", "a.example"), ("[::1]:80", "::1"), ("A.Example.", "a.example"), ("", ""), ("[::1", "")]
)
def test_names_in_host_headers(header: str, name: str) -> None:
    assert hostname(header) == name
