"""The page at /: documents on the left, questions on the right; on a phone one of the two at a time."""

from __future__ import annotations

from nicegui.element import Element

from apps.web.account import build_account
from apps.web.conversation import ConversationPanel
from apps.web.elements import Text, box, brand, link, set_prop
from apps.web.library import Library
from apps.web.visit import Visit


class Home:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit

    def build(self, *, conversation_id: str) -> None:
        library = Library(self._visit)
        conversation = ConversationPanel(self._visit, library)
        library.on_change = conversation.show_start
        with box("app") as self._app:
            with box("topbar", "header"):
                brand(self._visit.address("/"))
                self._build_tabs()
                with box("topbar-links", "nav"):
                    link("/docs", "API", classes="quiet-link", new_tab=True)
                build_account(self._visit)
            self._build_panels(library, conversation, conversation_id)

    def _build_panels(self, library: Library, conversation: ConversationPanel, conversation_id: str) -> None:
        with box("panels", "main"):
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
