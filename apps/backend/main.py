"""The ASGI app: `uvicorn apps.backend.main:app`, or `uvicorn main:app` in this folder."""

from __future__ import annotations

from apps.backend import processes

processes.share_metrics()

from apps.backend.app import create_app  # noqa: E402  what it imports looks for the shared folder

__all__ = ["app", "create_app"]

app = create_app()
