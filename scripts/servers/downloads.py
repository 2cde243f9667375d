"""What Debian has no package of: MinIO, Loki, Alloy and Grafana built by Go, Neo4j resolved by Maven, Milvus unpacked from its PyPI wheel.

Cached, by version.
"""

from __future__ import annotations

import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from servers.config import TEMPLATES, Config, StackError
from servers.programs import Need, program

WIRE_VERSION = "v0.7.0"


@dataclass(frozen=True)
class Download:
    """name: as in STACK_<NAME>_VERSION. how: for people. make: fills an empty folder."""

    name: str
    how: str
    needs: tuple[Need, ...]
    make: Callable[[Config, Path], None]

    def folder(self, config: Config) -> Path:
        return config.cache / f"{self.name}-{config[f'{self.name.upper()}_VERSION']}"

    def cached(self, config: Config) -> bool:
        return self.folder(config).is_dir()

    def get(self, config: Config) -> Path:
        """The folder, there whole or not at all: an interrupted download is made anew."""
        target = self.folder(config)
        if not self.cached(config):
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            try:
                self.make(config, unfinished)
                unfinished.chmod(0o755)
                unfinished.rename(target)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        return target


def _build_minio(config: Config, folder: Path) -> None:
    go, tag = _go(), config["MINIO_VERSION"]
    env = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"}
    _run([go, "install", "-trimpath", "-ldflags=-s -w", f"github.com/minio/minio@{tag}"], folder, env)


def _build_loki(config: Config, folder: Path) -> None:
    module = "github.com/grafana/loki/v3"
    _build(module, config["LOKI_VERSION"], f"{module}/cmd/loki", f"{module}/pkg/util/build.Version", folder)


def _build_alloy(config: Config, folder: Path) -> None:
    module = "github.com/grafana/alloy"
    _build(module, config["ALLOY_VERSION"], module, f"{module}/internal/build.Version", folder)


def _build_grafana(config: Config, folder: Path) -> None:
    """The server without its page, which Go does not make. Its parts are put together by code that wire writes."""
    go, module = _go(), "github.com/grafana/grafana"
    with tempfile.TemporaryDirectory() as place:
        its = json.loads(_run([go, "mod", "download", "-json", f"{module}@{config['GRAFANA_VERSION']}"], Path(place)))
        source = Path(place) / "grafana"
        _run(["cp", "-r", "--no-preserve=mode", its["Dir"], str(source)], Path(place))
        env = {**os.environ, "GOBIN": place, "GOFLAGS": "-mod=mod", "CGO_ENABLED": "1"}
        _run([go, "install", f"github.com/google/wire/cmd/wire@{WIRE_VERSION}"], Path(place), env)
        _run([f"{place}/wire", "gen", "-tags", "oss", "./pkg/server", "./pkg/cmd/grafana-cli/runner"], source, env)
        # A library of it reaches into Go's own names, which Go 1.23 forbade.
        flags = ["-trimpath", "-tags=oss", "-ldflags=-s -w -checklinkname=0"]
        _run([go, "build", *flags, "-o", str(folder / "grafana"), "./pkg/cmd/grafana"], source, env)
        for name in ("conf", "public"):
            shutil.copytree(source / name, folder / name)


def _build(module: str, version: str, command: str, stamp: str, folder: Path) -> None:
    """What `go install` refuses because its module replaces others: a module of ours that requires it says the same replacements.

    Its own go.sum, in the download that Go has verified, verifies the rest. stamp: the variable that is told the version.
    """
    go = _go()
    with tempfile.TemporaryDirectory() as place:
        its = json.loads(_run([go, "mod", "download", "-json", f"{module}@{version}"], Path(place)))
        says = json.loads(_run([go, "mod", "edit", "-json", its["GoMod"]], Path(place)))
        lines = ["module localmind.stack", f"go {says['Go']}", f"require {module} {version}"]
        # A replacement by one of its own folders gives way to the version of that module which it requires.
        replaced = [each for each in says.get("Replace") or () if "Version" in each["New"]]
        lines += [f"replace {_module(each['Old'])} => {_module(each['New'])}" for each in replaced]
        lines += [f"exclude {_module(each)}" for each in says.get("Exclude") or ()]
        (Path(place) / "go.mod").write_text("\n".join(lines) + "\n")
        shutil.copyfile(Path(its["Dir"]) / "go.sum", Path(place) / "go.sum")
        flags = ["-mod=mod", "-trimpath", f"-ldflags=-s -w -X {stamp}={version}"]
        _run([go, "build", *flags, "-o", f"{folder}/", command], Path(place), {**os.environ, "CGO_ENABLED": "0"})


def _module(named: dict[str, str]) -> str:
    return f"{named['Path']} {named.get('Version', '')}".strip()


def _go() -> str:
    """Go 1.21 or newer, which fetches the compiler that a module asks for, unless it is told not to."""
    go = str(program("go"))
    version = re.search(r"go1\.(\d+)", _run([go, "version"], Path()))
    if version and int(version[1]) < 21:
        raise StackError(f"{go} is 1.{version[1]}; 1.21 or newer is needed. Debian 12 has a newer one in its backports.")
    return go


def _resolve_neo4j(config: Config, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as project:
        shutil.copy(TEMPLATES / "neo4j-pom.xml", Path(project) / "pom.xml")
        version = f"-Dneo4j.version={config['NEO4J_VERSION']}"
        goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
        _run([str(program("mvn")), "-B", "-q", version, *goal], Path(project))


def _unpack_milvus(config: Config, folder: Path) -> None:
    """The wheel holds every file as .lzma. Only the server is wanted, so nothing is installed."""
    with tempfile.TemporaryDirectory() as wheels:
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        _run([*_pip(), "download", *options, f"milvus=={config['MILVUS_VERSION']}"], Path(wheels))
        with zipfile.ZipFile(next(Path(wheels).glob("*.whl"))) as wheel:
            for name in wheel.namelist():
                if name.startswith("milvus/data/bin/") and name.endswith(".lzma"):
                    with wheel.open(name) as packed, lzma.open(packed) as plain, (folder / Path(name).stem).open("wb") as target:
                        shutil.copyfileobj(plain, target)
            (folder / "glog.conf").write_bytes(wheel.read("milvus/data/glog.conf"))
    (folder / "milvus").chmod(0o755)


def _pip() -> list[str]:
    """Debian's Python comes without pip; the project's environment has it."""
    for python in (sys.executable, str(TEMPLATES.parents[1] / ".venv" / "bin" / "python")):
        if shutil.which(python) and subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0:
            return [python, "-m", "pip"]
    raise StackError("Milvus comes by pip, and this Python has none. Run `make test-stack`, or install python3-pip.")


def _run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise StackError(f"{' '.join(command)} failed:\n{(done.stderr + done.stdout)[-2000:]}")
    return done.stdout


MINIO = Download("minio", "built by Go, some minutes", (Need("go", "golang"),), _build_minio)
LOKI = Download("loki", "built by Go, some minutes", (Need("go", "golang"),), _build_loki)
GRAFANA = Download("grafana", "built by Go, some minutes", (Need("go", "golang"), Need("gcc", "gcc")), _build_grafana)
ALLOY = Download("alloy", "built by Go, half an hour", (Need("go", "golang"),), _build_alloy)
NEO4J = Download("neo4j", "118 MB by Maven, a minute", (Need("mvn", "maven"),), _resolve_neo4j)
MILVUS = Download("milvus", "58 MB by pip, half a minute", (), _unpack_milvus)
