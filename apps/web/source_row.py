"""One source in the list: what it is, how its ingest gets on, what went wrong and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from apps.web.elements import Text, box, button, icon, set_prop
from apps.web.wording import STATUSES, facts, stage_of
from localmind.model import Job, Source, SourceStatus

ALL_STATES = " ".join(f"state-{status.value}" for status in SourceStatus)
STOPPED = "This was stopped before it was read."


class Changes(NamedTuple):
    """What its buttons do."""

    delete: Callable[[Source], Any]
    retry: Callable[[Source], Any]


class SourceRow:
    def __init__(self, address: Callable[[str], str], changes: Changes | None) -> None:
        """address: what a path of ours becomes on this page. changes: None for who may only read."""
        self._source: Source | None = None
        self._job: Job | None = None
        self._was_busy = False
        self._address = address
        self._changes = changes
        with box("doc", "li") as self.element:
            icon("file")
            with box("doc-body"):
                with box("doc-head"):
                    self._title = Text("a", "", "doc-title")
                    self._chip = Text("span", "", "chip")
                self._facts = Text("span", "", "doc-facts")
                with box("bar") as self._bar:
                    self._fill = box("", "span")
                self._bar.props.update({"role": "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100})
                self._problem = box("problem")
                with self._problem:
                    self._problem_text = Text("span", "")
                    self._hint = Text("span", "", "problem-hint")
                self._retry = button("Try again", self._retry_clicked, symbol="retry", classes="button-small")
            self._delete = button("Delete", self._delete_clicked, symbol="trash", classes="button-quiet button-icon", shows_label=False)
            self._delete.set_visibility(changes is not None)

    @property
    def is_open(self) -> bool:
        """The source was not read yet, as far as this row knows."""
        return self._source is not None and self._source.status in (SourceStatus.QUEUED, SourceStatus.PROCESSING)

    def show(self, source: Source, job: Job | None) -> None:
        if self._source == source and self._job == job:
            return
        self._source = source
        self._title.text = source.title
        self._title.props["href"] = self._address(f"/sources/{source.id}")
        self._delete.props["aria-label"] = f"Delete {source.title}"
        self._delete.update()
        self.show_work(job)

    def show_work(self, job: Job | None) -> None:
        """job: what works on the source at the moment; None when nothing does."""
        assert self._source is not None
        self._job = job
        source = self._source
        is_busy = job is not None or self.is_open
        self._was_busy = self._was_busy or is_busy
        self._bar.set_visibility(is_busy)
        if is_busy:
            self._show_progress(stage_of(job) if job else STATUSES[source.status], job.progress if job and job.stage else None)
        else:
            self._facts.text = facts(source)
        self._show_state(source, is_busy=is_busy)

    def _show_progress(self, stage: str, share: float | None) -> None:
        """share: from 0 to 1; None while it waits."""
        self._facts.text = stage if share is None else f"{stage} · {share:.0%}"
        self._fill.style(f"width: {share or 0:.0%}")
        set_prop(self._bar, "aria-valuenow", round((share or 0) * 100))

    def _show_state(self, source: Source, *, is_busy: bool) -> None:
        is_told = not is_busy and source.status is not SourceStatus.READY
        self._chip.text = STATUSES[source.status]
        self._chip.classes(remove=ALL_STATES, add=f"state-{source.status.value}")
        # A ready source needs no word, except to the person who has just watched it become so.
        self._chip.set_visibility(is_told or (self._was_busy and not is_busy and source.status is SourceStatus.READY))
        message, hint = problem_of(source) if is_told else ("", "")
        self._problem_text.text, self._hint.text = message, hint
        self._problem.set_visibility(bool(message))
        self._problem.classes(remove=ALL_STATES, add=f"state-{source.status.value}")
        can_retry = self._changes is not None and is_told
        self._retry.set_visibility(can_retry and (source.error is not None or source.status is SourceStatus.FAILED))

    async def _delete_clicked(self) -> None:
        if self._source is not None and self._changes is not None:
            await self._changes.delete(self._source)

    async def _retry_clicked(self) -> None:
        if self._source is not None and self._changes is not None:
            await self._changes.retry(self._source)


def problem_of(source: Source) -> tuple[str, str]:
    """What is missing from a source and the way out; empty strings where nothing is."""
    if source.error is not None:
        return str(source.error.get("message", "")), str(source.error.get("hint", ""))
    if source.notes:
        return " ".join(source.notes), ""
    return (STOPPED, "") if source.status is SourceStatus.FAILED else ("", "")
