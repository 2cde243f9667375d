"""The Milvus of the stack, as tests ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from localmind.ids import random_id
from localmind.vectors.milvus import MilvusVectors

DIM = 8


def vectors_of(uri: str, collection: str, *, model: str = "some-model", dim: int = DIM, **options: Any) -> MilvusVectors:
    """Not open; options: those of MilvusVectors."""
    return MilvusVectors(uri, model=model, dim=dim, collection=collection, **options)


@pytest.fixture(scope="module")
def shared_collection(stack: Mapping[str, str]) -> Iterator[str]:
    """A collection's name: one for a module, since a server takes two seconds to load one. Tests leave it empty."""
    name = f"test_{random_id()}"
    yield name
    vectors = vectors_of(stack["MILVUS_URI"], name)
    vectors.reset()
    vectors.close()
