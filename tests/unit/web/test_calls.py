from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from apps.web.calls import call, iterate
from localmind.errors import NotFound


def test_a_verb_runs_in_another_thread_and_its_answer_comes_back() -> None:
    assert asyncio.run(call(threading.get_ident)) != threading.get_ident()


def test_a_verb_may_answer_none() -> None:
    assert asyncio.run(call(lambda: None)) is None


def test_a_verbs_error_is_raised_to_the_page() -> None:
    def fails() -> None:
        raise NotFound("gone")

    with pytest.raises(NotFound):
        asyncio.run(call(fails))


def test_a_blocking_iterator_gives_its_items_in_order() -> None:
    async def collect() -> list[int]:
        return [item async for item in iterate(lambda: iter(range(5)))]

    assert asyncio.run(collect()) == [0, 1, 2, 3, 4]


def test_an_error_comes_after_the_items_before_it() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise NotFound("gone")

    async def collect(seen: list[int]) -> None:
        async for item in iterate(fails):
            seen.append(item)

    seen: list[int] = []
    with pytest.raises(NotFound):
        asyncio.run(collect(seen))
    assert seen == [1]


def test_a_page_that_goes_away_ends_the_iterator() -> None:
    ended = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.set()

    async def take_one() -> None:
        items = iterate(endless)
        await anext(items)
        await items.aclose()

    asyncio.run(take_one())
    assert ended.wait(5)
