"""Makes of the weights what a runtime loads, once, in a process of its own, and keeps it in the cache.

A process of its own, because what the making leaves behind in memory (250 MB) would stay with the service until it ends.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from localmind.embedding import minilm
from localmind.errors import ConfigurationError, DiskFull

ROOM_BYTES = 300_000_000
"""The graph, its converted form and what a runtime compiles from it, all at once."""


SHIPPED = Path(sys.prefix) / "share/localmind/models"
"""Forms that were made when an image was."""


def prepared(cache_dir: Path, form: str) -> Path:
    """The folder with one of FORMS of the model, made the first time (3 to 5 s); folders of older builders are removed.

    Its name carries a fingerprint of builder and weights. Safe against a kill and against another process doing the same.
    Raises DiskFull, or ConfigurationError where the weights or the runtime are not installed.
    """
    name = f"minilm-{_fingerprint()}-{form}"
    for folder in (SHIPPED / name, cache_dir / name):
        if folder.is_dir():
            return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    _check_room(cache_dir, ROOM_BYTES)
    work = Path(tempfile.mkdtemp(prefix=".minilm-", dir=cache_dir))
    try:
        _make(form, work)
        work.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was faster, and its folder is as good
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    for old in cache_dir.glob(f"minilm-*-{form}"):
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _make(form: str, folder: Path) -> None:
    command = [sys.executable, "-m", __name__, form, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own module
    if done.returncode:
        _check_room(folder, ROOM_BYTES // 10)
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigurationError(f"The embedding model could not be prepared: {reason}", hint="`localmind doctor` checks what it needs.")


def _check_room(folder: Path, needed: int) -> None:
    if shutil.disk_usage(folder).free < needed:
        raise DiskFull(f"No room for the embedding model under {folder}.", hint=f"Free {ROOM_BYTES // 1_000_000} MB and start again.")


def _fingerprint() -> str:
    digest = hashlib.blake2b(digest_size=6)
    for source in (minilm.__file__, __file__):
        digest.update(Path(source).read_bytes())
    digest.update(str(_weights_bytes()).encode())
    return digest.hexdigest()


def _weights_bytes() -> int:
    """As their package says it: an image that brings what was made of them leaves them out."""
    try:
        listed = metadata.files(minilm.PACKAGE) or []
    except metadata.PackageNotFoundError:
        listed = []
    told = next((file.size for file in listed if file.name == "model.safetensors"), None)
    return told or (minilm.model_folder() / "model.safetensors").stat().st_size


def _openvino(folder: Path) -> None:
    """OpenVINO's own form with the weights in fp16: half the memory, and finer than the bf16 that is computed in."""
    import openvino

    graph = folder / "graph.onnx"
    minilm.write_graph(graph)
    openvino.save_model(openvino.Core().read_model(graph), folder / "model.xml", compress_to_fp16=True)
    graph.unlink()


def _int8(folder: Path) -> None:
    """Weights in int8, with a scale for each column of a product: cosine 0.993 to fp32. Unsigned and one scale gave 0.972."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = folder / "graph.onnx"
    minilm.write_graph(graph)
    quantize_dynamic(graph, folder / "model.onnx", op_types_to_quantize=["MatMul", "Gather"], per_channel=True, weight_type=QuantType.QInt8)
    graph.unlink()


FORMS: dict[str, Callable[[Path], None]] = {"openvino": _openvino, "int8": _int8}

if __name__ == "__main__":
    FORMS[sys.argv[1]](Path(sys.argv[2]))
