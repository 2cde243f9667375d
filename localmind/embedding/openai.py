"""Embeddings from an OpenAI-compatible endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from localmind.embedding.tokenizer import MiniLMTokenizer
from localmind.errors import ConfigurationError, LLMUnavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localmind.model import Vector

BATCH_TEXTS = 64
"""Below the limit of every server known (OpenAI takes 2,048, others 96 or 100)."""


class OpenAIEmbedder:
    """Embedder over /embeddings, and Tokenizer by the bundled tokenizer's count, since the server's is unknown."""

    def __init__(self, base_url: str, api_key: str, model: str, *, timeout_s: float = 60, retries: int = 3) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._model = model
        self._timeout_s = timeout_s
        self._retries = retries
        self._tokenizer = MiniLMTokenizer()
        self._opening = threading.Lock()
        self._client: Any = None
        self._dim: int | None = None

    @property
    def model(self) -> str:
        return self._model

    @property
    def dim(self) -> int:
        """Asked of the server once, by embedding a word."""
        if self._dim is None:
            self._dim = int(self._embed(["dimension"]).shape[1])
        return self._dim

    def open(self) -> None:
        """Does not call the server yet, so that the service starts without it."""
        self._open()

    def close(self) -> None:
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Raises LLMUnavailable after the retries, ConfigurationError where the server refuses the key or the model."""
        import numpy as np

        if not texts:
            return np.empty((0, self.dim), np.float32)
        return np.concatenate([self._embed(texts[start : start + BATCH_TEXTS]) for start in range(0, len(texts), BATCH_TEXTS)])

    def embed_query(self, text: str) -> Vector:
        vector: Vector = self._embed([text])[0]
        return vector

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        return self._tokenizer.spans(text)

    def spans_batch(self, texts: Sequence[str]) -> Sequence[Sequence[tuple[int, int]]]:
        return self._tokenizer.spans_batch(texts)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np
        import openai

        # Servers refuse an empty text. Not every server speaks base64, which the client would ask for.
        request = {"model": self._model, "input": [text or " " for text in texts], "encoding_format": "float"}
        try:
            answer = self._open().embeddings.create(**request)
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as error:
            raise LLMUnavailable(f"The embedding server at {self._base_url} does not answer: {error}", hint="Is it running?") from error
        except json.JSONDecodeError as error:
            raise LLMUnavailable(f"The embedding server at {self._base_url} broke off in the middle of its answer.") from error
        except openai.OpenAIError as error:
            raise ConfigurationError(
                f"The embedding server at {self._base_url} refused: {error}", hint="Check EMBEDDING_MODEL and EMBEDDING_API_KEY."
            ) from error
        vectors = _vectors(answer, len(texts))
        if vectors is None:
            raise LLMUnavailable(f"What answers at {self._base_url} speaks no embeddings.", hint="Check EMBEDDING_BASE_URL.")
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
        return unit

    def _open(self) -> Any:
        with self._opening:
            if self._client is None:
                import openai

                # The client insists on a key; local servers need none.
                key = self._api_key or "none"
                self._client = openai.OpenAI(base_url=self._base_url, api_key=key, timeout=self._timeout_s, max_retries=self._retries)
            return self._client


def _vectors(answer: Any, count: int) -> NDArray[np.float32] | None:
    """The answer's vectors in the texts' order; None where it is something else (a proxy's web page comes as a string)."""
    import numpy as np

    try:
        rows = sorted(answer.data, key=lambda row: row.index)
        vectors = np.array([row.embedding for row in rows], np.float32)
    except (AttributeError, TypeError, ValueError):
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == count else None
