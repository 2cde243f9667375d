"""A document's text for reading, a window at a time, scrolled to what is cited."""

from __future__ import annotations

from nicegui import ui

from apps.web.elements import Text, box, button
from apps.web.passages import Block, Window, blocks, window_after, window_at, window_before
from localmind.model import Document

SCROLL_TO_QUOTE = "requestAnimationFrame(() => document.querySelector('.reading mark')?.scrollIntoView({block: 'center'}))"
SCROLL_TO_BEGIN = "requestAnimationFrame(() => window.scrollTo({top: 0}))"


class TextView:
    def __init__(self, document: Document, cited: Window | None) -> None:
        self._document = document
        self._cited = cited
        self._window = window_at(document.text, cited.start if cited else 0)

    def build(self) -> None:
        self._before = button("Earlier text", lambda: self._move(window_before(self._document.text, self._window)), classes="button-more")
        self._reading = box("reading", "article")
        self._after = button("Later text", lambda: self._move(window_after(self._document.text, self._window)), classes="button-more")
        self._show()
        if self._cited:
            ui.run_javascript(SCROLL_TO_QUOTE)

    def _move(self, window: Window | None) -> None:
        if window is not None:
            self._window = window
            self._show()
            ui.run_javascript(SCROLL_TO_BEGIN)

    def _show(self) -> None:
        text = self._document.text
        self._before.set_visibility(window_before(text, self._window) is not None)
        self._after.set_visibility(window_after(text, self._window) is not None)
        self._reading.clear()
        with self._reading:
            for block in blocks(self._document, self._window, self._cited):
                show_block(block)


def show_block(block: Block) -> None:
    tag = f"h{block.level + 1}" if block.level else "p"
    if len(block.runs) == 1 and not block.runs[0].is_cited:
        Text(tag, block.runs[0].text)
        return
    with box("", tag):
        for run in block.runs:
            Text("mark" if run.is_cited else "span", run.text)
