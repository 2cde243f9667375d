"""The pictures of PDF pages that the source page shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response

from apps.web.visit import enter_space
from localmind.accounts.mode import needs_login
from localmind.errors import LocalMindError, NotFound
from localmind.ids import is_id
from localmind.model import SourceId
from localmind.readers.render import PageImages

if TYPE_CHECKING:
    from localmind.wiring import LocalMind


def address(source_id: SourceId, number: int, version: int) -> str:
    """Where the picture of a page is; the version keeps a browser from showing the page of an older one."""
    return f"/sources/{source_id}/pages/{number}.png?v={version}"


def add_route(app: FastAPI, mind: LocalMind, images: PageImages) -> None:
    # Where people log in, nothing stays in a browser that somebody else may use next.
    caching = "no-store" if needs_login(mind.settings) else "private, max-age=600"

    @app.get("/sources/{source_id}/pages/{number}.png", include_in_schema=False)
    def page_image(request: Request, source_id: str, number: int, space: str | None = None) -> Response:
        """A page as PNG. The page that shows it says what is wrong; here an error is a status alone."""
        if not is_id(source_id):
            return Response(status_code=404)
        try:
            tenant = enter_space(mind, request.state.principal, space).partition
            source = mind.sources.get(tenant, SourceId(source_id))
            with mind.sources.content(tenant, source.id) as file:
                png = images.image(file.path, number, key=f"{source.id}-{source.version}")
        except LocalMindError as error:
            return Response(str(error), status_code=404 if isinstance(error, NotFound) else 422, media_type="text/plain")
        return Response(png, media_type="image/png", headers={"Cache-Control": caching})
