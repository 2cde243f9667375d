"""The documents panel: takes files, lists sources, and shows how their ingest gets on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nicegui import ui

from apps.web.calls import notify_done, problems_shown
from apps.web.drop_zone import DropZone
from apps.web.elements import Text, box, button
from apps.web.source_row import Changes, SourceRow
from apps.web.visit import Visit
from apps.web.wording import count, stage_of
from localmind.errors import LocalMindError, NotFound
from localmind.model import Job, JobId, JobStatus, ListPage, Source, SourceId, TenantId

if TYPE_CHECKING:
    from localmind.ingest.jobs import Jobs

PAGE = 50
TICK_S = 0.7
IDLE_TICKS = 4
"""While nothing is going on, the page looks for work only at every fourth tick."""
FILTER_DELAY_S = 0.3


@dataclass(slots=True)
class Work:
    """What the service works on, as far as a page shows it."""

    running: dict[SourceId, Job] = field(default_factory=dict)
    queued: dict[SourceId, Job] = field(default_factory=dict)
    has_more: bool = False
    """More are queued than `queued` holds."""

    @classmethod
    def load(cls, tenant: TenantId, jobs: Jobs) -> Work:
        """Two queries, however much there is to do."""
        running = jobs.list(tenant, status=JobStatus.RUNNING, limit=PAGE)
        queued = jobs.list(tenant, status=JobStatus.QUEUED, limit=PAGE)
        return cls(_by_source(running), _by_source(queued), queued.next_cursor is not None)

    def of(self, source_id: SourceId) -> Job | None:
        return self.running.get(source_id) or self.queued.get(source_id)

    @property
    def sources(self) -> set[SourceId]:
        return {*self.running, *self.queued}


def _by_source(jobs: ListPage[Job]) -> dict[SourceId, Job]:
    return {job.source_id: job for job in jobs.items if job.source_id is not None}


class Library:
    """on_change is called when `is_empty` or `has_guides` has changed."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._mind = visit.mind
        self._changes = Changes(self._delete, self._retry) if visit.may_change else None
        self.on_change: Callable[[], Any] = lambda: None
        self.is_empty = False
        self.has_guides = False
        """The product's own guides are among the newest sources."""
        self._work = Work()
        self._rows: dict[SourceId, SourceRow] = {}
        self._cursor: str | None = None
        self._query = ""
        self._ticks = 0
        self._watch_now = True
        self._has_news = False
        """Documents came that the list may not have: their jobs may be over before they are seen to run."""
        self._filtering: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()
        self._watching = asyncio.Lock()

    # --- what is on the page

    def build(self) -> None:
        if self._visit.may_change:
            self._build_drop_zone()
        with box("library-head"):
            Text("h2", "Documents")
            self._count = Text("span", "", "count")
            self._count.props["aria-live"] = "polite"
        with box("filter"):
            self._filter = ui.input(placeholder="Filter by title").props(
                'borderless dense clearable type=search aria-label="Filter by title"'
            )
            self._filter.on_value_change(lambda event: self._filter_changed(event.value or ""))
        self._strip = box("strip").props("role=status")
        with self._strip:
            self._strip_text = Text("span", "")
            with box("bar") as self._strip_bar:
                self._strip_fill = box("", "span")
        self._strip.set_visibility(False)
        self._list = box("docs", "ul")
        self._list.props["aria-label"] = "Documents"
        self._empty = Text("p", "", "docs-empty")
        self._empty.set_visibility(False)
        self._more = button("Show more", self._show_more, classes="button-more")
        self._more.set_visibility(False)
        self._build_confirmation()
        ui.timer(0, self._refresh, once=True)
        ui.timer(TICK_S, self._tick)

    def _build_drop_zone(self) -> None:
        settings = self._mind.settings
        DropZone(
            self._visit.address("/api/v1/sources/upload"),
            max_upload_mb=settings.max_upload_mb,
            max_bytes=settings.max_upload_bytes,
            on_accepted=self._accepted,
        )

    def _build_confirmation(self) -> None:
        with ui.dialog() as self._confirmation, box("dialog").props("role=alertdialog aria-modal=true"):
            Text("h2", "Delete this document?")
            self._doomed = Text("p", "", "dialog-text")
            with box("dialog-buttons"):
                button("Keep it", lambda: self._confirmation.submit(False)).props("autofocus")
                button("Delete", lambda: self._confirmation.submit(True), classes="button-danger")

    # --- the list

    async def _refresh(self) -> None:
        """Brings the first page up to date; rows below it stay as they are."""
        async with self._refreshing:
            with problems_shown():
                found = await self._visit.read(self._mind.sources.list, query=self._query or None, limit=PAGE)
                if len(self._rows) <= PAGE:
                    self._cursor = found.next_cursor
                self._show_first(found)

    def _show_first(self, found: ListPage[Source]) -> None:
        ids = [source.id for source in found.items]
        oldest = ids[-1] if found.next_cursor is not None else ""  # the list is sorted by id, which sorts by time
        for gone in [each for each in self._rows if each not in ids and each >= oldest]:
            self._remove(gone)
        for index, source in enumerate(found.items):
            self._show(source, index)
        self._show_counts()
        if not self._query:
            self._tell_change(is_empty=not found.items, has_guides=any(source.kind == "guide" for source in found.items))

    async def _show_more(self) -> None:
        with problems_shown():
            found = await self._visit.read(self._mind.sources.list, query=self._query or None, limit=PAGE, cursor=self._cursor)
            for source in found.items:
                self._show(source)
            self._cursor = found.next_cursor
            self._show_counts()

    def _show(self, source: Source, index: int | None = None) -> None:
        """index: where a new row goes; None: to the end."""
        row = self._rows.get(source.id)
        if row is None:
            with self._list:
                row = self._rows[source.id] = SourceRow(self._visit.address, self._changes)
            if index is not None:
                row.element.move(self._list, index)
        row.show(source, self._work.of(source.id))

    def _remove(self, source_id: SourceId) -> None:
        if row := self._rows.pop(source_id, None):
            row.element.delete()

    def _show_counts(self) -> None:
        shown = len(self._rows)
        self._count.text = f"{shown:,}{'+' if self._cursor else ''}" if shown else ""
        self._more.set_visibility(self._cursor is not None)
        self._empty.text = f"No title contains “{self._query}”." if self._query else "Nothing here yet."
        self._empty.set_visibility(not shown)

    def _tell_change(self, *, is_empty: bool, has_guides: bool) -> None:
        if (is_empty, has_guides) != (self.is_empty, self.has_guides):
            self.is_empty, self.has_guides = is_empty, has_guides
            self.on_change()

    def _filter_changed(self, query: str) -> None:
        """Waits until the typing pauses."""
        if self._filtering is not None:
            self._filtering.cancel()
        self._filtering = asyncio.create_task(self._filter_later(query.strip()))

    async def _filter_later(self, query: str) -> None:
        await asyncio.sleep(FILTER_DELAY_S)
        self._query = query
        with self._list:
            for source_id in list(self._rows):
                self._remove(source_id)
            await self._refresh()

    # --- work that goes on

    async def _tick(self) -> None:
        self._ticks += 1
        is_idle = not self._work.sources and not self._watch_now and not self._stale()
        if (is_idle and self._ticks % IDLE_TICKS) or self._watching.locked() or not self._list.client.has_socket_connection:
            return
        async with self._watching:
            await self._watch()

    async def _watch(self) -> None:
        self._watch_now = False
        try:
            work = await self._visit.read(Work.load, self._mind.jobs)
        except LocalMindError:
            # Said where somebody asks for something; a page that only watches need not repeat it every second.
            return
        before, self._work = self._work, work
        changed = {*(before.sources ^ work.sources), *self._stale()}
        if changed or self._has_news:
            self._has_news = False
            await self._refresh()
            await self._refresh_below(changed)
        for source_id in work.sources | before.sources:
            if row := self._rows.get(source_id):
                row.show_work(work.of(source_id))
        self._show_strip()

    def _stale(self) -> list[SourceId]:
        """Rows that look busy although nothing works on them any more."""
        if self._work.has_more:
            return []
        return [source_id for source_id, row in self._rows.items() if row.is_open and self._work.of(source_id) is None]

    async def _refresh_below(self, changed: set[SourceId]) -> None:
        """Rows beyond the first page, whose work has begun or ended."""
        below = list(self._rows)[PAGE:]
        for source_id in [each for each in below if each in changed]:
            try:
                self._show(await self._visit.read(self._mind.sources.get, source_id))
            except NotFound:
                self._remove(source_id)

    def _show_strip(self) -> None:
        """One line for work that no visible row shows."""
        unseen = [source_id for source_id in self._work.running if source_id not in self._rows]
        waiting = len(self._work.queued)
        busy = [job for job in self._work.running.values() if job.kind != "delete"]
        if not busy or (not unseen and waiting <= 1):
            self._strip.set_visibility(False)
            return
        job = self._work.running[unseen[0]] if unseen else busy[0]
        waits = f" · {waiting}{'+' if self._work.has_more else ''} waiting" if waiting else ""
        self._strip_text.text = f"{count(len(self._work.running), 'document')} in progress · {stage_of(job)} {job.progress:.0%}{waits}"
        self._strip_fill.style(f"width: {job.progress:.0%}")
        self._strip.set_visibility(True)

    async def _accepted(self, accepted: dict[str, Any]) -> None:
        if accepted.get("duplicate"):
            notify_done(f"{str(accepted.get('name', ''))[:120]} is here already.")
        if self._query:
            self._filter.value = ""
        self._watch_now = self._has_news = True
        await self._tick()

    async def _delete(self, source: Source) -> None:
        self._doomed.text = f"“{source.title}” goes with its {count(source.chunks, 'chunk')}, and answers no longer cite it."
        if not await self._confirmation:
            return
        with problems_shown():
            await self._visit.change(self._mind.sources.delete, source.id)
            notify_done("Deleted.")
            self._remove(source.id)
            self._watch_now = True
            await self._refresh()

    async def _retry(self, source: Source) -> None:
        with problems_shown():
            if source.job_id is None:
                await self._visit.change(self._mind.sources.reingest, source.id)
            else:
                await self._visit.change(self._mind.jobs.retry, JobId(source.job_id))
            self._watch_now = True
            await self._refresh()
