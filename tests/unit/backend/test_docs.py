"""OpenAPI is complete, its examples are true, and /docs needs no network."""

from __future__ import annotations

import inspect
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel

import apps.backend.schemas.accounts
import apps.backend.schemas.common
import apps.backend.schemas.conversations
import apps.backend.schemas.graph
import apps.backend.schemas.jobs
import apps.backend.schemas.operations
import apps.backend.schemas.search
import apps.backend.schemas.sources
from apps.backend.app import create_app
from localmind.settings import Settings

SCHEMAS = apps.backend.schemas


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    settings = Settings(_env_file=None, data_dir=tmp_path_factory.mktemp("data"), web=False)
    return TestClient(create_app(settings), base_url="http://127.0.0.1")


@pytest.fixture(scope="module")
def openapi(client: TestClient) -> dict[str, Any]:
    schema: dict[str, Any] = client.get("/openapi.json").json()
    return schema


def test_docs_and_what_they_load_come_from_here(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    assert re.findall(r"https?://[^\s\"'<]+", page.text) == []
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(loaded) >= 3
    for path in loaded:
        assert client.get(path).status_code == 200, path


def test_the_page_asks_no_validator(client: TestClient) -> None:
    """Swagger UI shows a badge of validator.swagger.io unless it is told not to."""
    assert '"validatorUrl": null' in client.get("/docs").text


def test_the_style_sheet_loads_nothing_from_elsewhere(client: TestClient) -> None:
    assert re.findall(r"(?:url\(|@import\s+)[\"']?(?:https?:)?//", client.get("/docs/static/swagger-ui.css").text) == []


def test_there_is_a_call_for_each_line_of_the_contract(openapi: dict[str, Any]) -> None:
    calls = {(method.upper(), path) for path, methods in openapi["paths"].items() for method in methods}
    v1 = "/api/v1"
    expected = {
        ("GET", "/health"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        *((("POST", f"{v1}/sources/{kind}")) for kind in ("upload", "text", "bulk", "url")),
        ("GET", f"{v1}/sources"),
        *((method, f"{v1}/sources/{{source_id}}") for method in ("GET", "PUT", "DELETE")),
        *(("GET", f"{v1}/sources/{{source_id}}/{what}") for what in ("chunks", "content", "text")),
        ("POST", f"{v1}/sources/{{source_id}}/reingest"),
        ("POST", f"{v1}/sources/reingest"),
        ("GET", f"{v1}/jobs"),
        ("GET", f"{v1}/jobs/{{job_id}}"),
        ("GET", f"{v1}/jobs/{{job_id}}/events"),
        ("POST", f"{v1}/jobs/{{job_id}}/cancel"),
        ("POST", f"{v1}/jobs/{{job_id}}/retry"),
        ("POST", f"{v1}/search"),
        ("POST", f"{v1}/chat"),
        ("POST", f"{v1}/chat/stream"),
        ("GET", f"{v1}/conversations"),
        *((method, f"{v1}/conversations/{{conversation_id}}") for method in ("GET", "PATCH", "DELETE")),
        ("GET", f"{v1}/conversations/{{conversation_id}}/export"),
        ("GET", f"{v1}/graph/entities"),
        ("GET", f"{v1}/graph/entities/{{entity_id}}"),
        ("GET", f"{v1}/graph/entities/{{entity_id}}/neighbors"),
        ("GET", f"{v1}/graph/entities/{{entity_id}}/mentions"),
        ("POST", f"{v1}/graph/entities/merge"),
        ("POST", f"{v1}/graph/entities/split"),
        ("GET", f"{v1}/graph/path"),
        ("GET", f"{v1}/graph/subgraph"),
        ("GET", f"{v1}/graph/communities"),
        ("GET", f"{v1}/graph/communities/{{community_id}}"),
        ("POST", f"{v1}/maintenance/reconcile"),
        ("POST", f"{v1}/maintenance/rebuild"),
        ("GET", f"{v1}/stats"),
        ("GET", f"{v1}/usage"),
        ("GET", f"{v1}/doctor"),
        *(("POST", f"{v1}/auth/{what}") for what in ("login", "cookie", "refresh", "accept-invitation")),
        *(("POST", f"{v1}/auth/{what}") for what in ("logout", "logout-everywhere", "password")),
        ("GET", f"{v1}/auth/me"),
        ("GET", f"{v1}/auth/oidc/login"),
        ("GET", f"{v1}/auth/oidc/callback"),
        ("POST", f"{v1}/auth/google"),
        ("GET", f"{v1}/tenants"),
        ("PATCH", f"{v1}/tenants/{{tenant_id}}"),
        *((method, f"{v1}/tenants/{{tenant_id}}/login-rule") for method in ("GET", "PUT")),
        *((method, f"{v1}/tenants/{{tenant_id}}/limits") for method in ("GET", "PATCH")),
        ("GET", f"{v1}/users"),
        ("POST", f"{v1}/users"),
        ("GET", f"{v1}/users/invitations"),
        ("DELETE", f"{v1}/users/invitations/{{invitation_id}}"),
        *((method, f"{v1}/users/{{user_id}}") for method in ("GET", "PATCH", "DELETE")),
        *((method, f"{v1}/spaces") for method in ("GET", "POST")),
        *((method, f"{v1}/spaces/{{space_id}}") for method in ("GET", "PATCH", "DELETE")),
        ("GET", f"{v1}/spaces/{{space_id}}/members"),
        *((method, f"{v1}/spaces/{{space_id}}/members/{{user_id}}") for method in ("PUT", "DELETE")),
        *((method, f"{v1}/api-keys") for method in ("GET", "POST")),
        *((method, f"{v1}/api-keys/{{key_id}}") for method in ("GET", "DELETE")),
        ("POST", f"{v1}/api-keys/{{key_id}}/rotate"),
        ("GET", f"{v1}/audit"),
        ("POST", f"{v1}/users/{{user_id}}/export"),
        *((method, f"{v1}/tenants/{{tenant_id}}/retention") for method in ("GET", "PUT")),
        ("GET", f"{v1}/auth/consent"),
        ("POST", f"{v1}/auth/accept-consent"),
    }
    assert calls == expected


def operations(openapi: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{method.upper()} {path}", call) for path, methods in openapi["paths"].items() for method, call in methods.items()]


def test_every_call_is_described_and_tagged(openapi: dict[str, Any]) -> None:
    assert [name for name, call in operations(openapi) if not call.get("description") or not call.get("tags")] == []


def test_every_refusal_is_a_problem(openapi: dict[str, Any]) -> None:
    wrong = [
        (name, status)
        for name, call in operations(openapi)
        for status, response in call["responses"].items()
        if status[0] in "45" and status != "416" and list(response.get("content", {})) != ["application/problem+json"]
    ]
    assert wrong == [("GET /health", "503")], "/health has one shape, well or not"


def test_every_call_says_whether_it_needs_credentials(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, web=False, auth="required", secret_key=secrets.token_urlsafe(48))
    openapi = create_app(settings).openapi()
    guarded = {name for name, call in operations(openapi) if call.get("security")}
    assert "POST /api/v1/search" in guarded and "POST /api/v1/auth/login" not in guarded
    refusing = {name for name, call in operations(openapi) if {"401", "403"} <= set(call["responses"])}
    by_provider = {"GET /api/v1/auth/oidc/login", "GET /api/v1/auth/oidc/callback", "POST /api/v1/auth/google"}
    assert refusing - guarded == by_provider, "who is known to a provider and has no place here"
    assert guarded - refusing == set()


def test_a_service_without_logins_asks_for_no_credentials(openapi: dict[str, Any]) -> None:
    assert "securitySchemes" not in openapi["components"]
    assert [name for name, call in operations(openapi) if "security" in call] == []


def test_every_reference_leads_somewhere(openapi: dict[str, Any]) -> None:
    referred = set(re.findall(r"#/components/schemas/([\w-]+)", str(openapi)))
    assert referred == set(openapi["components"]["schemas"])


def models() -> list[type[BaseModel]]:
    modules = [module for module in vars(SCHEMAS).values() if inspect.ismodule(module)]
    found = {cls for module in modules for cls in vars(module).values() if inspect.isclass(cls) and issubclass(cls, BaseModel)}
    return sorted((cls for cls in found if (cls.model_config.get("json_schema_extra") or {})), key=lambda cls: cls.__name__)


@pytest.mark.parametrize("model", models(), ids=lambda model: model.__name__)
def test_examples_are_what_the_models_take_and_give(model: type[BaseModel]) -> None:
    for example in model.model_json_schema()["examples"]:
        read = model.model_validate(example, strict=False)
        given = read.model_dump(mode="json")
        assert {name: given[name] for name in example} == example


def test_requests_that_take_a_body_have_an_example(openapi: dict[str, Any]) -> None:
    bare = []
    for name, call in operations(openapi):
        content = call.get("requestBody", {}).get("content", {})
        for kind, body in content.items():
            schema = body.get("schema", {})
            reference = schema.get("$ref", "").rpartition("/")[2]
            described = openapi["components"]["schemas"].get(reference, schema)
            if kind != "multipart/form-data" and not (described.get("examples") or body.get("example")):
                bare.append((name, kind))
    assert bare == []


def test_the_files_lie_in_the_installed_package() -> None:
    from apps.backend import docs

    assert isinstance(docs.assets(), Path)
    assert (docs.assets() / "swagger-ui-bundle.js").stat().st_size > 1_000_000
