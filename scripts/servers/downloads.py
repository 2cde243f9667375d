"""What Debian has no package of: MinIO built by Go, Neo4j resolved by Maven, Milvus unpacked from its PyPI wheel. Cached, by version."""

from __future__ import annotations

import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from servers.config import TEMPLATES, Config, StackError


def minio(config: Config) -> Path:
    """The program. Two to three minutes the first time."""
    return _cached(config.cache / f"minio-{config['MINIO_VERSION']}", lambda folder: _build_minio(config, folder)) / "minio"


def neo4j(config: Config) -> Path:
    """The folder of its jars."""
    return _cached(config.cache / f"neo4j-{config['NEO4J_VERSION']}", lambda folder: _resolve_neo4j(config, folder))


def milvus(config: Config) -> Path:
    """The folder of the program `milvus` and its shared libraries."""
    return _cached(config.cache / f"milvus-{config['MILVUS_VERSION']}", lambda folder: _unpack_milvus(config, folder))


def _build_minio(config: Config, folder: Path) -> None:
    env = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    _run(["go", "install", "-trimpath", "-ldflags=-s -w", f"github.com/minio/minio@{config['MINIO_VERSION']}"], folder, env)


def _resolve_neo4j(config: Config, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as project:
        (Path(project) / "pom.xml").write_text((TEMPLATES / "neo4j-pom.xml").read_text())
        version = f"-Dneo4j.version={config['NEO4J_VERSION']}"
        _run(["mvn", "-B", "-q", version, "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"], Path(project))


def _unpack_milvus(config: Config, folder: Path) -> None:
    """The wheel holds every file as .lzma. Only the server is wanted, so nothing is installed."""
    with tempfile.TemporaryDirectory() as wheels:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        _run([*pip, f"milvus=={config['MILVUS_VERSION']}"], Path(wheels))
        with zipfile.ZipFile(next(Path(wheels).glob("*.whl"))) as wheel:
            for name in wheel.namelist():
                if name.startswith("milvus/data/bin/") and name.endswith(".lzma"):
                    with wheel.open(name) as packed, lzma.open(packed) as plain, (folder / Path(name).stem).open("wb") as target:
                        shutil.copyfileobj(plain, target)
                elif name == "milvus/data/glog.conf":
                    (folder / "glog.conf").write_bytes(wheel.read(name))
    (folder / "milvus").chmod(0o755)


def _cached(target: Path, make: Callable[[Path], None]) -> Path:
    """A folder that is there whole or not at all: an interrupted download is made anew."""
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        try:
            make(unfinished)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise StackError(f"{command[0]} is not installed.") from error
    if done.returncode:
        raise StackError(f"{' '.join(command)} failed:\n{(done.stderr + done.stdout)[-2000:]}")
