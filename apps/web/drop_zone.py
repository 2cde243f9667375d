"""The drop zone: files go from the browser straight to the API, which has the one implementation of limits and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui.element import Element
from nicegui.events import GenericEventArguments


class DropZone(Element, component="drop_zone.js"):
    def __init__(self, url: str, *, max_upload_mb: int, max_bytes: int, on_accepted: Callable[[dict[str, Any]], Any]) -> None:
        """url: where files go.

        on_accepted gets `{"name", "source_id", "job_id", "status", "duplicate"}` for each file that the API took."""
        super().__init__()
        self.props["url"] = url
        self.props["hint"] = (
            f"Drop files or folders anywhere, or click to choose. PDF, Office, web pages, e-books, mail … up to {max_upload_mb} MB each."
        )
        self.props["maxBytes"] = max_bytes

        def accepted(event: GenericEventArguments) -> Any:
            return on_accepted(event.args)

        self.on("accepted", accepted)
