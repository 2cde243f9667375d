"""The programs that the servers and their downloads need, where they are found, and how they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from servers.config import StackError


@dataclass(frozen=True)
class Need:
    """A program and the Debian package that brings it."""

    program: str
    package: str


WATCHERS = (Need("promtool", "prometheus"), Need("prometheus-alertmanager", "prometheus-alertmanager"))
"""What the tests of the alerts run; the servers themselves do without."""


def find(name: str) -> Path | None:
    """Also where Debian keeps servers away from an ordinary user's PATH; PostgreSQL first there, where psql and initdb are beside it."""
    clusters = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    folders = [*map(str, clusters), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", "/usr/local/go/bin"]
    found = shutil.which(name, path=os.pathsep.join(folders))
    return Path(found) if found else None


def program(name: str) -> Path:
    found = find(name)
    if found is None:
        raise StackError(f"{name} is not installed.")
    return found


def missing(needs: Iterable[Need]) -> list[Need]:
    return [need for need in dict.fromkeys(needs) if find(need.program) is None]


def explain(lacking: Iterable[Need]) -> str:
    """What a person types to get them."""
    names = ", ".join(need.program for need in lacking)
    return f"not installed: {names}. On Debian:\n  sudo apt-get install {' '.join(_packages(lacking))}\nor: scripts/stack up --install"


def install(lacking: Iterable[Need]) -> None:
    """By apt-get, with sudo where we are not root. The services that the packages bring keep their own ports and data."""
    if not shutil.which("apt-get"):
        raise StackError(f"{explain(lacking)}\n--install knows apt-get alone, and this system has none.")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *_packages(lacking)]):
        done = subprocess.run([*sudo, *command], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")


def _packages(needs: Iterable[Need]) -> list[str]:
    return sorted({need.package for need in needs})
