"""Removes from the virtual environment what Local Mind never loads: about 150 MB of device plugins, other frameworks' importers and tests.

OpenVINO's wheel brings plugins for GPUs and NPUs and readers for TensorFlow, PyTorch, Paddle and JAX models; we compile one ONNX
graph for the CPU. PyArrow's brings Flight (an RPC server), headers and its test suite; LanceDB needs none of them.
ONNX Runtime's brings itself twice, once for programs in C.
Python 3.11 puts setuptools into every environment; nothing here builds with it.
Run by `make` after each installation; `SLIM=0 make run` keeps everything.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

UNUSED = (
    "openvino/libs/*intel_gpu_plugin*",
    "openvino/libs/*intel_npu*",
    "openvino/libs/cache.json",
    "openvino/libs/*tensorflow*_frontend*",
    "openvino/libs/*pytorch_frontend*",
    "openvino/libs/*paddle_frontend*",
    "openvino/libs/*jax_frontend*",
    "openvino/libs/*gguf_frontend*",
    "setuptools",
    "setuptools-*.dist-info",
    "pkg_resources",
    "_distutils_hack",
    "distutils-precedence.pth",
    "pyarrow/libarrow_flight*",
    "pyarrow/_flight*",
    "pyarrow/include",
    "pyarrow/tests",
    "numpy/_core/tests",
    "numpy/lib/tests",
    "numpy/ma/tests",
    "numpy/random/tests",
    "onnx/backend/test",
    "lance_namespace_urllib3_client/test",
    "pandas/tests",
    "openvino/include",
    "onnxruntime/capi/libonnxruntime.so*",
    "hf_xet",
    "hf_xet-*.dist-info",
)


def main() -> None:
    site = Path(sysconfig.get_path("purelib"))
    freed = 0
    for pattern in UNUSED:
        for path in site.glob(pattern):
            files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
            freed += sum(file.stat().st_size for file in files)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    print(f"Removed {freed / 1e6:.0f} MB of unused parts from {site}.", file=sys.stderr)


if __name__ == "__main__":
    main()
