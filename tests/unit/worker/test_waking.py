"""Word to the workers: few, never waited for, and never an error of the one who has work."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from apps.worker import waking
from apps.worker.waking import Waker, waker
from localmind.settings import Settings


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "PAUSE_S", 0.05)
    monkeypatch.setattr(waking, "SULK_S", 0.05)


class Sent:
    """Counts words; `fails` says whether the next ones are lost."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False
        self.happened = threading.Condition()

    def __call__(self) -> None:
        with self.happened:
            self.count += 1
            self.happened.notify_all()
        if self.fails:
            raise ConnectionError

    def wait_for(self, count: int) -> bool:
        with self.happened:
            return self.happened.wait_for(lambda: self.count >= count, 10)


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def wake(sent: Sent) -> Iterator[Waker]:
    wake = Waker(sent)
    yield wake
    wake.close()


def test_a_thousand_uploads_send_a_few_words(wake: Waker, sent: Sent) -> None:
    for _ in range(1000):
        wake()
    assert sent.wait_for(1)
    threading.Event().wait(0.3)
    assert sent.count <= 3


def test_what_comes_during_the_pause_is_told_after_it(wake: Waker, sent: Sent) -> None:
    wake()
    assert sent.wait_for(1)
    wake()
    assert sent.wait_for(2)


def test_a_lost_word_is_nobodys_error_and_the_next_one_is_tried(wake: Waker, sent: Sent) -> None:
    sent.fails = True
    wake()
    assert sent.wait_for(1)
    sent.fails = False
    wake()
    assert sent.wait_for(2)


def test_a_redis_that_never_answers_holds_up_no_upload() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        wake = waker(Settings(_env_file=None, redis_url=f"redis://127.0.0.1:{port}/0"))  # type: ignore[call-arg,arg-type]
        began = time.monotonic()
        for _ in range(100):
            wake()
        assert time.monotonic() - began < 0.5
        silent.settimeout(20)
        silent.accept()[0].close()  # it did try
        wake.close()
