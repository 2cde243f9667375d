"""The page of one source, opened where a citation points: a PDF's page as it looks, or the text of any other format."""

from __future__ import annotations

from urllib.parse import urlsplit

from nicegui import ui

from apps.web.account import build_account
from apps.web.calls import problems_shown
from apps.web.elements import Text, box, brand, link, notice
from apps.web.passages import Window
from apps.web.pdf_view import PdfView
from apps.web.text_view import TextView
from apps.web.visit import Visit
from apps.web.wording import facts
from localmind.errors import LocalMindError, NotFound
from localmind.ids import is_id
from localmind.model import Document, Source, SourceId, TenantId
from localmind.readers.render import PageImages

PDF = "application/pdf"


class SourcePage:
    def __init__(self, visit: Visit, images: PageImages) -> None:
        self._visit = visit
        self._mind = visit.mind
        self._images = images

    async def build(self, source_id: str, *, page: int | None, start: int | None, end: int | None) -> None:
        try:
            source = await self._visit.read(self._get, source_id)
        except NotFound:
            ui.status_code(404)
            notice("This document is not here", "It was deleted, or the address is mistyped.", back=True)
            return
        ui.page_title(f"{source.title} · Local Mind")
        with box("viewer"):
            self._build_head(source, page)
            with box("viewer-body", "main") as self._body:
                self._loading = Text("p", "Opening …", "waiting").props("role=status")
        cited = Window(start, end) if start is not None and end is not None and start < end else None
        # After the page has come: a long document takes a moment to load, and the browser shows that something happens.
        ui.timer(0, lambda: self._show(source, page, cited), once=True)

    def _get(self, tenant: TenantId, source_id: str) -> Source:
        if not is_id(source_id):
            raise NotFound(f"There is no source {source_id[:64]!r}.")
        return self._mind.sources.get(tenant, SourceId(source_id))

    def _build_head(self, source: Source, page: int | None) -> None:
        with box("topbar", "header"):
            brand(self._visit.address("/"))
            with box("viewer-title"):
                Text("h1", source.title)
                Text("span", facts(source))
            with box("topbar-links", "nav"):
                if source.uri and urlsplit(source.uri).scheme in ("http", "https"):
                    link(source.uri, "Web page", classes="quiet-link", new_tab=True).props["rel"] = "noopener noreferrer"
                place = f"#page={page}" if page and source.media_type == PDF else ""
                content = self._visit.address(f"/api/v1/sources/{source.id}/content")
                link(f"{content}{place}", "Original file", classes="button", new_tab=True)
            build_account(self._visit)

    async def _show(self, source: Source, page: int | None, cited: Window | None) -> None:
        try:
            with problems_shown():
                await self._show_document(source, page, cited)
        finally:
            self._loading.delete()

    async def _show_document(self, source: Source, page: int | None, cited: Window | None) -> None:
        try:
            document = await self._visit.read(self._mind.sources.document, source.id)
        except LocalMindError as error:
            with self._body:
                Text("p", f"{error.message} {error.hint}", "waiting")
            return
        with self._body:
            if source.media_type == PDF:
                # A chunk may begin on the page before its quote: the quote's place says more than the page that came with it.
                number = (_page_of(document, cited.start) if cited else None) or page or 1
                await PdfView(self._visit, self._images, source, document, cited).build(number)
            else:
                TextView(document, cited).build()


def _page_of(document: Document, place: int) -> int | None:
    """The page on which a place of the text is."""
    return next((page.number for page in document.pages if page.start <= place < page.end), None)
