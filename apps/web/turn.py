"""One question with its answer: streamed, stopped, failed or kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from nicegui import ui

from apps.web.answer import answer_html, source_address
from apps.web.calls import UNFORESEEN, iterate
from apps.web.elements import Text, box, button, link
from apps.web.visit import Visit
from apps.web.wording import degraded, place
from localmind.chat.events import Citations, Done, Token
from localmind.errors import LocalMindError, Unauthenticated
from localmind.model import Answer, Citation

REDRAW_S = 0.08
"""A model may give a hundred tokens a second; the page redraws twelve times."""

log = structlog.get_logger("localmind.web")


class Turn:
    """on_again: asks the question once more, after an error."""

    def __init__(self, visit: Visit, question: str, *, on_again: Callable[[str], Any]) -> None:
        self._visit = visit
        self.is_running = False
        self._question = question
        self._is_stopped = False
        with box("turn", "article"):
            Text("h3", question, "question")
            self._waiting = Text("p", "Searching your documents …", "waiting")
            self._waiting.props["role"] = "status"
            self._waiting.set_visibility(False)
            self._answer = ui.html("", sanitize=True).classes("answer")
            self._problem = box("problem")
            with self._problem:
                self._problem_text = Text("span", "")
                self._hint = Text("span", "", "problem-hint")
                button("Try again", lambda: on_again(question), symbol="retry", classes="button-small")
            self._problem.set_visibility(False)
            self._note = Text("p", "", "turn-note")
            self._note.set_visibility(False)
            self._cards = box("citations", "ol")

    def stop(self) -> None:
        """What has come so far stays."""
        self._is_stopped = True

    def show_kept(self, text: str, citations: Sequence[Citation]) -> None:
        self._answer.content = answer_html(text, citations, self._visit.address)
        self._show_citations(citations)

    async def run(self, conversation_id: str | None) -> Answer | None:
        """Asks and shows what comes. None when it was stopped or failed, which it then says."""
        self.is_running = True
        self._waiting.set_visibility(True)
        try:
            return await self._stream(conversation_id)
        except Unauthenticated:
            ui.navigate.reload()
        except LocalMindError as error:
            self._show_problem(error.message, error.hint)
        except Exception:
            # The boundary to the person: an answer failed in a way nobody foresaw. The log has it in full.
            log.exception("answer_failed")
            self._show_problem(*UNFORESEEN)
        finally:
            self.is_running = False
            self._waiting.set_visibility(False)
        return None

    async def _stream(self, conversation_id: str | None) -> Answer | None:
        text, drawn_at = "", 0.0
        citations: tuple[Citation, ...] = ()
        visit = self._visit
        events = iterate(lambda: visit.mind.chat.stream(visit.enter(), self._question, conversation_id=conversation_id))
        async for event in events:
            if self._is_stopped or self._answer.is_deleted:
                break
            match event:
                case Token(piece):
                    text += piece
                    self._waiting.set_visibility(False)
                    if time.monotonic() - drawn_at > REDRAW_S:
                        self._answer.content, drawn_at = answer_html(text, citations, self._visit.address), time.monotonic()
                case Citations(items):
                    citations = items
                case Done(answer):
                    self._show_answer(answer)
                    return answer
        await events.aclose()
        if not self._answer.is_deleted:
            self.show_kept(text, citations)
            self._show_note("Stopped; this answer is not complete.")
        return None

    def _show_answer(self, answer: Answer) -> None:
        self.show_kept(answer.answer, answer.citations)
        if answer.degraded:
            self._show_note(degraded(answer.degraded))

    def _show_note(self, note: str) -> None:
        self._note.text = note
        self._note.set_visibility(True)

    def _show_problem(self, message: str, hint: str) -> None:
        self._problem_text.text, self._hint.text = message, hint
        self._problem.set_visibility(True)

    def _show_citations(self, citations: Sequence[Citation]) -> None:
        self._cards.clear()
        self._cards.props["aria-label"] = "Sources of this answer"
        with self._cards:
            for citation in citations:
                with box("", "li"), link(source_address(citation, self._visit.address), classes="card", new_tab=True):
                    with box("card-head"):
                        Text("span", str(citation.n), "mark")
                        Text("span", citation.title, "card-title")
                        Text("span", place(citation.page), "card-place")
                    Text("span", citation.quote, "card-quote")
