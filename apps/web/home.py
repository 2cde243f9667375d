"""The page at /: documents on the left, questions on the right; on a phone one of the two at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui
from nicegui.element import Element

from apps.web.calls import call
from apps.web.conversation import ConversationPanel
from apps.web.elements import Text, box, brand, link, set_prop
from apps.web.library import Library
from localmind.errors import Unavailable

if TYPE_CHECKING:
    from localmind.wiring import LocalMind

READY_POLL_S = 0.5


class Home:
    def __init__(self, mind: LocalMind) -> None:
        self._mind = mind

    async def build(self, *, conversation_id: str) -> None:
        with box("app") as self._app:
            if await is_ready(self._mind):
                self._build_panels(conversation_id)
            else:
                self._build_starting()

    def _build_starting(self) -> None:
        with box("notice", "main"):
            brand()
            Text("h1", "Starting …")
            Text("p", "Local Mind opens its indexes. This page goes on by itself.").props("role=status")

        async def reload_when_ready() -> None:
            if await is_ready(self._mind):
                ui.navigate.reload()

        ui.timer(READY_POLL_S, reload_when_ready)

    def _build_panels(self, conversation_id: str) -> None:
        with box("topbar", "header"):
            brand()
            self._build_tabs()
            with box("topbar-links", "nav"):
                link("/docs", "API", classes="quiet-link", new_tab=True)
        with box("panels", "main"):
            library = Library(self._mind)
            conversation = ConversationPanel(self._mind, library)
            library.on_change = conversation.show_start
            with box("panel panel-ask", "section") as asked:
                asked.props["aria-label"] = "Ask"
                conversation.build(conversation_id)
            with box("panel panel-library", "section") as documents:
                documents.props["aria-label"] = "Documents"
                library.build()

    def _build_tabs(self) -> None:
        """Seen on phones alone."""
        tabs: dict[str, Element] = {}

        def show(name: str) -> None:
            self._app.classes(remove="shows-ask shows-library", add=f"shows-{name}")
            for each, tab in tabs.items():
                set_prop(tab, "aria-pressed", "true" if each == name else "false")

        with box("tabs"):
            for name, label in (("ask", "Ask"), ("library", "Documents")):
                tabs[name] = Text("button", label, "tab").on("click", lambda name=name: show(name), args=[])
        show("ask")


async def is_ready(mind: LocalMind) -> bool:
    """False while the service starts, when there is nothing yet whose health could be asked for."""
    try:
        return await call(mind.health.ready)
    except Unavailable:
        return False
