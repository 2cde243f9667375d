"""The questions panel: asks, shows the answer while it is written, and keeps the conversations."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from apps.web.calls import notify_done, problems_shown
from apps.web.elements import Text, box, button, set_prop
from apps.web.library import Library
from apps.web.turn import Turn
from apps.web.visit import Visit
from apps.web.wording import ago
from localmind.errors import NotFound
from localmind.ids import is_id
from localmind.model import Conversation

RECENT = 20
MAX_QUESTION_CHARS = 8000

SEND_ON_ENTER = """(event) => {
  if (event.shiftKey || event.isComposing) return;
  event.preventDefault();
  emit(event.target.value);
}"""
"""Enter sends, Shift+Enter begins a new line, and an Enter that picks a word from an input method does neither."""

SCROLL_TO_END = "requestAnimationFrame(() => { const e = document.querySelector('.thread'); e?.scrollTo({top: e.scrollHeight}); })"

NO_LLM = "Answers are quoted from your documents; connect an LLM in settings for written answers."
WITH_LLM = "Answers are written by {model} from your documents. Check what matters in the source."

EMPTY = "Add a document, and ask about it as soon as it is ready. Nothing leaves this machine."
EMPTY_FOR_READERS = "As soon as an editor has added a document, you can ask about it."

STARTERS = ("What do I do when ingestion fails?", "How do I back up my data?", "Which files can I add?")
"""The product's own guides answer these."""


class ConversationPanel:
    def __init__(self, visit: Visit, library: Library) -> None:
        self._visit = visit
        self._mind = visit.mind
        self._library = library
        self._conversation_id: str | None = None
        self._turn: Turn | None = None

    def build(self, conversation_id: str) -> None:
        with box("ask-head"):
            self._title = Text("h2", "", "ask-title")
            with button("Recent conversations", self._fill_recent, symbol="clock", classes="button-quiet button-icon", shows_label=False):
                self._recent = ui.menu().classes("menu").props('anchor="bottom right" self="top right"')
            button("New conversation", self._begin_anew, symbol="plus", classes="button-quiet", shows_label=True)
        self._thread = box("thread")
        self._thread.props["tabindex"] = "0"
        self._thread.props["aria-label"] = "Conversation"
        with self._thread:
            self._start = box("start")
            self._turns = box("turns")
        self._build_composer()
        self.show_start()
        if conversation_id:
            ui.timer(0, lambda: self._open(conversation_id), once=True)

    def _build_composer(self) -> None:
        with box("composer"):
            with box("composer-box"):
                self._input = ui.textarea(placeholder="Ask your documents …").classes("composer-input")
                self._input.props(f'borderless autogrow autofocus aria-label="Your question" maxlength={MAX_QUESTION_CHARS}')
                self._input.on("keydown.enter", lambda event: self._ask(event.args), js_handler=SEND_ON_ENTER)
                self._send = button("Ask", self._send_clicked, symbol="up", classes="button-primary button-icon", shows_label=False)
            settings = self._mind.settings
            Text("p", WITH_LLM.format(model=settings.llm_model) if settings.has_llm else NO_LLM, "composer-note")

    # --- the start of a conversation

    def show_start(self) -> None:
        """What a person sees before the first question; says so when there is nothing to ask about."""
        self._start.clear()
        self._start.set_visibility(self._turn is None)
        with self._start:
            if self._library.is_empty:
                Text("h1", "Your knowledge base is empty")
                Text("p", EMPTY if self._visit.may_change else EMPTY_FOR_READERS, "start-text")
                return
            Text("h1", "What do you want to know?")
            Text("p", "Every answer points to the page that it comes from.", "start-text")
            if self._library.has_guides:
                with box("starters"):
                    for question in STARTERS:
                        button(question, lambda question=question: self._ask(question), classes="starter")

    # --- asking

    async def _send_clicked(self) -> None:
        if self._turn is not None and self._turn.is_running:
            self._turn.stop()
        else:
            await self._ask(self._input.value or "")

    async def _ask(self, message: str) -> None:
        if not message.strip() or (self._turn is not None and self._turn.is_running):
            return
        self._input.value = ""
        with self._turns:
            self._turn = Turn(self._visit, message, on_again=self._ask)
        self._start.set_visibility(False)
        self._show_running(is_running=True)
        ui.run_javascript(SCROLL_TO_END)
        try:
            answer = await self._turn.run(self._conversation_id)
        finally:
            self._show_running(is_running=False)
        if answer is not None and answer.conversation_id != self._conversation_id:
            self._conversation_id = answer.conversation_id
            self._title.text = " ".join(message.split())[:120]
            ui.navigate.history.replace(self._visit.address(f"/?c={answer.conversation_id}"))

    def _show_running(self, *, is_running: bool) -> None:
        set_prop(self._send, "aria-label", "Stop" if is_running else "Ask")
        set_prop(self._send, "title", "Stop" if is_running else "Ask")
        self._send.classes(add="is-running" if is_running else "", remove="" if is_running else "is-running")

    # --- kept conversations

    async def _open(self, conversation_id: str) -> None:
        with problems_shown():
            if not is_id(conversation_id):
                raise NotFound("There is no such conversation.", hint="It may have been deleted.")
            found = await self._visit.read(self._mind.conversations.get, conversation_id)
            self._show_conversation(found)

    def _show_conversation(self, conversation: Conversation) -> None:
        self._clear()
        self._conversation_id = conversation.id
        self._title.text = conversation.title
        with self._turns:
            for message in conversation.messages:
                if message.role == "user":
                    self._turn = Turn(self._visit, message.text, on_again=self._ask)
                elif self._turn is not None:
                    self._turn.show_kept(message.text, message.citations)
        self._start.set_visibility(self._turn is None)
        ui.navigate.history.replace(self._visit.address(f"/?c={conversation.id}"))
        ui.run_javascript(SCROLL_TO_END)

    def _begin_anew(self) -> None:
        self._clear()
        self.show_start()
        ui.navigate.history.replace(self._visit.address("/"))
        self._input.run_method("focus")

    def _clear(self) -> None:
        if self._turn is not None:
            self._turn.stop()
        self._turn = None
        self._conversation_id = None
        self._turns.clear()
        self._title.text = ""

    async def _fill_recent(self) -> None:
        with problems_shown():
            recent = await self._visit.read(self._mind.conversations.list, limit=RECENT)
            self._recent.clear()
            with self._recent:
                if not recent.items:
                    Text("p", "No conversations yet.", "menu-empty")
                for conversation in recent.items:
                    self._build_recent(conversation)

    def _build_recent(self, conversation: Conversation) -> None:
        async def open_it() -> None:
            self._recent.close()
            await self._open(conversation.id)

        async def delete_it() -> None:
            with problems_shown():
                await self._visit.change(self._mind.conversations.delete, conversation.id)
                row.delete()
                notify_done("Conversation deleted.")
                if conversation.id == self._conversation_id:
                    self._begin_anew()

        row: Element
        with box("menu-row") as row:
            with button(conversation.title, open_it, classes="menu-item"):
                Text("span", ago(conversation.updated_at), "menu-time")
            if self._visit.may_change:
                button(f"Delete {conversation.title}", delete_it, symbol="trash", classes="button-quiet button-icon", shows_label=False)
