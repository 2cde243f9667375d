"""What every engine of vectors refuses, in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from localmind.errors import DimensionMismatch, InvalidInput
from localmind.ids import is_id
from localmind.model import ChunkKey

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localmind.model import Vector

REEMBED = "Set EMBEDDING_MODEL back, or run `localmind reembed`."


def check_rows(keys: Sequence[ChunkKey], vectors: NDArray[np.float32], *, dim: int) -> None:
    """Raises DimensionMismatch, InvalidInput."""
    if vectors.ndim != 2 or (len(keys) and vectors.shape[1] != dim):
        raise _mismatch(vectors.shape[-1] if vectors.ndim else 0, dim)
    if len(vectors) != len(keys):
        raise InvalidInput(f"{len(keys)} chunks came with {len(vectors)} vectors.", hint="Each chunk needs one vector.")
    for key in keys:
        checked(key.chunk_id)
        checked(key.source_id)


def check_query(query: Vector, *, dim: int) -> None:
    """Raises DimensionMismatch."""
    if query.shape != (dim,):
        raise _mismatch(query.shape[-1] if query.ndim else 0, dim)


def checked(value: str) -> str:
    """The id, which can stand in a filter. Raises InvalidInput."""
    if not is_id(value):
        raise InvalidInput(f"{value[:80]!r} is no id.", hint="Ids are made of a-z, 0-9, _ and -.")
    return value


def other_model(made: tuple[str | None, int | None], mine: tuple[str, int]) -> DimensionMismatch:
    """What is said of vectors that were made with another model. Both: model, dimensions."""
    (got_model, got_dim), (model, dim) = made, mine
    return DimensionMismatch(
        f"The vectors were made with {got_model} ({got_dim} dimensions), not with {model} ({dim}).",
        hint=REEMBED,
        expected_model=model,
        expected_dim=dim,
        got_model=got_model,
        got_dim=got_dim,
    )


def _mismatch(got: int, dim: int) -> DimensionMismatch:
    return DimensionMismatch(f"A vector has {got} dimensions; the store was made for {dim}.", hint=REEMBED, expected_dim=dim, got_dim=got)
