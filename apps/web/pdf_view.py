"""A PDF's page as a picture, with the cited lines marked on it."""

from __future__ import annotations

from nicegui import ui
from nicegui.events import KeyEventArguments

from apps.web import page_images
from apps.web.calls import call
from apps.web.elements import Text, box, button, set_prop
from apps.web.passages import Window, blocks
from apps.web.text_view import show_block
from apps.web.visit import Visit
from localmind.errors import LocalMindError
from localmind.model import Document, Source
from localmind.readers.render import Box, PageImages

SCROLL_TO_QUOTE = "requestAnimationFrame(() => document.querySelector('.sheet .quote-box')?.scrollIntoView({block: 'center'}))"


class PdfView:
    def __init__(self, visit: Visit, images: PageImages, source: Source, document: Document, cited: Window | None) -> None:
        self._visit, self._images = visit, images
        self._source, self._document = source, document
        self._cited = cited
        self._pages = source.pages or len(document.pages) or 1
        self._number = 1

    async def build(self, number: int) -> None:
        with box("pager"):
            self._previous = button("Previous page", lambda: self._show(self._number - 1), symbol="left", shows_label=False)
            self._previous.classes("button-icon")
            with box("pager-place"):
                Text("span", "Page")
                self._input = (
                    ui.input(value="1").props('borderless dense inputmode=numeric aria-label="Page number"').classes("pager-input")
                )
                self._input.on("keydown.enter", self._number_given).on("blur", self._number_given)
                Text("span", f"of {self._pages:,}")
            self._next = button("Next page", lambda: self._show(self._number + 1), symbol="right", shows_label=False).classes("button-icon")
        with box("pdf"):
            with box("sheet") as self._sheet:
                self._picture = box("", "img")
                self._picture.on("error", self._say_why, args=[])
                self._marks = box("marks")
            with box("aside", "aside"):
                self._problem = Text("p", "", "problem")
                self._problem.set_visibility(False)
                if self._cited:
                    Text("h2", "Cited here")
                    Text("blockquote", self._document.text[self._cited.start : self._cited.end])
                with box("", "details"):
                    Text("summary", "Text of this page")
                    self._text = box("reading reading-small")
        ui.keyboard(self._key, repeating=False)
        await self._show(number)
        ui.run_javascript(SCROLL_TO_QUOTE)

    async def _show(self, number: int) -> None:
        self._number = number = max(1, min(number, self._pages))
        self._problem.set_visibility(False)
        self._input.value = str(number)
        self._previous.props.set_bool("disabled", number == 1)
        self._next.props.set_bool("disabled", number == self._pages)
        self._previous.update()
        self._next.update()
        set_prop(self._picture, "alt", f"Page {number} of {self._source.title}")
        set_prop(self._picture, "src", self._visit.address(page_images.address(self._source.id, number, self._source.version)))
        self._marks.clear()
        self._show_text()
        for found in await self._find():
            if number == self._number:
                self._mark(found)

    async def _find(self) -> tuple[Box, ...]:
        """Where the quote stands on the page shown; nowhere when the page has no part of it."""
        part = self._part_on_page()
        if self._cited is None or part is None:
            return ()
        try:
            return await call(self._locate, self._number, self._document.text[part.start : part.end])
        except LocalMindError:
            return ()  # The picture's error says it; the quote is beside it as text.

    def _locate(self, number: int, quote: str) -> tuple[Box, ...]:
        with self._visit.mind.sources.content(self._visit.enter(), self._source.id) as file:
            return self._images.locate(file.path, number, quote)

    def _part_on_page(self) -> Window | None:
        """What of the cited range is on the page shown."""
        page = self._page_window()
        if self._cited is None or page is None:
            return None
        part = Window(max(self._cited.start, page.start), min(self._cited.end, page.end))
        return part if part.start < part.end else None

    def _page_window(self) -> Window | None:
        return next((Window(page.start, page.end) for page in self._document.pages if page.number == self._number), None)

    def _mark(self, found: Box) -> None:
        place = f"left:{found.left:.3%};top:{found.top:.3%};width:{found.width:.3%};height:{found.height:.3%}"
        with self._marks:
            box("quote-box").style(place)

    def _show_text(self) -> None:
        self._text.clear()
        window = self._page_window()
        with self._text:
            if window is None or window.start == window.end:
                Text("p", "No text was found on this page.")
                return
            for block in blocks(self._document, window, self._cited):
                show_block(block)

    async def _say_why(self) -> None:
        """The picture did not come: its error, in words."""
        try:
            await call(self._draw, self._number)
        except LocalMindError as error:
            self._problem.text = f"{error.message} {error.hint}"
            self._problem.set_visibility(True)

    def _draw(self, number: int) -> None:
        with self._visit.mind.sources.content(self._visit.enter(), self._source.id) as file:
            self._images.image(file.path, number, key=f"{self._source.id}-{self._source.version}")

    async def _number_given(self) -> None:
        given = str(self._input.value or "").strip()
        if given.isascii() and given.isdigit() and len(given) < 8 and int(given) != self._number:
            await self._show(int(given))
        else:
            self._input.value = str(self._number)

    async def _key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        if event.key.arrow_left:
            await self._show(self._number - 1)
        elif event.key.arrow_right:
            await self._show(self._number + 1)
