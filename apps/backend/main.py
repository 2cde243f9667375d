"""The ASGI app: `uvicorn apps.backend.main:app`, or `uvicorn main:app` in this folder."""

from __future__ import annotations

from apps.backend.app import create_app

__all__ = ["app", "create_app"]

app = create_app()
