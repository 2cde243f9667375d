"""Jobs of this worker that no batch has yet: claimed and waiting, or being prepared."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable

from localmind.catalog.jobs import Claim
from localmind.model import Job, JobId


class Claimed:
    """Thread-safe."""

    def __init__(self) -> None:
        self._claiming = threading.Lock()
        """Held while the catalog is asked, which the other one never is."""
        self._lock = threading.Lock()
        self._waiting: deque[Claim] = deque()
        self._preparing: dict[JobId, Job] = {}
        self._cancelled: set[JobId] = set()

    @property
    def is_preparing(self) -> bool:
        return bool(self._preparing)

    def jobs(self) -> list[Job]:
        with self._lock:
            return [*(claim.job for claim in self._waiting), *self._preparing.values()]

    def next(self, claim: Callable[[], Iterable[Claim]]) -> Claim | None:
        """The next, which is being prepared from now on. claim: asked for more where none waits; one thread at a time. None: no work."""
        with self._claiming:
            more = [] if self._waiting else list(claim())
            with self._lock:
                self._waiting.extend(more)
                if not self._waiting:
                    return None
                found = self._waiting.popleft()
                self._preparing[found.job.id] = found.job
                return found

    def deletes_like(self, claim: Claim) -> list[Claim]:
        """The waiting deletes of the same tenant, which are worked on from now on too."""
        tenant = claim.job.tenant
        with self._lock:
            others = [other for other in self._waiting if other.job.kind == "delete" and other.job.tenant == tenant]
            for other in others:
                self._waiting.remove(other)
                self._preparing[other.job.id] = other.job
        return others

    def over(self, job: Job) -> None:
        """It is prepared, or ended."""
        with self._lock:
            self._preparing.pop(job.id, None)
            self._cancelled.discard(job.id)

    def drop(self, ids: Collection[JobId]) -> None:
        """Those of these that wait are another's now, or over."""
        with self._lock:
            self._waiting = deque(claim for claim in self._waiting if claim.job.id not in ids)

    def cancel(self, jobs: Iterable[Job]) -> list[Job]:
        """Those that are being prepared find it out by themselves; returns the others."""
        with self._lock:
            others = []
            for job in jobs:
                self._cancelled.add(job.id) if job.id in self._preparing else others.append(job)
        return others

    def is_cancelled(self, job: Job) -> bool:
        return job.id in self._cancelled
