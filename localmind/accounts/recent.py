"""What was looked up a moment ago, so that a request need not ask the catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

RECENT_S = 30.0
"""What another process changed is seen after so long at the latest."""

MOST = 10_000


class Recent(Generic[K, V]):
    """A dict whose entries last RECENT_S. Thread-safe: each step is one of a dict's own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}

    def get(self, key: K) -> V | None:
        found = self._kept.get(key)
        return None if found is None or self._clock() - found[0] > RECENT_S else found[1]

    def put(self, key: K, value: V) -> None:
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = (self._clock(), value)

    def forget(self) -> None:
        self._kept.clear()
