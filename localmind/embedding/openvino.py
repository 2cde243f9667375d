"""Runs the graph on OpenVINO, in bf16 where the CPU has it."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localmind.embedding.prepare import prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OpenVinoSession:
    """One stream of one thread a core for documents, and a compiled copy with one stream for queries.

    A query on the documents' streams would wait for a batch: 115 ms at the median during an ingest, against 3.3 ms idle. On a
    stream of its own it takes 3.3 ms, 11 ms at worst, since the kernel lets a thread that just woke up go first. The copy costs
    12 MB, since both map the same file.
    """

    pad_to = 16
    """Lengths are rounded up to a multiple: OpenVINO keeps kernels for every shape that it saw, which was 350 MB of memory and more
    without rounding and 275 MB with it, at the same speed."""

    def __init__(self, cache_dir: Path, *, streams: int, bf16: bool) -> None:
        import numpy as np
        import openvino

        core = openvino.Core()
        folder = prepared(cache_dir, "openvino")
        config = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "CACHE_DIR": str((folder if folder.parent == cache_dir else cache_dir) / "compiled"),
            "ENABLE_CPU_PINNING": False,
        }
        model = str((folder / "model.xml").resolve())  # its path is part of the compiled cache's key, 45 MB each
        documents = core.compile_model(model, "CPU", {**config, "NUM_STREAMS": str(streams), "INFERENCE_NUM_THREADS": streams})
        queries = core.compile_model(model, "CPU", {**config, "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": 1})
        self._documents: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(streams):
            self._documents.put(documents.create_infer_request())
        self._query = queries.create_infer_request()
        self._asking = threading.Lock()
        self.version: str = openvino.get_version().split("-")[0]
        # The first array that the bindings see sets up their link to NumPy, and two threads that do that at once wait for each
        # other for ever: one has the GIL, the other C++'s lock on the static (seen once, with both streams' first batches).
        one = np.ones((1, self.pad_to), np.int64)
        self.query(one, one)

    def documents(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of one batch, (batch, dim). As many callers at once as there are streams; more wait."""
        request = self._documents.get()
        try:
            return _infer(request, ids, mask)
        finally:
            self._documents.put(request)

    def query(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with self._asking:
            return _infer(self._query, ids, mask)


def _infer(request: Any, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = request.infer([ids, mask], share_inputs=True)[0]
    return result
