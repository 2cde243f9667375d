"""The bundled model's tokenizer. Tokenizing releases the GIL."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from localmind.embedding.minilm import MAX_TOKENS, model_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class MiniLMTokenizer:
    """WordPiece of all-MiniLM-L6-v2. Implements the Tokenizer port; loads at first use; thread-safe."""

    def __init__(self) -> None:
        self._loading = threading.Lock()
        self._loaded: Any = None

    def spans(self, text: str) -> Sequence[tuple[int, int]]:
        return self.spans_batch([text])[0]

    def spans_batch(self, texts: Sequence[str]) -> Sequence[Sequence[tuple[int, int]]]:
        encoded = self._load().encode_batch([_encodable(text) for text in texts], add_special_tokens=False)
        return [encoding.offsets for encoding in encoded]

    def ids(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Token ids of each text with its two special tokens, at most 256: what the model is fed."""
        import numpy as np

        rows = []
        for encoding in self._load().encode_batch_fast([_encodable(text) for text in texts]):
            ids = encoding.ids
            rows.append(np.array(ids if len(ids) <= MAX_TOKENS else [*ids[: MAX_TOKENS - 1], ids[-1]], np.int64))
        return rows

    def open(self) -> None:
        self._load()

    def _load(self) -> Any:
        with self._loading:
            if self._loaded is None:
                # One thread tokenizes while the others embed, which is 30 times the work. tokenizers' own threads would only
                # get in their way, and it complains about them in every process forked later.
                os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
                from tokenizers import Tokenizer

                tokenizer = Tokenizer.from_file(os.fspath(model_folder() / "tokenizer.json"))
                tokenizer.no_truncation()
                tokenizer.no_padding()
                self._loaded = tokenizer
            return self._loaded


def _encodable(text: str) -> str:
    """A lone surrogate (a query can bring one in through JSON) has no UTF-8; '?' keeps the offsets."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
