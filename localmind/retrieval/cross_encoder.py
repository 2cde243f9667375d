"""A cross-encoder as reranker, through sentence-transformers: an extra, since it brings torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import structlog

from localmind.errors import ConfigurationError, MissingExtra, Unavailable

log = structlog.get_logger()


class CrossEncoderReranker:
    """Reranker over a model's name or folder."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._opening = threading.Lock()
        self._predicting = threading.Lock()
        self._encoder: Any = None

    def open(self) -> None:
        """Raises MissingExtra, or ConfigurationError where the model can't be had or is no reranker."""
        self._open()

    def close(self) -> None:
        with self._opening:
            self._encoder = None

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        import numpy as np

        encoder = self._open()
        if not texts:
            return []
        try:
            with self._predicting:  # a tokenizer serves one thread at a time
                predicted = encoder.predict([(query, text) for text in texts], batch_size=len(texts), show_progress_bar=False)
        except (RuntimeError, ValueError, OSError) as error:  # torch's errors, being out of memory among them, are RuntimeErrors
            log.warning("reranker_failed", model=self._model, error=str(error))
            raise Unavailable(f"The reranker {self._model} failed: {error}") from error
        scores = np.asarray(predicted, np.float64)
        if not np.isfinite(scores).all():
            raise Unavailable(f"The reranker {self._model} gave scores that are no numbers.")
        found: list[float] = scores.tolist()
        return found

    def _open(self) -> Any:
        with self._opening:
            if self._encoder is None:
                self._encoder = _load(self._model)
            return self._encoder


def _load(model: str) -> Any:
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise MissingExtra(
            "RERANKER_MODEL is set, but sentence-transformers is not installed.",
            hint="pip install 'localmind[sentence-transformers]', or unset RERANKER_MODEL.",
        ) from error
    try:
        encoder = CrossEncoder(model)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The reranker {model} can't be loaded: {error}", hint="RERANKER_MODEL is a cross-encoder's name or a folder."
        ) from error
    if encoder.num_labels != 1:
        raise ConfigurationError(
            f"The model {model} gives {encoder.num_labels} scores for a text.", hint="RERANKER_MODEL is a cross-encoder with one score."
        )
    return encoder
