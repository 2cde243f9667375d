"""When communities are looked at, and that nobody waits for it at a stop."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from localmind.communities import keeper
from localmind.communities.keeper import Keeper
from localmind.model import TenantId


class Stuck:
    """An update that waits for an LLM which says nothing."""

    def __init__(self) -> None:
        self.begun, self.answered = threading.Event(), threading.Event()

    def update(self, tenant: TenantId) -> None:
        self.begun.set()
        self.answered.wait(60)

    def stop(self) -> None: ...


def test_a_stop_does_not_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("SETTLE_S", 0.0), ("LOOK_S", 0.01), ("CLOSE_S", 0.1)):
        monkeypatch.setattr(keeper, name, seconds)
    stuck: Any = Stuck()
    kept = Keeper(stuck, busy=lambda: ())
    kept.start([TenantId("ann")])
    assert stuck.begun.wait(10)
    closed = threading.Thread(target=kept.close)
    closed.start()
    closed.join(10)
    assert not closed.is_alive()
    stuck.answered.set()
