"""Tells waiting threads that a job changed, so that nobody has to poll fast."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from localmind.model import JobId


class Changes:
    """One process's changes; another process's are found by looking again now and then. Costs nothing for jobs nobody waits for."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._watchers: Counter[JobId] = Counter()
        self._counts: Counter[JobId] = Counter()

    def announce(self, ids: Iterable[JobId]) -> None:
        with self._condition:
            changed = self._watchers.keys() & set(ids)
            self._counts.update(changed)
            if changed:
                self._condition.notify_all()

    @contextmanager
    def watching(self, job_id: JobId) -> Iterator[Watch]:
        with self._condition:
            self._watchers[job_id] += 1
        try:
            yield Watch(self._condition, self._counts, job_id)
        finally:
            with self._condition:
                self._watchers[job_id] -= 1
                if not self._watchers[job_id]:
                    del self._watchers[job_id]
                    self._counts.pop(job_id, None)


class Watch:
    """Waits for one job's next change since it last looked."""

    def __init__(self, condition: threading.Condition, counts: Counter[JobId], job_id: JobId) -> None:
        self._condition, self._counts, self._job_id = condition, counts, job_id
        self._seen = 0

    def wait(self, timeout_s: float) -> None:
        """Until the job changed or the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._counts[self._job_id] > self._seen, timeout_s)
            self._seen = self._counts[self._job_id]
