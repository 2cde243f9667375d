"""What MilvusVectors sends: a server of 2.3 takes no parameters, so the text of a filter is all that stands between tenants."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from localmind.errors import InvalidInput
from localmind.model import ChunkId, ChunkKey, Filter, SourceId, TenantId
from localmind.vectors import _milvus
from localmind.vectors.milvus import MilvusVectors
from tests.hostile import hostile, some

EAST = np.array([1.0, 0.0], dtype=np.float32)
ANN = TenantId("ann")

ID = "[a-z0-9_-]{1,64}"
KEY = f"{ID}/{ID}"
HOME = f'tenant == "{ID}"'
OF_TENANT = re.compile(
    f'{HOME}( and source_id == "{ID}")?( and id > "({KEY})?")?|{HOME} and source_id in \\["{ID}"(, "{ID}")*\\]|'
    f'{HOME} and id in \\["{KEY}"(, "{KEY}")*\\]'
)
"""Every filter of a call for a tenant: it begins with that tenant, and nothing in it but ids differs."""


class Recorder:
    """Stands where the connection does, and keeps what would go to the server; nothing is ever found."""

    def __init__(self) -> None:
        self.filters: list[str] = []
        self.ids: list[str] = []
        self.schema: Any = None

    def call(self, method: str, *_: Any, **kwargs: Any) -> Any:
        self.filters += [kwargs["filter"]] if kwargs.get("filter") else []
        self.ids += kwargs.get("ids", []) + [row["id"] for row in kwargs.get("data", []) if isinstance(row, dict)]
        self.schema = kwargs.get("schema", self.schema)
        return {"search": [[]], "query": [{"count(*)": 0}] if "count(*)" in kwargs.get("output_fields", ()) else []}.get(method)


def recorded() -> tuple[MilvusVectors, Recorder]:
    store, recorder = MilvusVectors("http://127.0.0.1:1", model="m", dim=2), Recorder()
    store._connection, store._ready = recorder, True  # type: ignore[assignment]
    return store, recorder


def calls(store: MilvusVectors, tenant: TenantId, text: str) -> list[Callable[[], Any]]:
    source, chunk = SourceId(text), ChunkId(text)
    return [
        lambda: store.search(tenant, EAST, limit=1),
        lambda: store.search(tenant, EAST, limit=1, where=Filter(frozenset([source, SourceId("s1")]))),
        lambda: store.get(tenant, [chunk, ChunkId("a")]),
        lambda: store.delete(tenant, [chunk]),
        lambda: store.delete_sources(tenant, [source, SourceId("s1")]),
        lambda: list(store.keys(tenant, source=source)),
        lambda: store.count(tenant, source=source),
        lambda: store.append(tenant, [ChunkKey(chunk, source)], EAST[None]),
        lambda: store.drop(tenant),
    ]


@some
@given(hostile)
@pytest.mark.parametrize("where", ["tenant", "id"])
def test_whatever_stands_for_an_id_a_filter_is_of_its_tenant_and_of_ids(where: str, text: str) -> None:
    store, recorder = recorded()
    for call in calls(store, TenantId(text) if where == "tenant" else ANN, "a" if where == "tenant" else text):
        with suppress(InvalidInput):
            call()
    seen = {'id == ""'}  # what waits for a write, and finds nothing
    assert [one for one in recorder.filters if one not in seen and not OF_TENANT.fullmatch(one)] == []
    if where == "id":
        assert all(one.startswith('tenant == "ann"') for one in recorder.filters if one not in seen)
    assert [key for key in recorder.ids if not re.fullmatch(KEY, key)] == []


def test_all_that_an_id_may_hold_is_harmless_in_quotes() -> None:
    store, recorder = recorded()
    every = "abcdefghijklmnopqrstuvwxyz0123456789_-"
    for call in calls(store, TenantId(every), every):
        call()
    assert sum(OF_TENANT.fullmatch(one) is not None for one in recorder.filters) >= 7


def test_the_tenant_is_the_partition_key() -> None:
    recorder = Recorder()
    _milvus.create(recorder, "chunks", _milvus.Made(1, "m", 2))  # type: ignore[arg-type]
    assert [field.name for field in recorder.schema.fields if field.is_partition_key] == ["tenant"]
