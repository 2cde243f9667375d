"""Runs the graph on onnxruntime in int8: weights quantized once, activations as they come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from localmind.embedding.prepare import prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class OnnxRuntimeSession:
    """Runs in the threads that call it, so that a query waits for nobody."""

    pad_to = 1

    def __init__(self, cache_dir: Path) -> None:
        import onnxruntime

        folder = prepared(cache_dir, "int8")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # The arena keeps the largest batch's memory for ever, for each thread that ever called.
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        self.version: str = onnxruntime.__version__

    def documents(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors of one batch, (batch, dim)."""
        vectors: NDArray[np.float32] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return vectors

    def query(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.documents(ids, mask)
