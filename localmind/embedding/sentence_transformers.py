"""Any other model, through sentence-transformers: an extra, since it brings torch."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from localmind.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localmind.model import Vector


class SentenceTransformersEmbedder:
    """Embedder and Tokenizer over a model's name or folder. Prompts for queries and documents are the model's own."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._opening = threading.Lock()
        self._embedding = threading.Lock()
        self._transformer: Any = None
        self._tokenizer: Any = None

    @property
    def model(self) -> str:
        return self._model

    @property
    def dim(self) -> int:
        return int(self._open().get_sentence_embedding_dimension())

    def open(self) -> None:
        """Raises MissingExtra, or ConfigurationError where the model can't be had."""
        self._open()

    def close(self) -> None:
        with self._opening:
            self._transformer = self._tokenizer = None

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        transformer = self._open()
        if not texts:
            return np.empty((0, self.dim), np.float32)
        rows = []
        for start in range(0, len(texts), 64):
            with self._embedding:  # let go between batches, so that a query gets its turn
                rows.append(transformer.encode_document(list(texts[start : start + 64]), batch_size=16, normalize_embeddings=True))
        return np.concatenate(rows).astype(np.float32, copy=False)

    def embed_query(self, text: str) -> Vector:
        transformer = self._open()
        with self._embedding:
            vector: Vector = transformer.encode_query(text, normalize_embeddings=True)
        return vector

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        return self.spans_batch([text])[0]

    def spans_batch(self, texts: Sequence[str]) -> Sequence[Sequence[tuple[int, int]]]:
        self._open()
        spans: Sequence[Sequence[tuple[int, int]]] = self._tokenizer(texts)
        return spans

    def _open(self) -> Any:
        with self._opening:
            if self._transformer is None:
                self._transformer = _load(self._model)
                self._tokenizer = _spans_batch(self._transformer.tokenizer)
            return self._transformer


def _load(model: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingExtra("sentence-transformers is not installed.", hint="pip install 'localmind[sentence-transformers]'") from error
    try:
        return SentenceTransformer(model)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The embedding model {model} can't be loaded: {error}", hint="EMBEDDING_MODEL is a model's name or a folder."
        ) from error


def _spans_batch(tokenizer: Any) -> Callable[[Sequence[str]], Sequence[Sequence[tuple[int, int]]]]:
    """Offsets by a copy of the model's own tokenizer without its length limit; the model's calls set that anew each time."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        from localmind.embedding.tokenizer import MiniLMTokenizer

        return MiniLMTokenizer().spans_batch  # a tokenizer in pure Python knows no offsets
    from tokenizers import Tokenizer

    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    return lambda texts: [encoding.offsets for encoding in copy.encode_batch(list(texts), add_special_tokens=False)]
