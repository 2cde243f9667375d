"""The port of embedding: texts in, unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localmind.model import Vector


class Embedder(Protocol):
    """Turns texts into vectors of unit length. Thread-safe; a query waits at most for batches already begun."""

    @property
    def model(self) -> str:
        """The model's name as it is stored with the vectors."""

    @property
    def dim(self) -> int: ...

    def open(self) -> None:
        """Load the model. Safe to call twice; the embed calls do it when nobody did."""

    def close(self) -> None: ...

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32, shape (len(texts), dim), in the texts' order; texts over the model's length are cut at its end.

        Batches are cut inside by a token budget, so call it with many texts. [] gives shape (0, dim).
        Raises LLMUnavailable where the model is a server that does not answer.
        """

    def embed_query(self, text: str) -> Vector:
        """float32, shape (dim,)."""


class Tokenizer(Protocol):
    """The embedding model's tokenizer, as far as chunking needs it."""

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        """(start, end) in characters of each token of the text, in order, without special tokens. No length limit."""

    def spans_batch(self, texts: Sequence[str]) -> Sequence[Sequence[tuple[int, int]]]: ...
