"""Sends files and follows their jobs to the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from apps.cli.client import Api
from apps.cli.exits import Refused

ENDED = ("succeeded", "failed", "cancelled")
DRAIN_POLL_S = 0.5


@dataclass(slots=True)
class Outcome:
    """What became of a file. status: of its job; `duplicate`: it was there already; `refused`: it was not taken in."""

    path: str
    status: str
    source_id: str | None = None
    job_id: str | None = None
    error: dict[str, Any] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def went_wrong(self) -> bool:
        return self.status in ("failed", "cancelled", "refused")

    @property
    def is_missing(self) -> bool:
        return self.error is not None and self.error["type"] == "not_found"


def ingest(api: Api, files: Sequence[Path], *, tags: list[str], wait: bool, console: Console) -> list[Outcome]:
    """One outcome a file, in order. The service works on the first while the next are sent."""
    sizes = [file.stat().st_size for file in files]
    with _progress(console) as progress:
        bar = progress.add_task("sending", total=max(1, sum(sizes)))
        outcomes = []
        for file in files:
            progress.update(bar, description=f"sending {file.name}")
            outcomes.append(_send(api, file, tags))
        if not wait:
            return outcomes
        done = 0
        for outcome, size in zip(outcomes, sizes, strict=True):
            for job in _follow(api, outcome):
                told = f"{Path(outcome.path).name}: {job['stage'] or job['status']}"
                progress.update(bar, description=told, completed=done + size * job["progress"])
            done += size
            progress.update(bar, completed=done)
        progress.update(bar, description="done")
        _look_back(api, outcomes, progress, bar)
    return outcomes


def delete(api: Api, source_id: str, *, wait: bool) -> Outcome:
    """A source that isn't there is an outcome, so that the others go all the same."""
    try:
        accepted = api.delete(f"/api/v1/sources/{source_id}")
    except Refused as error:
        return Outcome("", "refused", source_id, error=_told(error))
    outcome = Outcome("", accepted["status"], source_id, accepted["job_id"])
    if wait:
        for _ in _follow(api, outcome):
            pass
    return outcome


def reingest(api: Api, ids: Sequence[str], *, missing: bool, wait: bool) -> list[Outcome]:
    """No ids: all sources that miss something of the LLM's. One that isn't there, or is being ingested, is an outcome."""
    outcomes: list[Outcome] = []
    if not ids:
        queued = api.post("/api/v1/sources/reingest", {"missing": True})["sources"]
        outcomes = [Outcome("", one["status"], one["source_id"], one["job_id"]) for one in queued]
    for source_id in ids:
        try:
            accepted = api.post(f"/api/v1/sources/{source_id}/reingest", {"missing": missing})
        except Refused as error:
            outcomes.append(Outcome("", "refused", source_id, error=_told(error)))
        else:
            outcomes.append(Outcome("", accepted["status"], source_id, accepted["job_id"]))
    if wait:
        for outcome in outcomes:
            for _ in _follow(api, outcome):
                pass
    return outcomes


def as_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in outcomes]


def _send(api: Api, file: Path, tags: list[str]) -> Outcome:
    try:
        with file.open("rb") as data:
            accepted = api.upload(file.name, data, uri=file.as_uri(), tags=tags)
    except OSError as error:
        return Outcome(str(file), "refused", error={"type": "unreadable", "message": f"It can't be read: {error.strerror}.", "hint": ""})
    except Refused as error:
        return Outcome(str(file), "refused", error=_told(error))
    status = "duplicate" if accepted["duplicate"] else accepted["status"]
    return Outcome(str(file), status, accepted["source_id"], accepted["job_id"])


def _told(error: Refused) -> dict[str, Any]:
    return {"type": error.kind, "message": error.message, "hint": error.hint}


def _follow(api: Api, outcome: Outcome) -> Iterator[dict[str, Any]]:
    """The file's job at each change, until it has ended. A duplicate's job may still be running, too."""
    if outcome.job_id is None:
        return
    for _, job in api.events("GET", f"/api/v1/jobs/{outcome.job_id}/events"):
        yield job
        if job["status"] in ENDED and not (outcome.status == "duplicate" and job["status"] == "succeeded"):
            outcome.status, outcome.error = job["status"], job["error"]


def _look_back(api: Api, outcomes: Sequence[Outcome], progress: Progress, bar: TaskID) -> None:
    """Notes of what was read ("12 of 40 pages have no text"); and the parts of archives, which have jobs of their own."""
    sources = [(outcome, api.get(f"/api/v1/sources/{outcome.source_id}")) for outcome in outcomes if outcome.status == "succeeded"]
    for outcome, source in sources:
        outcome.notes = source["notes"]
    if any(source["kind"] == "archive" or source["parts"] for _, source in sources):
        while left := sum(1 for status in ("queued", "running") for _ in api.items("/api/v1/jobs", limit=200, status=status)):
            progress.update(bar, description=f"{left if left < 200 else 'many'} parts left")
            time.sleep(DRAIN_POLL_S)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        _Rate(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


class _Rate(ProgressColumn):
    """Bytes of the files that are worked off a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed / 1e6:.2f} MB/s", style="progress.data.speed")
