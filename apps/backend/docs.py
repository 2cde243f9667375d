"""The OpenAPI document, and /docs from files that lie on this machine."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from apps.backend import access
from apps.backend.schemas.common import ProblemBody, problems

DESCRIPTION = """
Documents in, answers with page citations out.

Errors are RFC 9457 `application/problem+json`. Every answer carries `X-Request-ID`. Lists take `limit` and `cursor` and give
`items` and `next_cursor`. Times are ISO 8601 in UTC. `start` and `end` count characters of a source's extracted text.
"""

TAGS = [
    {"name": "sources", "description": "What was put in."},
    {"name": "jobs", "description": "What happens to it."},
    {"name": "search", "description": "Passages that answer a query."},
    {"name": "chat", "description": "Answers with citations."},
    {"name": "conversations", "description": "Questions and answers that were kept."},
    {"name": "graph", "description": "Entities and relations."},
    {"name": "maintenance", "description": "Statistics, checks and repair."},
    {"name": "accounts", "description": "Logins, tenants, people, spaces and API keys."},
    {"name": "health", "description": "For load balancers and monitoring."},
]


SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
GUARDED = problems(_401="No credentials, or none that hold.", _403="It needs another role.", _404="No such thing, or no such space.")
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    app.mount("/docs/static", StaticFiles(directory=assets()), name="docs-static")
    app.add_api_route("/docs", _page, include_in_schema=False)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the schema


def assets() -> Path:
    """Swagger UI's files, from the package fastapi-offline; its code is not imported."""
    spec = importlib.util.find_spec("fastapi_offline")
    assert spec is not None and spec.submodule_search_locations is not None, "fastapi-offline is a dependency"
    return Path(spec.submodule_search_locations[0]) / "static"


async def _page() -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Local Mind API",
        swagger_js_url="/docs/static/swagger-ui-bundle.js",
        swagger_css_url="/docs/static/swagger-ui.css",
        swagger_favicon_url="/docs/static/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},  # else the page asks validator.swagger.io
    )
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
    return page


def _policy(page: str) -> str:
    """Lets the page's own inline script run, by its hash, and no other."""
    inline = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in INLINE_SCRIPT.findall(page)]
    allowed = " ".join(f"'sha256-{digest}'" for digest in inline)
    return (
        f"default-src 'none'; script-src 'self' {allowed}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _schema(app: FastAPI) -> dict[str, Any]:
    schema = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    if app.state.has_logins:
        schema["components"]["securitySchemes"] = SECURITY_SCHEMES
    for route in access.declared(app):
        if route.in_schema and route.needs != access.NOTHING:
            for method in route.methods:
                _guard(schema["paths"][route.path][method.lower()], has_logins=app.state.has_logins)
    body = ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(body.pop("$defs", {}))
    schemas["ProblemBody"] = body
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own shape of a 422, which we never send
        schemas.pop(unused, None)
    return schema


def _guard(call: dict[str, Any], *, has_logins: bool) -> None:
    """Says of a call that it needs credentials, where there are logins, and what it answers without."""
    if has_logins:
        call["security"] = [{name: []} for name in SECURITY_SCHEMES]
    for status in (401, 403, 404):
        call["responses"].setdefault(str(status), GUARDED[status])
